/* SPDX-License-Identifier: ISC */
/*
 * Why policy_rule() rules as it does: the same steps, with what each of them found.
 * For people, not for every check: it allocates. Never contains an argument's value.
 *
 * Ownership: an explanation owns its findings; what they point to belongs to the
 * policy. Pure.
 */
#ifndef POLICY_EXPLAIN_H
#define POLICY_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "policy/policy.h"

/* The order of evaluation; docs/protocol.md uses the same numbers. */
enum policy_step {
	STEP_POLICY = 1,
	STEP_HIDDEN,
	STEP_DEFAULT,
	STEP_ACTION,
	STEP_REQUIRE,
	STEP_DENY_IF,
	STEP_APPROVAL,
	STEP_LIMITS,
	STEP_ALLOW
};

/* What became of one condition. */
enum finding {
	FINDING_HOLDS,
	FINDING_MISSING,  /* its path leads nowhere, or to null */
	FINDING_PRESENT,  /* its path should lead nowhere */
	FINDING_TYPE,     /* what is there has a type the operator does not take */
	FINDING_VALUE,    /* the type is right, the value is not */
	FINDING_TOO_LONG, /* a pattern, and the text is too long to be matched */
	FINDING_TOO_HARD, /* a pattern that reached the bound of what a match may cost */
	FINDING_NOT_ASKED /* an earlier condition or entry had decided */
};

struct condition_finding {
	const char *path;
	const char *op;
	struct slice value; /* the policy's, as text for people; cut when it is long */
	enum finding finding;
};

/* One entry of "require" or "deny_if". */
struct entry_finding {
	const char *rule;
	const char *message; /* of a denial by this entry */
	bool required;       /* of "require"; else of "deny_if" */
	bool asked;          /* false: an earlier entry had decided */
	bool denies;
	const struct condition_finding *conditions;
	size_t n_conditions;
};

struct policy_explanation {
	enum policy_step
	    decided; /* STEP_HIDDEN ... STEP_APPROVAL; STEP_LIMITS: the call
	                             gets as far as its limits */
	bool listed; /* the tool is listed under "tools" */
	bool default_allow;
	enum verdict action; /* of the tool, VERDICT_ALLOW where it has none */
	struct entry_finding *entries; /* those of "require" first */
	size_t n_entries;
	const struct policy_limit *const *limits; /* STEP_LIMITS: as in the ruling */
	size_t n_limits;
	struct condition_finding
	    *conditions;   /* what all entries' conditions point into */
	struct buf values; /* what all conditions' values point into */
};

/* Fills *out, to be finished by the caller in either case. 0 or ERR_NOMEM. `scratch` is
 * as for policy_rule(), with which it always agrees. */
int policy_explain(const struct policy *policy, const struct call *call,
    struct regex_scratch *scratch, struct policy_explanation *out) MUST_CHECK;
void policy_explanation_fini(struct policy_explanation *ex);

#endif
