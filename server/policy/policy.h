/* SPDX-License-Identifier: ISC */
/*
 * A policy: one JSON document, read and compiled. It says which verdict a call gets, or
 * which limits to charge for it; it never counts.
 *
 * Ownership: a policy owns all it points to and never changes after policy_parse().
 * Threads: a finished policy may be read by any number of threads.
 * Pure: no clock, no file, no socket; time zones come through a callback.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/slice.h"
#include "limit/limit.h"
#include "policy/call.h"

#define POLICY_BYTES_MAX (16u << 20) /* the largest document */
#define POLICY_LIMITS_MAX 16         /* in one list of limits */
#define POLICY_SCOPES_MAX 8          /* names in one scope list */

/* The most limits one ruling can name: a tool's list, its rate_limit, all_tools. */
#define POLICY_CHARGES_MAX (2 * POLICY_LIMITS_MAX + 1)

enum verdict { VERDICT_DENY = 0, VERDICT_ALLOW = 1, VERDICT_APPROVAL = 2 };

/* Where one part of a scope's value comes from. */
enum scope_source {
	SCOPE_GRANT,
	SCOPE_SESSION,
	SCOPE_SESSION_OR_GRANT, /* rate_limit: the session where the call has one */
	SCOPE_ATTRIBUTE
};

struct scope_part {
	enum scope_source source;
	char *name;    /* "grant", "session" or the attribute's name */
	char *encoded; /* the same as a part of a key */
};

/* No parts: global. Parts are sorted by name. */
struct scope {
	struct scope_part *parts;
	size_t n;
	char *text; /* as decisions show it: "global", "grant", "grant&org" */
};

/* What to do with a check when the store fails. Where a check's limits differ, the
 * strictest one decides, which is the greatest of these. */
enum store_failure {
	STORE_FAILURE_UNSAID, /* the document does not say */
	STORE_FAILURE_ALLOW,
	STORE_FAILURE_LOCAL, /* count it in this process, by a share of the limit */
	STORE_FAILURE_DENY
};

struct override;
struct path;

/* One limit of a document, ready to use. */
struct policy_limit {
	struct limit limit;
	struct scope scope;
	int64_t cost;                 /* of every call; -1: the call's own */
	const struct path *cost_from; /* the argument that is the cost; NULL: none */
	char *counter;                /* as written */
	char *rule;                   /* JSON Pointer, "/tools/NAME/limits/COUNTER" */
	char *message;  /* on_deny, or what is said when the limit is used up */
	char *key_head; /* "PREFIX:POLICY:{" */
	char *key_tail; /* "}:COUNTER:WINDOW" */
	char *calendar; /* "@ZONE+ANCHOR", as in WINDOW; or "" */
	struct override *overrides; /* sorted by value; only with a scope of one name */
	size_t n_overrides;
	bool on_deny; /* `message` comes from the document */
	bool shadow;  /* counts and reports, never denies */
	enum store_failure
	    on_store_failure; /* the limit's own, or else the document's */
};

/* The same limit with another max, for one value of its scope. */
struct override {
	struct slice value;
	struct policy_limit limit;
};

struct policy;
struct regex_scratch;

struct policy_options {
	const char *key_prefix; /* NULL: "ration" */
	/* Appends the TZif file of the zone `name` to `out`. 0, or an error with ei->text.
	 * NULL: tzdata_read(), whose files are the only ones that parsing a policy reads. */
	int (*zone_read)(
	    void *arg, const char *name, struct buf *out, struct errinfo *ei);
	void *zone_arg;
};

/*
 * Reads a document of `len` bytes. `name` is the policy's name (percent-encoded in
 * keys), `file` is what messages call the document. Strict: every key, type and value
 * is checked, and all faults are put into `errors` (initialised here with `file`; the
 * caller calls errlist_fini), in the order of the lines. `options` may be NULL.
 * Returns a policy owned by the caller, or NULL with at least one fault.
 */
struct policy *policy_parse(const char *name, const char *file, const char *text,
    size_t len, const struct policy_options *options,
    struct errlist *errors) MUST_CHECK;
void policy_free(struct policy *policy);

const char *policy_name(const struct policy *policy);
const char *policy_description(const struct policy *policy); /* "" without one */
/* The document's SHA-256, 64 hex digits. */
const char *policy_hash(const struct policy *policy);
size_t policy_tool_count(const struct policy *policy);
size_t policy_limit_count(const struct policy *policy);

/* What the document says of all its limits; UNSAID: nothing. */
enum store_failure policy_on_store_failure(const struct policy *policy);

/* The limits that count by grant alone, or all callers together (scope.n == 0), in
 * policy order; where several have the same counter, max and burst, only the first.
 * *others (may be NULL) is how many limits count by a session or an attribute. */
const struct policy_limit *const *policy_grant_limits(
    const struct policy *policy, size_t *n, size_t *others);

/* What a policy says of a call before anything is counted (steps 2-7 of the
 * evaluation order). All pointers belong to the policy. */
struct ruling {
	enum verdict verdict;
	const char *rule;                         /* "" on allow */
	const char *message;                      /* "" on allow */
	const struct policy_limit *const *limits; /* to charge on allow, policy order */
	size_t n_limits;
};

/* `scratch` is the calling thread's own (policy/regex.h). Without one (NULL) no pattern
 * can be matched, and an entry that has one denies. */
void policy_rule(const struct policy *policy, const struct call *call,
    struct regex_scratch *scratch, struct ruling *out);

/* The path of the argument that is a limit's cost; NULL where none is. */
const char *policy_limit_cost_path(const struct policy_limit *limit);

/* What it takes to charge a limit for a call. A concurrency limit always costs 1. */
struct policy_charge {
	const struct policy_limit *limit; /* the one that was asked for, or its override
	                                     for this call; belongs to the policy */
	int64_t cost;
	bool
	    corrects; /* the cost was the call's own or an argument's, so that a commit's
	                  cost replaces it */
	const char *scope; /* as decisions show it; belongs to the policy */
};

/*
 * Appends the counter's key to `key` and fills *out. 0; ERR_NOTFOUND when the scope
 * names an attribute (or session) that the call lacks: ei->text names it; ERR_INVALID
 * when the argument is not a valid cost: ei->text says why; ERR_NOMEM.
 */
int policy_charge(const struct policy_limit *limit, const struct call *call,
    struct buf *key, struct policy_charge *out, struct errinfo *ei) MUST_CHECK;

/* The same without a cost, for a limit of policy_grant_limits(): appends the key and
 * returns the limit with this grant's max. *scope is as in struct policy_charge. */
const struct policy_limit *policy_counter(const struct policy_limit *limit,
    const struct call *call, struct buf *key, const char **scope);

/*
 * What a call is told when the limit refuses it: the limit's message, or, where there is
 * more to say than that, a text composed in `note`. `limit` and `scope` are those of
 * policy_charge(); `remaining` is what the limit has left. Returns a view, valid as long
 * as the policy and `note`.
 */
struct slice policy_refusal(const struct policy_limit *limit, const char *scope,
    int64_t cost, int64_t remaining, struct buf *note);
/* Appends what is said when there is no on_deny. */
void policy_refusal_format(const struct policy_limit *limit, const char *scope,
    int64_t cost, int64_t remaining, struct buf *out);

#endif
