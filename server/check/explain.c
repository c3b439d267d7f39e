/* SPDX-License-Identifier: ISC */
/* Why a check is decided as it is: the steps once more, with what each of them found. */
#include <stdlib.h>

#include "check/check_inner.h"

struct explaining {
	struct explanation ex; /* what is told */
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

/* Only now, for the buffer may have moved: until then a key holds its length alone. */
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

/* The limits of the call with their keys, up to the first whose counter it cannot
 * name. */
static int
list_limits(struct explaining *explaining, const struct call *call)
{
	struct explanation *ex = &explaining->ex;
	int rc = 0;

	ex->limits = calloc(ex->steps.n_limits + 1, sizeof(*ex->limits));
	if (!ex->limits)
		return ERR_NOMEM;
	ex->n_limits = ex->lacking = ex->steps.n_limits;
	for (size_t i = 0; i < ex->n_limits; i++) {
		struct explanation_limit *el = &ex->limits[i];
		size_t begin = explaining->keys.len;
		struct policy_charge charge = { .limit = ex->steps.limits[i] };
		struct errinfo why;

		el->limit = charge.limit;
		el->scope = charge.limit->scope.text;
		if (rc < 0)
			continue; /* a check goes no further, too */
		rc =
		    policy_charge(charge.limit, call, &explaining->keys, &charge, &why);
		if (rc == ERR_NOMEM)
			return rc;
		if (rc < 0 && charge.limit->shadow) {
			el->missing = true;
			rc = 0;
			continue;
		}
		if (rc < 0) {
			ex->lacking = i;
			continue;
		}
		el->limit = charge.limit;
		el->scope = charge.scope;
		el->cost = charge.cost;
		el->key.len = explaining->keys.len - begin;
	}
	point_keys(explaining);
	return 0;
}

/* The steps behind the policy's own: limits, or that there are none. */
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
	rc = list_limits(explaining, &request->call);
	ex->decided = step_of_limits(ex);
	return rc;
}

void
check_explain_taken(struct check *check)
{
	struct explanation *ex = &check->explaining->ex;
	const struct take *take = &check->take;

	if (take->status == TAKE_FAILED)
		return;
	ex->looked = true;
	if (take->status == TAKE_ADMITTED)
		ex->decided = STEP_ALLOW;
	for (size_t i = 0; i < ex->n_limits; i++) {
		struct explanation_limit *el = &ex->limits[i];
		const struct charge *c;

		if (el->missing)
			continue; /* and has no charge */
		c = &take->charges[check->limits[i].charge];
		/* Of a shadow limit the store says it: its counter may be none. */
		el->fits = c->shadow
		    ? !c->lacked
		    : limit_fits(c->limit, c->count, c->cost, take->now_us);
		el->outcome =
		    limit_report(c->limit, c->count, c->cost, take->now_us, !el->fits);
	}
}
