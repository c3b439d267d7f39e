/* SPDX-License-Identifier: ISC */
/* The answer to a check. Types only; docs/protocol.md is their contract. */
#ifndef CHECK_DECISION_H
#define CHECK_DECISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "limit/limit.h"
#include "policy/policy.h"
#include "store/store.h"

/* What the decision rests on; the fronts turn it into a status code. */
enum decision_cause {
	CAUSE_ALLOWED, /* nothing stood in the way */
	CAUSE_POLICY,  /* denied, or approval required, before anything was counted */
	CAUSE_LIMIT,   /* a limit lacks room */
	CAUSE_STORE,   /* the store could not answer */
	CAUSE_CONFLICT /* the request id was admitted for something else: there is no
	                  verdict, the request is refused, and `message` says why */
};

struct decision_limit {
	const struct policy_limit *limit;
	const char *scope; /* as decisions show it */
	size_t charge;     /* index into take->charges, or DECISION_NO_CHARGE */
	bool would_deny;   /* a shadow limit that would have denied, were it enforced */
	struct limit_outcome outcome;
};

/* The charge of a shadow limit for which the call lacks what it counts by. */
#define DECISION_NO_CHARGE SIZE_MAX

#define DECISION_NO_LIMIT SIZE_MAX

struct decision {
	enum verdict verdict;
	enum decision_cause cause;
	struct slice rule;    /* empty on allow */
	struct slice message; /* empty on allow */
	struct slice policy;  /* the name of the one that decided; or, when there is no
	                         such policy, the name that was asked for */
	struct slice tool;
	struct slice grant;
	const struct decision_limit *limits; /* every limit that was weighed */
	size_t n_limits;
	size_t tightest; /* index into limits, never a shadow one; DECISION_NO_LIMIT */
	bool degraded;   /* decided without the store */
	bool local;    /* also degraded: by this process's shares, which `limits` are */
	bool replayed; /* the same answer as the first check with this request id */
	struct slice reservation; /* its id; absent without one */
	enum store_fault fault;   /* while degraded: why the store could not decide */
};

#endif
