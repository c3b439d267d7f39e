/* SPDX-License-Identifier: ISC */
/* Which counters a grant has, worked out once, when a policy is read: so nobody has to go
 * through all of its limits, or through all keys of a store, to find them. */
#include "policy/compiled.h"

struct collector {
	struct arena *arena;
	struct policy *policy;
	struct map seen; /* its keys are what tells two counters apart */
	bool failed;
};

static bool
is_of_grant(const struct scope *scope)
{
	if (scope->n == 0)
		return true;
	return scope->n == 1 &&
	    (scope->parts[0].source == SCOPE_GRANT ||
		scope->parts[0].source == SCOPE_SESSION_OR_GRANT);
}

/* What two limits have in common when one line can stand for both. Overrides may differ
 * between two limits on one counter, so a limit that has some gets a line of its own. */
static char *
identity(const struct collector *c, const struct policy_limit *limit)
{
	struct buf text = { 0 };
	char *copy;

	buf_add_str(&text, limit->scope.n == 0 ? "global " : "grant ");
	buf_add_str(&text, limit->key_tail);
	buf_printf(&text, " %lld %lld%s %s", (long long)limit->limit.max,
	    (long long)limit_capacity(&limit->limit), limit->shadow ? " shadow" : "",
	    limit->n_overrides > 0 ? limit->rule : "");
	copy = text.failed ? NULL : arena_copy(c->arena, buf_slice(&text));
	buf_fini(&text);
	return copy;
}

static void
collect(struct collector *c, const struct policy_limit *limit)
{
	struct policy *policy = c->policy;
	char *id;

	if (!is_of_grant(&limit->scope)) {
		policy->n_of_others++;
		return;
	}
	id = identity(c, limit);
	if (!id) {
		c->failed = true;
		return;
	}
	if (map_get(&c->seen, slice_str(id)))
		return;
	c->failed |= map_set(&c->seen, slice_str(id), id) < 0;
	policy->of_grant[policy->n_of_grant++] = limit;
}

static void
collect_list(struct collector *c, const struct limit_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		collect(c, &list->items[i]);
}

bool
grant_limits_join(struct reader *r, struct policy *policy)
{
	struct collector c = { .arena = r->arena, .policy = policy };

	policy->of_grant =
	    arena_get(r->arena, policy->n_limits * sizeof(*policy->of_grant));
	if (!policy->of_grant)
		return false;
	for (size_t i = 0; i < policy->n_tools; i++) {
		collect_list(&c, &policy->tools[i].limits);
		if (policy->tools[i].rate)
			collect(&c, policy->tools[i].rate);
	}
	collect_list(&c, &policy->all_tools);
	map_fini(&c.seen);
	return !c.failed;
}

const struct policy_limit *const *
policy_grant_limits(const struct policy *policy, size_t *n, size_t *others)
{
	*n = policy->n_of_grant;
	if (others)
		*others = policy->n_of_others;
	return policy->of_grant;
}
