/* SPDX-License-Identifier: ISC */
/*
 * Turns what the policy and the store said into a decision. Pure.
 *
 * Each function fills in the verdict, cause, rule, message and limits of a decision
 * whose policy, tool and grant are there already. Text that has to be composed is
 * written into `note`, which must live as long as the decision; when memory lacks for
 * it, a fixed text stands in.
 */
#ifndef CHECK_DECIDE_H
#define CHECK_DECIDE_H

#include "base/buf.h"
#include "check/decision.h"

/* Step 1: `asked` is the name that was asked for, absent when none was given. */
void decide_no_policy(struct decision *d, struct slice asked, struct buf *note);

/* Steps 2-7, and an allow without limits. */
void decide_ruled(struct decision *d, const struct ruling *ruling);

/* A limit's scope, or its cost, names what the call lacks; `why` says so and is
 * copied. */
void decide_missing(struct decision *d, const struct policy_limit *limit,
    const char *why, struct buf *note);

/* A slot of a concurrency limit is asked for by a check that does not reserve. */
void decide_unreserved(
    struct decision *d, const struct policy_limit *limit, struct buf *note);

/* What this process gives of a limit while the store is away. */
struct share {
	struct policy_limit limit; /* with what is given; all it points to is of's */
	const struct policy_limit *of;
	size_t at; /* of's place among the limits of the check */
};

/* What was weighed: all limits of a check, in policy order, with limit, scope and
 * charge filled in. */
struct weighed {
	struct decision_limit *limits;
	size_t n;
	enum store_failure
	    otherwise; /* for limits that say nothing of a failing store */
	/* NULL; or the store failed, and these are the limits that were charged here, in
	 * the place of all others. */
	const struct share *shares;
	enum store_fault failed; /* with shares: how the store did */
};

/* What becomes of a check when the store fails: what one limit says, and the strictest
 * of all. A counter that holds no count is not a store that is away: it denies. */
enum store_failure decide_on_failure(
    const struct weighed *weighed, const struct policy_limit *limit);
enum store_failure decide_strictest(
    const struct weighed *weighed, enum store_fault fault);

/*
 * The store has answered: admitted, refused, failed, or that the request id was used
 * for something else; or there was nothing to ask it (take->n is 0, admitted). The
 * limits' outcomes are filled in here; the decision borrows them. Where the store
 * failed, the strictest of the enforced limits decides; "local" denies where there are no
 * shares. With them, the take is what this process's own store answered.
 */
void decide_taken(struct decision *d, const struct take *take,
    const struct weighed *weighed, struct buf *note);

/* The series in which a decision counts, and the one where it is degraded too. */
enum metric decide_metric(const struct decision *d);
enum metric decide_metric_degraded(const struct decision *d);

#endif
