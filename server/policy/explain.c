/* SPDX-License-Identifier: ISC */
#include "policy/explain.h"

#include <stdlib.h>
#include <string.h>

#include "policy/compiled.h"
#include "policy/condition.h"

#define VALUES_SHOWN 8 /* of a list; the rest is counted */

/* Whether the operator can be true of a value of that kind. */
static bool
takes_kind(const struct condition *c, enum operand_kind kind)
{
	if (c->op == condition_op_find("contains") && kind != OPERAND_TEXT)
		return kind == OPERAND_LIST;
	switch (c->op->value) {
	case VALUE_NUMBER:
		return kind == OPERAND_NUMBER;
	case VALUE_PATTERN:
		return kind == OPERAND_TEXT;
	case VALUE_LIST:
		for (size_t i = 0; i < c->n_values; i++)
			if (c->values[i].kind == kind)
				return true;
		return false;
	case VALUE_SCALAR:
		return kind == c->value.kind;
	case VALUE_BOOL:
		break;
	}
	return true;
}

static enum finding
why_not(const struct condition *c, const struct call *call)
{
	struct operand got;

	if (!path_find(&c->path, call, &got))
		return FINDING_MISSING;
	if (c->op->of_nothing)
		return FINDING_PRESENT;
	return takes_kind(c, got.kind) ? FINDING_VALUE : FINDING_TYPE;
}

/* In the order of entry_test(), which stops at the first that does not hold. */
static enum match
explain_conditions(const struct entry *entry, const struct call *call,
    struct regex_scratch *scratch, struct condition_finding *out)
{
	enum match said = MATCH_YES;

	for (size_t i = 0; i < entry->n && said == MATCH_YES; i++) {
		const struct condition *c = &entry->conditions[i];

		said = condition_test(c, call, scratch);
		if (said == MATCH_YES)
			out[i].finding = FINDING_HOLDS;
		else if (said == MATCH_NO)
			out[i].finding = why_not(c, call);
		else
			out[i].finding = said == MATCH_TOO_LONG ? FINDING_TOO_LONG
								: FINDING_TOO_HARD;
	}
	return said;
}

static size_t
count_conditions(const struct answer *answer)
{
	size_t n = 0;

	for (size_t i = 0; i < answer->n_entries; i++)
		n += answer->entries[i].n;
	return n;
}

static void
add_value(const struct condition *c, struct buf *out)
{
	size_t n = c->n_values < VALUES_SHOWN ? c->n_values : VALUES_SHOWN;

	if (c->op->value != VALUE_LIST) {
		condition_add_scalar(&c->value, out);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		buf_add_str(out, i > 0 ? ", " : "[");
		condition_add_scalar(&c->values[i], out);
	}
	if (n < c->n_values)
		buf_printf(out, ", and %zu more", c->n_values - n);
	buf_add_char(out, ']');
}

/* A condition that was not asked yet. Its value has just its length, since the buffer may
 * still move. */
static struct condition_finding
list_condition(const struct condition *c, struct buf *values)
{
	size_t begin = values->len;
	struct condition_finding out = {
		.path = c->path.text, .op = c->op->name, .finding = FINDING_NOT_ASKED
	};

	add_value(c, values);
	out.value.len = values->len - begin;
	return out;
}

/* Lists every entry of the policy, none of them asked yet. */
static int
list_entries(const struct answer *answer, struct policy_explanation *out)
{
	size_t n = count_conditions(answer);
	struct condition_finding *at;

	out->entries = calloc(answer->n_entries + 1, sizeof(*out->entries));
	out->conditions = calloc(n + 1, sizeof(*out->conditions));
	if (!out->entries || !out->conditions)
		return ERR_NOMEM;
	at = out->conditions;
	out->n_entries = answer->n_entries;
	for (size_t i = 0; i < answer->n_entries; i++) {
		const struct entry *entry = &answer->entries[i];

		out->entries[i] = (struct entry_finding){ .rule = entry->rule,
			.message = entry->message,
			.required = entry->required,
			.conditions = at,
			.n_conditions = entry->n };
		for (size_t k = 0; k < entry->n; k++)
			*at++ = list_condition(&entry->conditions[k], &out->values);
	}
	for (size_t i = 0, begin = 0; i < n; i++) {
		out->conditions[i].value.ptr = out->values.data + begin;
		begin += out->conditions[i].value.len;
	}
	return out->values.failed ? ERR_NOMEM : 0;
}

/* Asks the entries until one denies; then *decided is the step of that one. */
static void
ask_entries(const struct answer *answer, const struct call *call,
    struct regex_scratch *scratch, struct policy_explanation *out)
{
	struct condition_finding *at = out->conditions;

	if (scratch)
		regex_scratch_refill(scratch);
	for (size_t i = 0; i < answer->n_entries; i++) {
		const struct entry *entry = &answer->entries[i];
		enum match said = explain_conditions(entry, call, scratch, at);

		out->entries[i].asked = true;
		out->entries[i].denies =
		    said != (entry->required ? MATCH_YES : MATCH_NO);
		at += entry->n;
		if (!out->entries[i].denies)
			continue;
		out->decided = entry->required ? STEP_REQUIRE : STEP_DENY_IF;
		return;
	}
}

/* The step that a verdict without entries and limits comes from. */
static enum policy_step
step_of(const struct policy_explanation *ex)
{
	if (!ex->listed)
		return ex->default_allow ? STEP_LIMITS : STEP_DEFAULT;
	switch (ex->action) {
	case VERDICT_DENY:
		return STEP_ACTION;
	case VERDICT_APPROVAL:
		return STEP_APPROVAL;
	case VERDICT_ALLOW:
		break;
	}
	return STEP_LIMITS;
}

int
policy_explain(const struct policy *policy, const struct call *call,
    struct regex_scratch *scratch, struct policy_explanation *out)
{
	const struct answer *found = map_get(&policy->by_tool, call->tool);

	memset(out, 0, sizeof(*out));
	out->listed = found != NULL;
	out->default_allow = policy->default_allow;
	out->action = VERDICT_ALLOW;
	if (policy->hide_all || found == &policy->hidden) {
		out->decided = STEP_HIDDEN;
		return 0;
	}
	if (!found)
		found = &policy->unlisted;
	if (out->listed)
		out->action = found->ruling.verdict;
	out->decided = step_of(out);
	if (list_entries(found, out) < 0)
		return ERR_NOMEM;
	ask_entries(found, call, scratch, out);
	if (out->decided == STEP_LIMITS) {
		out->limits = found->ruling.limits;
		out->n_limits = found->ruling.n_limits;
	}
	return 0;
}

void
policy_explanation_fini(struct policy_explanation *ex)
{
	free(ex->entries);
	free(ex->conditions);
	buf_fini(&ex->values);
	memset(ex, 0, sizeof(*ex));
}
