/* SPDX-License-Identifier: ISC */
/*
 * Turns what the policy and the store said into a decision. Pure.
 *
 * Each decide_ function that takes a decision fills in its verdict, cause, rule, message
 * and limits; policy, tool and grant are there already. Text that has to be composed is
 * written into `note`, which must live as long as the decision; when there is no memory
 * for it, a fixed text takes its place.
 */
#ifndef CHECK_DECIDE_H
#define CHECK_DECIDE_H

#include "base/buf.h"
#include "check/decision.h"

/* Step 1 failed. `asked` is the name that was asked for, absent when none was given. */
void decide_no_policy(struct decision *d, struct slice asked, struct buf *note);

/* What steps 2 to 7 decided, or an allow without limits. */
void decide_ruled(struct decision *d, const struct ruling *ruling);

/* The call lacks what a limit's scope or cost is taken from; `why` says so, and is
 * copied. */
void decide_missing(struct decision *d, const struct policy_limit *limit,
    const char *why, struct buf *note);

/* A check that does not reserve met a concurrency limit, of which only a reservation can
 * hold a slot. */
void decide_unreserved(
    struct decision *d, const struct policy_limit *limit, struct buf *note);

/* The part of a limit that this process gives out while the store is away. */
struct share {
	struct policy_limit
	    limit; /* the part; everything it points to belongs to `of` */
	const struct policy_limit *of;
	size_t at; /* index of `of` among the limits of the check */
};

/* All limits that count in a check, in policy order, with limit, scope and charge filled
 * in. */
struct weighed {
	struct decision_limit *limits;
	size_t n;
	enum store_failure otherwise; /* for limits that do not say what to do when the
					 store fails */
	/* NULL; or, where the store failed and this process counted: the limits that were
	 * charged here, instead of all others. */
	const struct share *shares;
	enum store_fault failed; /* with shares: how the store failed */
};

/* What to do with a check when the store fails: by one limit, and by the strictest of
 * all enforced ones. A counter whose key holds something else (FAULT_WRONGTYPE) always
 * denies: the store is there. */
enum store_failure decide_on_failure(
    const struct weighed *weighed, const struct policy_limit *limit);
enum store_failure decide_strictest(
    const struct weighed *weighed, enum store_fault fault);

/*
 * The store has answered: admitted, refused, failed, or that the request id was used
 * for something else; or there was nothing to ask it (take->n is 0, admitted). Fills in
 * the limits' outcomes, too; the decision borrows the limits. Where the store failed,
 * the strictest of the enforced limits decides; "local" denies unless there are shares.
 * With shares, `take` is what this process's own store answered.
 */
void decide_taken(struct decision *d, const struct take *take,
    const struct weighed *weighed, struct buf *note);

/* The series that counts this decision, and the one that counts it besides when it is
 * degraded. */
enum metric decide_metric(const struct decision *d);
enum metric decide_metric_degraded(const struct decision *d);

#endif
