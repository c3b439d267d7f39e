/* SPDX-License-Identifier: ISC */
#include "wire/token.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define DIGEST_DIGITS 64

/* Digests instead of tokens: all have the same length, so that comparing them does not even
 * reveal the length of a secret; and the secrets themselves are not kept. */
struct token_set {
	atomic_size_t refs;
	size_t n;
	char digest[TOKENS_MAX][DIGEST_DIGITS + 1];
};

static struct slice
trim(struct slice s)
{
	while (s.len > 0 && strchr(" \t\r", s.ptr[0]) && s.ptr[0]) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && strchr(" \t\r", s.ptr[s.len - 1]) && s.ptr[s.len - 1])
		s.len--;
	return s;
}

static int
check_token(struct slice token, struct errinfo *ei)
{
	if (token.len < TOKEN_MIN || token.len > TOKEN_MAX)
		return err_set(ei, ERR_INVALID,
		    "a token must have %d to %d bytes, not %zu", TOKEN_MIN, TOKEN_MAX,
		    token.len);
	for (size_t i = 0; i < token.len; i++)
		if (token.ptr[i] <= 0x20 || token.ptr[i] >= 0x7f)
			return err_set(ei, ERR_INVALID,
			    "a token must be of visible ASCII characters, without "
			    "spaces");
	return 0;
}

static int
add_token(struct token_set *set, struct slice token, int line, struct errinfo *ei)
{
	int rc = check_token(token, ei);

	if (rc == 0 && set->n == TOKENS_MAX)
		rc = err_set(
		    ei, ERR_TOOBIG, "there may be at most %d tokens", TOKENS_MAX);
	if (rc < 0) {
		if (ei)
			ei->line = line;
		return rc;
	}
	hash_sha256_hex(token, set->digest[set->n++], DIGEST_DIGITS);
	return 0;
}

static int
add_lines(struct token_set *set, const char *text, size_t len, struct errinfo *ei)
{
	int line = 0;

	while (len > 0) {
		const char *newline = memchr(text, '\n', len);
		size_t line_len = newline ? (size_t)(newline - text) : len;
		struct slice token = trim(slice_make(text, line_len));
		int rc = 0;

		line++;
		if (token.len > 0 && token.ptr[0] != '#')
			rc = add_token(set, token, line, ei);
		if (rc < 0)
			return rc;
		text += newline ? line_len + 1 : line_len;
		len -= newline ? line_len + 1 : line_len;
	}
	if (set->n == 0)
		return err_set(ei, ERR_INVALID, "there is no token; write one a line");
	return 0;
}

struct token_set *
token_set_parse(const char *text, size_t len, struct errinfo *ei)
{
	struct token_set *set = calloc(1, sizeof(*set));

	if (!set) {
		err_set(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	atomic_init(&set->refs, 1);
	if (add_lines(set, text, len, ei) < 0) {
		token_set_unref(set);
		return NULL;
	}
	return set;
}

struct token_set *
token_set_ref(struct token_set *set)
{
	if (set)
		atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
	return set;
}

void
token_set_unref(struct token_set *set)
{
	/* acq_rel: whoever wipes it must come after everybody who looked. */
	if (!set || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) != 1)
		return;
	explicit_bzero(set, sizeof(*set));
	free(set);
}

bool
token_set_has(const struct token_set *set, struct slice token)
{
	char digest[DIGEST_DIGITS + 1];
	bool found = false;

	if (token.len < TOKEN_MIN || token.len > TOKEN_MAX)
		return false;
	hash_sha256_hex(token, digest, DIGEST_DIGITS);
	for (size_t i = 0; i < set->n; i++)
		found |= hash_equal_constant(set->digest[i], digest, DIGEST_DIGITS);
	return found;
}

struct slice
token_of_authorization(struct slice value)
{
	const size_t scheme = strlen("bearer");
	struct slice token;

	if (value.len <= scheme || strncasecmp(value.ptr, "bearer", scheme) != 0 ||
	    value.ptr[scheme] != ' ')
		return slice_make(NULL, 0);
	token = trim(slice_make(value.ptr + scheme, value.len - scheme));
	return token.len > 0 ? token : slice_make(NULL, 0);
}
