/* SPDX-License-Identifier: ISC */
/* What CHECK_EXPLAIN and CHECK_USAGE answer beside the decision. Types only;
 * docs/protocol.md is their contract. */
#ifndef CHECK_EXPLANATION_H
#define CHECK_EXPLANATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "limit/limit.h"
#include "policy/explain.h"
#include "store/store.h"

/* One limit that the call would be charged for. */
struct explanation_limit {
	const struct policy_limit *limit;
	const char *scope; /* as decisions show it */
	struct slice key;  /* of its counter; absent where the call has none */
	int64_t cost;      /* valid where there is a key */
	bool fits;         /* valid where the counters were read */
	bool missing;    /* a shadow limit for which the call lacks what it counts by */
	bool unreserved; /* it counts slots, and the check does not reserve one */
	bool
	    uncounted; /* the store failed, and the limit allows then, or is a shadow */
	struct limit_outcome
	    outcome; /* valid where the counters were read; as they stand,
					 for nothing was charged */
};

struct explanation {
	const char *policy_hash; /* "": there is no such policy */
	bool named;              /* the request named its policy */
	enum policy_step decided;
	struct policy_explanation steps; /* from STEP_HIDDEN on */
	struct explanation_limit *limits;
	size_t n_limits;
	size_t
	    lacking; /* index of the limit for which the call lacks what it counts by;
			   n_limits: there is none */
	bool looked; /* the counters were read; with a decision that is `local`, this
	                   process's own, and the limits are its shares */
	bool
	    replayed; /* the request id was admitted before: counters as of that time */
};

/* One counter of a grant. */
struct usage_counter {
	const struct policy_limit *limit;
	const char *scope;
	struct slice key;
	enum store_fault fault; /* FAULT_NONE, or FAULT_WRONGTYPE: it cannot be read */
	struct limit_outcome outcome; /* where it was read */
};

struct usage {
	struct usage_counter *counters;
	size_t n;
	bool known;             /* there is such a policy */
	bool truncated;         /* there are more counters than these */
	size_t others;          /* how many limits count by a session or an attribute */
	enum store_fault fault; /* FAULT_NONE, or why they could not be read */
};

#endif
