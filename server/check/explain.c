/* SPDX-License-Identifier: ISC */
/* Why a check is decided as it is: the steps again, with what each of them found. */
#include <stdlib.h>

#include "check/check_inner.h"

struct explaining {
	struct explanation ex; /* what check_explanation() returns */
	struct buf keys;       /* of its limits, one after another */
};

const struct explanation *
check_explanation(const struct check *check)
{
	return check->explaining ? &check->explaining->ex : NULL;
}

void
check_explaining_free(struct explaining *explaining)
{
	if (!explaining)
		return;
	policy_explanation_fini(&explaining->ex.steps);
	buf_fini(&explaining->keys);
	free(explaining->ex.limits);
	free(explaining);
}

/* Only now, since the buffer may have moved: until then a key has just its length. */
static void
point_keys(struct explaining *explaining)
{
	const char *at = explaining->keys.data;

	for (size_t i = 0; i < explaining->ex.n_limits; i++) {
		struct slice *key = &explaining->ex.limits[i].key;

		key->ptr = key->len > 0 ? at : NULL;
		at += key->len;
	}
}

/* Fills in one limit and its key. 0; ERR_NOTFOUND or ERR_INVALID when the call cannot be
 * charged for it; ERR_NOMEM. */
static int
list_limit(struct check *check, const struct call *call, struct explanation_limit *el)
{
	struct buf *keys = &check->explaining->keys;
	struct policy_charge charge = { .limit = el->limit };
	size_t begin = keys->len;
	struct errinfo why;
	int rc = ERR_INVALID;

	el->unreserved = check_needs_reserve(check, el->limit);
	if (!el->unreserved)
		rc = policy_charge(el->limit, call, keys, &charge, &why);
	if (rc == 0) {
		el->limit = charge.limit;
		el->scope = charge.scope;
		el->cost = charge.cost;
		el->key.len = keys->len - begin;
	}
	return rc;
}

/* Fills in the call's limits and their keys, up to the first that it cannot be charged
 * for. */
static int
list_limits(struct check *check, const struct call *call)
{
	struct explanation *ex = &check->explaining->ex;

	ex->limits = calloc(ex->steps.n_limits + 1, sizeof(*ex->limits));
	if (!ex->limits)
		return ERR_NOMEM;
	ex->n_limits = ex->lacking = ex->steps.n_limits;
	for (size_t i = 0; i < ex->n_limits; i++) {
		struct explanation_limit *el = &ex->limits[i];
		int rc;

		el->limit = ex->steps.limits[i];
		el->scope = el->limit->scope.text;
		if (ex->lacking < i)
			continue; /* a check goes no further, either */
		rc = list_limit(check, call, el);
		if (rc == ERR_NOMEM)
			return rc;
		el->missing = rc < 0 && el->limit->shadow;
		if (rc < 0 && !el->limit->shadow)
			ex->lacking = i;
	}
	point_keys(check->explaining);
	return 0;
}

/* The steps after the policy's own: the limits, or that there are none. */
static enum policy_step
step_of_limits(const struct explanation *ex)
{
	return ex->n_limits == 0 ? STEP_ALLOW : STEP_LIMITS;
}

int
check_explain(struct check *check, const struct check_request *request,
    struct regex_scratch *scratch)
{
	const struct policy *policy = policy_set_find(check->policies, request->policy);
	struct explaining *explaining = calloc(1, sizeof(*explaining));
	struct explanation *ex;
	int rc;

	if (!explaining)
		return ERR_NOMEM;
	check->explaining = explaining;
	ex = &explaining->ex;
	ex->named = request->policy.len > 0;
	ex->policy_hash = policy ? policy_hash(policy) : "";
	ex->decided = STEP_POLICY;
	if (!policy)
		return 0;
	rc = policy_explain(policy, &request->call, scratch, &ex->steps);
	ex->decided = ex->steps.decided;
	if (rc < 0 || ex->decided != STEP_LIMITS)
		return rc;
	rc = list_limits(check, &request->call);
	ex->decided = step_of_limits(ex);
	return rc;
}

/* For a shadow limit the store says whether it fits, since its key may hold no count. And
 * what is replayed was admitted, so it fitted. */
static void
read_count(struct explanation_limit *el, const struct charge *c,
    const struct take *take, bool replayed)
{
	if (c->shadow)
		el->fits = !c->lacked;
	else
		el->fits =
		    replayed || limit_fits(c->limit, c->count, c->cost, take->now_us);
	el->outcome =
	    limit_report(c->limit, c->count, c->cost, take->now_us, !el->fits);
}

/* Only the limits that say "local" were counted. */
static void
read_shares(struct check *check, struct explanation *ex)
{
	for (size_t i = 0; i < ex->n_limits; i++)
		ex->limits[i].uncounted = true;
	for (size_t k = 0; k < check->n_limits; k++) {
		struct explanation_limit *el = &ex->limits[check->shares[k].at];

		el->uncounted = false;
		el->limit = &check->shares[k].limit;
		read_count(el, &check->take.charges[k], &check->take, ex->replayed);
	}
}

void
check_explain_taken(struct check *check)
{
	struct explanation *ex = &check->explaining->ex;
	const struct take *take = &check->take;

	if (take->status == TAKE_FAILED || take->status == TAKE_CONFLICT)
		return;
	ex->looked = true;
	ex->replayed = check->decision.replayed;
	if (take->status == TAKE_ADMITTED)
		ex->decided = STEP_ALLOW;
	if (check->local) {
		read_shares(check, ex);
		return;
	}
	for (size_t i = 0; i < ex->n_limits; i++) {
		struct explanation_limit *el = &ex->limits[i];

		if (!el->missing) /* so it has a charge */
			read_count(el, &take->charges[check->limits[i].charge], take,
			    ex->replayed);
	}
}
