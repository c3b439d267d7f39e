/* SPDX-License-Identifier: ISC */
/* The operators. To add one: a row here, its function, docs/policy.md, and cases in
 * tests/vectors/conditions.json. */
#include "policy/condition.h"

#include "policy/reader.h"

static enum match
match_of(bool holds)
{
	return holds ? MATCH_YES : MATCH_NO;
}

static enum match
test_eq(const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	(void)s;
	return match_of(operand_eq(got, &c->value));
}

static enum match
test_neq(const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	(void)s;
	return match_of(!operand_eq(got, &c->value));
}

static bool
is_in(const struct condition *c, const struct operand *got)
{
	for (size_t i = 0; i < c->n_values; i++)
		if (operand_eq(got, &c->values[i]))
			return true;
	return false;
}

static enum match
test_in(const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	(void)s;
	return match_of(is_in(c, got));
}

static enum match
test_not_in(
    const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	(void)s;
	return match_of(!is_in(c, got));
}

static enum match
test_lt(const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	(void)s;
	return match_of(got->kind == OPERAND_NUMBER && got->number < c->value.number);
}

static enum match
test_lte(const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	(void)s;
	return match_of(got->kind == OPERAND_NUMBER && got->number <= c->value.number);
}

static enum match
test_gt(const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	(void)s;
	return match_of(got->kind == OPERAND_NUMBER && got->number > c->value.number);
}

static enum match
test_gte(const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	(void)s;
	return match_of(got->kind == OPERAND_NUMBER && got->number >= c->value.number);
}

static enum match
test_regex(
    const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	if (got->kind != OPERAND_TEXT)
		return MATCH_NO;
	return regex_match(c->regex, got->text, s);
}

static bool
list_contains(const json_t *list, const struct operand *value)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		struct operand element;

		if (json_is_null(one))
			continue;
		element = operand_of(one);
		if (operand_eq(&element, value))
			return true;
	}
	return false;
}

static bool
text_contains(struct slice text, struct slice piece)
{
	return text.len >= piece.len &&
	    (piece.len == 0 || memmem(text.ptr, text.len, piece.ptr, piece.len));
}

static enum match
test_contains(
    const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	(void)s;
	if (got->kind == OPERAND_LIST)
		return match_of(list_contains(got->list, &c->value));
	return match_of(got->kind == OPERAND_TEXT && c->value.kind == OPERAND_TEXT &&
	    text_contains(got->text, c->value.text));
}

static enum match
test_exists(
    const struct condition *c, const struct operand *got, struct regex_scratch *s)
{
	(void)s;
	return match_of((got != NULL) == c->value.truth);
}

static const struct condition_op ops[] = {
	{ "eq", VALUE_SCALAR, test_eq, false },
	{ "neq", VALUE_SCALAR, test_neq, false },
	{ "in", VALUE_LIST, test_in, false },
	{ "not_in", VALUE_LIST, test_not_in, false },
	{ "lt", VALUE_NUMBER, test_lt, false },
	{ "lte", VALUE_NUMBER, test_lte, false },
	{ "gt", VALUE_NUMBER, test_gt, false },
	{ "gte", VALUE_NUMBER, test_gte, false },
	{ "regex", VALUE_PATTERN, test_regex, false },
	{ "contains", VALUE_SCALAR, test_contains, false },
	{ "exists", VALUE_BOOL, test_exists, true },
};

const struct condition_op *
condition_op_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

enum match
condition_test(
    const struct condition *c, const struct call *call, struct regex_scratch *scratch)
{
	struct operand got;

	if (path_find(&c->path, call, &got))
		return c->op->test(c, &got, scratch);
	return c->op->of_nothing ? c->op->test(c, NULL, scratch) : MATCH_NO;
}

enum match
entry_test(
    const struct entry *entry, const struct call *call, struct regex_scratch *scratch)
{
	for (size_t i = 0; i < entry->n; i++) {
		enum match said = condition_test(&entry->conditions[i], call, scratch);

		if (said != MATCH_YES)
			return said;
	}
	return MATCH_YES;
}
