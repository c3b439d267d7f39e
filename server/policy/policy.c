/* SPDX-License-Identifier: ISC */
/* What a finished policy answers. Nothing here allocates, except the key's buffer. */
#include "policy/policy.h"

#include <assert.h>
#include <stdlib.h>

#include "base/num.h"
#include "policy/compiled.h"
#include "policy/condition.h"
#include "policy/path.h"
#include "policy/policy_calendar.h"
#include "policy/quote.h"
#include "policy/scope.h"

void
policy_free(struct policy *policy)
{
	if (!policy)
		return;
	map_fini(&policy->by_tool);
	for (size_t i = 0; i < policy->n_regexes; i++)
		regex_free(policy->regexes[i]);
	free(policy->regexes);
	calendar_free(policy);
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

enum store_failure
policy_on_store_failure(const struct policy *policy)
{
	return policy->on_store_failure;
}

size_t
policy_limit_count(const struct policy *policy)
{
	return policy->n_limits;
}

bool
policy_keep_regex(struct policy *policy, struct regex *regex)
{
	size_t n = policy->n_regexes;
	struct regex **more = policy->regexes;

	/* The room grows by powers of two. */
	if ((n & (n - 1)) == 0)
		more = realloc(more, (n ? 2 * n : 1) * sizeof(struct regex *));
	if (!more) {
		regex_free(regex);
		return false;
	}
	policy->regexes = more;
	policy->regexes[policy->n_regexes++] = regex;
	return true;
}

/* Whether an entry denies; then *message says why. */
static bool
entry_denies(const struct entry *entry, const struct call *call,
    struct regex_scratch *scratch, const char **message)
{
	static const char *const unknown[] = {
		[MATCH_TOO_LONG] =
		    "the call is denied because a regular expression of this rule "
		    "was to be matched with a text of more than 65536 bytes",
		[MATCH_TOO_HARD] =
		    "the call is denied because the regular expressions of this tool "
		    "met the limit of what they may cost with these arguments",
	};
	enum match said = entry_test(entry, call, scratch);

	if (said == (entry->required ? MATCH_YES : MATCH_NO))
		return false;
	*message = said > MATCH_YES ? unknown[said] : entry->message;
	return true;
}

void
policy_rule(const struct policy *policy, const struct call *call,
    struct regex_scratch *scratch, struct ruling *out)
{
	const struct answer *found = map_get(&policy->by_tool, call->tool);
	const char *message;

	if (!found)
		found = &policy->unlisted;
	*out = found->ruling;
	if (LIKELY(found->n_entries == 0))
		return;
	if (scratch)
		regex_scratch_refill(scratch);
	for (size_t i = 0; i < found->n_entries; i++) {
		const struct entry *entry = &found->entries[i];

		if (!entry_denies(entry, call, scratch, &message))
			continue;
		*out = (struct ruling){
			.verdict = VERDICT_DENY, .rule = entry->rule, .message = message
		};
		return;
	}
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

/* Reads an argument as a cost; a fraction rounds up. Returns NULL, or why it is not one. */
static const char *
cost_of(const struct path *path, const struct call *call, int64_t *out)
{
	struct operand value;

	if (!path_find(path, call, &value))
		return "is missing";
	if (value.kind != OPERAND_NUMBER)
		return "is not a number";
	if (value.number < 0)
		return "is negative";
	/* Checked before the cast, which would be undefined. */
	if (value.number > (double)NUM_MAX)
		return "is over 9007199254740991";
	*out = (int64_t)value.number;
	*out += (double)*out < value.number;
	return NULL;
}

static int
set_cost(const struct policy_limit *limit, const struct call *call, int64_t *out,
    struct errinfo *ei)
{
	char counter[QUOTE_MAX];
	char path[QUOTE_MAX];
	const char *why;

	if (limit->limit.algorithm == ALGORITHM_CONCURRENCY) {
		*out = 1;
		return 0;
	}
	*out = limit->cost >= 0 ? limit->cost : call->cost;
	if (LIKELY(!limit->cost_from))
		return 0;
	why = cost_of(limit->cost_from, call, out);
	if (!why)
		return 0;
	return err_set(ei, ERR_INVALID,
	    "limit %s takes what the argument %s says, and that %s",
	    quote_name(counter, slice_str(limit->counter)),
	    quote_name(path, slice_str(limit->cost_from->text)), why);
}

const char *
policy_limit_cost_path(const struct policy_limit *limit)
{
	return limit->cost_from ? limit->cost_from->text : NULL;
}

/* The limit with the max that holds for this call. */
static const struct policy_limit *
override_find(const struct policy_limit *limit, const struct call *call)
{
	struct slice value = scope_value(&limit->scope.parts[0], call);
	size_t low = 0;
	size_t high = limit->n_overrides;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = slice_cmp(value, limit->overrides[middle].value);

		if (c == 0)
			return &limit->overrides[middle].limit;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return limit;
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
	out->limit = limit->n_overrides == 0 ? limit : override_find(limit, call);
	if (set_cost(limit, call, &out->cost, ei) < 0) {
		key->len = start;
		return ERR_INVALID;
	}
	out->corrects =
	    limit->cost < 0 && limit->limit.algorithm != ALGORITHM_CONCURRENCY;
	return 0;
}

const struct policy_limit *
policy_counter(const struct policy_limit *limit, const struct call *call,
    struct buf *key, const char **scope)
{
	const struct scope_part *missing = NULL;
	int rc;

	buf_add_str(key, limit->key_head);
	rc = scope_add_key(&limit->scope, call, key, scope, &missing);
	assert(rc == 0);
	(void)rc;
	buf_add_str(key, limit->key_tail);
	return limit->n_overrides == 0 ? limit : override_find(limit, call);
}
