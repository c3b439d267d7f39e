/* SPDX-License-Identifier: ISC */
/* The inside of a policy. Only policy/ itself includes this; whatever it points to lives
 * in the policy's arena, unless it says otherwise. */
#ifndef POLICY_COMPILED_H
#define POLICY_COMPILED_H

#include "policy/arena.h"
#include "policy/condition.h"
#include "policy/policy.h"
#include "policy/reader.h"

/* The elements of one "limits", in order. One that had a fault has a NULL key_tail; there
 * will be no policy then, but the others are still compared. */
struct limit_list {
	struct policy_limit *items;
	size_t n;
};

struct entry_list {
	struct entry *items;
	size_t n;
};

/* All that policy_rule() needs: the entries in order, and the ruling when none of them
 * denies. */
struct answer {
	const struct entry *entries;
	size_t n_entries;
	struct ruling ruling;
};

struct policy_tool {
	char *name;
	enum verdict action;
	char *reason; /* NULL without one */
	struct entry_list require;
	struct entry_list deny_if;
	struct limit_list limits;
	struct policy_limit *rate; /* rate_limit; NULL without one, or after a fault */
	struct answer answer;
};

/* A time zone that limits of the policy name; NULL after a fault. */
struct policy_zone {
	struct policy_zone *next;
	char *name;
	struct zone *zone; /* owned */
};

struct policy {
	struct arena arena;
	const struct policy_options *options; /* while the document is read */
	struct policy_zone *zones;
	char *name;
	char *description;
	char *key_head; /* "PREFIX:POLICY:{", shared by all limits */
	char hash[65];
	bool default_allow;
	bool hide_all;
	enum store_failure on_store_failure;
	struct limit_list all_tools;
	struct policy_tool *tools;
	size_t n_tools;
	size_t n_limits;
	/* Compiled patterns; the entries that use them live in the arena. */
	struct regex **regexes;
	size_t n_regexes;
	/* Name -> struct answer: the hidden tools while the document is read, then the
	 * listed ones as well. Any other tool gets `unlisted`. */
	struct map by_tool;
	struct answer unlisted;
	struct answer
	    allowed; /* of tools that are allowed and have no limits of their own */
	struct answer hidden;
	/* What policy_grant_limits() returns, each counter and max once; and how many other
	 * limits there are. */
	const struct policy_limit **of_grant;
	size_t n_of_grant;
	size_t n_of_others;
};

/* Takes a pattern and keeps it until policy_free(). False, and it is freed, when out of
 * memory. */
bool policy_keep_regex(struct policy *policy, struct regex *regex);

/* condition_read.c: reads "require" or "deny_if" at the reader's place. */
void entry_list_read(struct reader *r, json_t *list, struct policy *policy,
    bool required, struct entry_list *out);

/* policy_limit.c: reads a "limits" list or a "rate_limit" at the reader's place. */
void limit_list_read(
    struct reader *r, json_t *list, struct policy *policy, struct limit_list *out);
struct policy_limit *rate_limit_read(
    struct reader *r, json_t *object, struct policy *policy, const char *tool);
#define WANT_STORE_FAILURE "\"deny\", \"allow\" or \"local\""
/* Reads an "on_store_failure". */
void store_failure_read(struct reader *r, json_t *value, enum store_failure *out);

/* The keys of each kind of object; in policy_parse.c, policy_limit.c and
 * condition_read.c. */
extern const struct reader_table document_table, all_tools_table, tool_table;
extern const struct reader_table limit_table, rate_limit_table;
extern const struct reader_table entry_table, condition_table;

/* policy_join.c: once everything is read, compares the lists of limits that one call may
 * meet, and, if there was no fault, prepares each tool's ruling. False when out of
 * memory. */
bool policy_join(struct reader *r, struct policy *policy);

/* grant_limits.c: fills in of_grant. False when out of memory. */
bool grant_limits_join(struct reader *r, struct policy *policy);

#endif
