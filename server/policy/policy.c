/* SPDX-License-Identifier: ISC */
/* What a finished policy answers. Nothing here allocates, but for the key's buffer. */
#include "policy/policy.h"

#include <stdlib.h>

#include "policy/compiled.h"
#include "policy/quote.h"
#include "policy/scope.h"

void
policy_free(struct policy *policy)
{
	if (!policy)
		return;
	map_fini(&policy->by_tool);
	arena_fini(&policy->arena);
	free(policy);
}

const char *
policy_name(const struct policy *policy)
{
	return policy->name;
}

const char *
policy_description(const struct policy *policy)
{
	return policy->description;
}

const char *
policy_hash(const struct policy *policy)
{
	return policy->hash;
}

size_t
policy_tool_count(const struct policy *policy)
{
	return policy->n_tools;
}

size_t
policy_limit_count(const struct policy *policy)
{
	return policy->n_limits;
}

void
policy_rule(const struct policy *policy, const struct call *call, struct ruling *out)
{
	const struct ruling *found = map_get(&policy->by_tool, call->tool);

	*out = found ? *found : policy->unlisted;
}

static int
fault_missing(const struct policy_limit *limit, const struct scope_part *missing,
    struct errinfo *ei)
{
	char counter[QUOTE_MAX];
	char name[QUOTE_MAX];

	quote_name(counter, slice_str(limit->counter));
	if (missing->source == SCOPE_SESSION)
		return err_set(ei, ERR_NOTFOUND,
		    "limit %s counts by session, and the call has none", counter);
	return err_set(ei, ERR_NOTFOUND,
	    "limit %s counts by the attribute %s, and the call has none of that name",
	    counter, quote_name(name, slice_str(missing->name)));
}

int
policy_charge(const struct policy_limit *limit, const struct call *call,
    struct buf *key, struct policy_charge *out, struct errinfo *ei)
{
	const struct scope_part *missing = NULL;
	size_t start = key->len;

	buf_add_str(key, limit->key_head);
	if (scope_add_key(&limit->scope, call, key, &out->scope, &missing) < 0) {
		key->len = start;
		return fault_missing(limit, missing, ei);
	}
	buf_add_str(key, limit->key_tail);
	if (key->failed) {
		key->len = start;
		return err_set(ei, ERR_NOMEM, "out of memory");
	}
	out->cost = limit->cost >= 0 ? limit->cost : call->cost;
	return 0;
}
