/* SPDX-License-Identifier: ISC */
/* What is worked out once the whole document was read: that no call meets one counter
 * twice; and every tool's ruling, so that a check only has to look it up. */
#include "policy/compiled.h"
#include "policy/position.h"
#include "policy/quote.h"
#include "policy/scope.h"

/* Whether there can be a call that would be charged in the same key for both. */
static bool
same_key(const struct policy_limit *a, const struct policy_limit *b)
{
	return a->key_tail && b->key_tail && strcmp(a->key_tail, b->key_tail) == 0 &&
	    scope_overlaps(&a->scope, &b->scope);
}

/* The first limit of the list that has the same key; NULL without one. */
static const struct policy_limit *
find_same(const struct limit_list *list, const struct policy_limit *limit)
{
	for (size_t i = 0; i < list->n; i++)
		if (same_key(&list->items[i], limit))
			return &list->items[i];
	return NULL;
}

static void
fault_twice(struct reader *r, const struct policy_limit *limit, const char *where)
{
	char quoted[QUOTE_MAX];

	reader_fault(r, ERR_INVALID,
	    "the counter %s with this window and scope is in "
	    "%s too, so a call would be charged twice",
	    quote_name(quoted, slice_str(limit->counter)), where);
}

static void
compare_list(
    struct reader *r, const struct policy *policy, const struct policy_tool *tool)
{
	size_t mark = reader_enter(r, slice_str("limits"));

	for (size_t i = 0; i < tool->limits.n; i++) {
		size_t at;

		if (!find_same(&policy->all_tools, &tool->limits.items[i]))
			continue;
		at = reader_enter_at(r, i);
		reader_enter(r, slice_str("counter"));
		fault_twice(r, &tool->limits.items[i], "all_tools.limits");
		reader_leave(r, at);
	}
	reader_leave(r, mark);
}

static void
compare_rate(
    struct reader *r, const struct policy *policy, const struct policy_tool *tool)
{
	size_t mark = reader_enter(r, slice_str("rate_limit"));

	if (find_same(&tool->limits, tool->rate))
		fault_twice(r, tool->rate, "this tool's limits");
	if (find_same(&policy->all_tools, tool->rate))
		fault_twice(r, tool->rate, "all_tools.limits");
	reader_leave(r, mark);
}

static void
compare_tool(
    struct reader *r, const struct policy *policy, const struct policy_tool *tool)
{
	size_t mark = reader_enter(r, slice_str("tools"));

	reader_enter(r, slice_str(tool->name));
	compare_list(r, policy, tool);
	if (tool->rate)
		compare_rate(r, policy, tool);
	reader_leave(r, mark);
}

/* The limits of a call of `tool` in policy order. */
static bool
set_allowed(struct reader *r, const struct policy *policy, struct policy_tool *tool)
{
	size_t own = tool->limits.n + (tool->rate ? 1 : 0);
	const struct policy_limit **limits;
	size_t n = 0;

	tool->answer = policy->allowed;
	/* Most tools have no limits of their own: they share one list. */
	if (own == 0)
		return true;
	limits = arena_get(r->arena, (own + policy->all_tools.n) * sizeof(*limits));
	if (!limits)
		return false;
	for (size_t i = 0; i < tool->limits.n; i++)
		limits[n++] = &tool->limits.items[i];
	if (tool->rate)
		limits[n++] = tool->rate;
	for (size_t i = 0; i < policy->all_tools.n; i++)
		limits[n++] = &policy->all_tools.items[i];
	tool->answer.ruling.limits = limits;
	tool->answer.ruling.n_limits = n;
	return true;
}

/* The verdict of an "action" other than allow. */
static bool
set_action(struct reader *r, struct policy_tool *tool)
{
	static const char *const messages[] = {
		[VERDICT_DENY] = "the policy denies this tool",
		[VERDICT_APPROVAL] = "the policy requires an approval of this call",
	};
	const char *reason = tool->reason ? tool->reason : messages[tool->action];
	struct buf rule = { 0 };

	buf_add_str(&rule, "/tools");
	position_pointer_add(&rule, slice_str(tool->name));
	buf_add_str(&rule, "/action");
	tool->answer.ruling = (struct ruling){ .verdict = tool->action,
		.rule = rule.failed ? NULL : arena_copy(r->arena, buf_slice(&rule)),
		.message = reason };
	buf_fini(&rule);
	return tool->answer.ruling.rule != NULL;
}

/* What is required comes before what is denied. */
static bool
set_entries(struct reader *r, struct policy_tool *tool)
{
	size_t n = tool->require.n + tool->deny_if.n;
	struct entry *entries;

	if (n == 0)
		return true;
	entries = arena_get(r->arena, n * sizeof(*entries));
	if (!entries)
		return false;
	for (size_t i = 0; i < tool->require.n; i++)
		entries[i] = tool->require.items[i];
	for (size_t i = 0; i < tool->deny_if.n; i++)
		entries[tool->require.n + i] = tool->deny_if.items[i];
	tool->answer.entries = entries;
	tool->answer.n_entries = n;
	return true;
}

static bool
join_tool(struct reader *r, struct policy *policy, struct policy_tool *tool)
{
	struct slice name = slice_str(tool->name);
	bool ok = tool->action == VERDICT_ALLOW ? set_allowed(r, policy, tool)
						: set_action(r, tool);

	/* A tool that is denied anyway needs no conditions. */
	if (ok && tool->action != VERDICT_DENY)
		ok = set_entries(r, tool);
	/* That a tool is hidden comes before anything that its own entry says. */
	if (!ok || map_get(&policy->by_tool, name))
		return ok;
	return map_set(&policy->by_tool, name, &tool->answer) == 0;
}

/* The rulings that many tools share. */
static bool
join_common(struct reader *r, struct policy *policy)
{
	size_t n = policy->all_tools.n;
	const struct policy_limit **limits = arena_get(r->arena, n * sizeof(*limits));

	if (!limits)
		return false;
	for (size_t i = 0; i < n; i++)
		limits[i] = &policy->all_tools.items[i];
	policy->allowed.ruling = (struct ruling){ .verdict = VERDICT_ALLOW,
		.rule = "",
		.message = "",
		.limits = limits,
		.n_limits = n };
	policy->hidden.ruling = (struct ruling){ .verdict = VERDICT_DENY,
		.rule = "(hidden)",
		.message = "this tool is hidden" };
	policy->unlisted.ruling = (struct ruling){ .verdict = VERDICT_DENY,
		.rule = "(default deny)",
		.message = "this tool is not listed in the policy" };
	if (policy->default_allow)
		policy->unlisted = policy->allowed;
	if (policy->hide_all)
		policy->unlisted = policy->hidden;
	return true;
}

/* A limit without an on_store_failure of its own takes the document's. */
static void
settle_limit(const struct policy *policy, struct policy_limit *limit)
{
	if (limit->on_store_failure == STORE_FAILURE_UNSAID)
		limit->on_store_failure = policy->on_store_failure;
	for (size_t i = 0; i < limit->n_overrides; i++)
		limit->overrides[i].limit.on_store_failure = limit->on_store_failure;
}

static void
settle_limits(struct policy *policy)
{
	for (size_t i = 0; i < policy->all_tools.n; i++)
		settle_limit(policy, &policy->all_tools.items[i]);
	for (size_t i = 0; i < policy->n_tools; i++) {
		struct policy_tool *tool = &policy->tools[i];

		for (size_t k = 0; k < tool->limits.n; k++)
			settle_limit(policy, &tool->limits.items[k]);
		if (tool->rate)
			settle_limit(policy, tool->rate);
	}
}

bool
policy_join(struct reader *r, struct policy *policy)
{
	bool ok;

	for (size_t i = 0; i < policy->n_tools; i++)
		if (policy->tools[i].name)
			compare_tool(r, policy, &policy->tools[i]);
	if (r->faults > 0)
		return true;
	settle_limits(policy);
	ok = join_common(r, policy);
	for (size_t i = 0; ok && !policy->hide_all && i < policy->n_tools; i++)
		ok = join_tool(r, policy, &policy->tools[i]);
	return ok && grant_limits_join(r, policy);
}
