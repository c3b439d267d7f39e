/* SPDX-License-Identifier: ISC */
#include "redis/fault.h"

#include <string.h>

#include "base/attr.h"

#define NOSCRIPT "NOSCRIPT"

/* https://redis.io/docs/latest/develop/reference/protocol-spec/ names no list; these
 * are the code words that a server of 6.2 to 8.0 or a Valkey can answer a script with. */
static const struct {
	const char *word;
	enum store_fault fault;
} words[] = {
	{ "LOADING", FAULT_LOADING },
	{ "READONLY", FAULT_READONLY },
	{ "MASTERDOWN", FAULT_MASTERDOWN },
	{ "CLUSTERDOWN", FAULT_CLUSTER },
	{ "TRYAGAIN", FAULT_TRYAGAIN },
	{ "CROSSSLOT", FAULT_MOVED },
	{ "MOVED", FAULT_MOVED },
	{ "ASK", FAULT_MOVED },
	{ "BUSY", FAULT_BUSY },
	{ "OOM", FAULT_MEMORY },
	{ "MISCONF", FAULT_MISCONF },
	{ "NOREPLICAS", FAULT_NOREPLICAS },
	{ "ERR max number of clients", FAULT_MAXCLIENTS },
	{ "NOAUTH", FAULT_CONFIG },
	{ "WRONGPASS", FAULT_CONFIG },
	{ "NOPERM", FAULT_CONFIG },
	{ "The user executing the script can't run", FAULT_CONFIG },
	{ "WRONGTYPE", FAULT_WRONGTYPE },
	{ "ERR value is not an integer", FAULT_WRONGTYPE },
	{ "ERR increment or decrement would overflow", FAULT_WRONGTYPE },
};

/* Whether the word is at the beginning, or after a space or a '-'. */
static bool
has_word(struct slice text, const char *word)
{
	const char *at = memmem(text.ptr, text.len, word, strlen(word));
	size_t behind;

	if (!at)
		return false;
	behind = (size_t)(at - text.ptr) + strlen(word);
	return (at == text.ptr || at[-1] == ' ' || at[-1] == '-') &&
	    (behind == text.len || text.ptr[behind] == ' ');
}

enum store_fault
redis_fault_of(struct slice text)
{
	for (size_t i = 0; text.len > 0 && i < ARRAY_LEN(words); i++)
		if (has_word(text, words[i].word))
			return words[i].fault;
	return FAULT_OTHER;
}

bool
redis_fault_is_noscript(struct slice text)
{
	return text.len >= strlen(NOSCRIPT) &&
	    memcmp(text.ptr, NOSCRIPT, strlen(NOSCRIPT)) == 0;
}

bool
redis_fault_is_general(enum store_fault fault)
{
	return fault == FAULT_LOADING || fault == FAULT_BUSY ||
	    fault == FAULT_CLUSTER || fault == FAULT_MASTERDOWN;
}
