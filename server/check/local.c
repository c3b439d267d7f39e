/* SPDX-License-Identifier: ISC */
/* A check for which the store failed, and whose strictest limit says "local": it is charged
 * to this process's shares of its limits, which the embedded store counts, all or none.
 * Limits that say "allow" let it through. */
#include <stdlib.h>

#include "check/check_inner.h"

static bool
make_room(struct check *check, size_t n)
{
	struct share *shares;

	if (n <= check->shares_cap)
		return true;
	shares = realloc(check->shares, n * sizeof(*shares));
	if (!shares)
		return false;
	check->shares = shares;
	check->shares_cap = n;
	return true;
}

static void
set_share(
    struct share *share, const struct decision_limit *whole, size_t at, int64_t parts)
{
	share->limit = *whole->limit;
	share->of = whole->limit;
	share->at = at;
	limit_share(&whole->limit->limit, parts, &share->limit.limit);
}

/* Keeps only the limits and charges that are counted here, moved up to the front. A charge
 * is never in front of its new place, since enforced charges are in the order of their
 * limits. */
static void
share_out(struct check *check, const struct weighed *w)
{
	const struct check_options *o = check_options_of(check);
	size_t n = 0;

	for (size_t i = 0; i < check->n_limits; i++) {
		struct decision_limit one = check->limits[i];
		struct share *share = &check->shares[n];

		if (one.limit->shadow ||
		    decide_on_failure(w, one.limit) != STORE_FAILURE_LOCAL)
			continue;
		set_share(share, &one, i, o->local_share);
		check->charges[n] = check->charges[one.charge];
		check->charges[n].limit = &share->limit.limit;
		one.limit = &share->limit;
		one.charge = n;
		check->limits[n++] = one;
	}
	check->n_limits = check->take.n = n;
}

bool
check_local_take(struct check *check, const struct weighed *w)
{
	struct store *local = check_options_of(check)->local;
	struct take *take = &check->take;

	if (!local || check->local ||
	    decide_strictest(w, take->fault) != STORE_FAILURE_LOCAL ||
	    !make_room(check, check->n_limits))
		return false;
	share_out(check, w);
	check->local = true;
	check->failed = take->fault;
	take->status = TAKE_ADMITTED;
	store_take(local, take);
	return true;
}

/* Whether slots would stay taken: who got no reservation cannot give them back. */
static bool
leaves_slots(const struct check *check)
{
	if (check->decision.reservation.len > 0)
		return false;
	for (size_t i = 0; i < check->take.n; i++)
		if (check->charges[i].limit->algorithm == ALGORITHM_CONCURRENCY)
			return true;
	return false;
}

void
check_local_stand(struct check *check)
{
	if (check->decision.verdict == VERDICT_ALLOW && !leaves_slots(check))
		store_stand(check_options_of(check)->store, &check->take);
}
