/* SPDX-License-Identifier: ISC */
#include "policy/operand.h"

struct operand
operand_of(const json_t *value)
{
	static const enum operand_kind kinds[] = {
		[JSON_OBJECT] = OPERAND_OBJECT,
		[JSON_ARRAY] = OPERAND_LIST,
		[JSON_STRING] = OPERAND_TEXT,
		[JSON_INTEGER] = OPERAND_NUMBER,
		[JSON_REAL] = OPERAND_NUMBER,
		[JSON_TRUE] = OPERAND_BOOL,
		[JSON_FALSE] = OPERAND_BOOL,
	};
	struct operand o = { .kind = kinds[json_typeof(value)] };

	o.truth = json_is_true(value);
	/* A whole number beyond 2^53 is rounded here, but never to one that a document may
	 * contain: those are smaller. */
	o.number = json_number_value(value);
	o.text = slice_make(json_string_value(value), json_string_length(value));
	o.list = value;
	return o;
}

bool
operand_eq(const struct operand *a, const struct operand *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == OPERAND_TEXT)
		return slice_eq(a->text, b->text);
	if (a->kind == OPERAND_NUMBER)
		return a->number == b->number;
	return a->kind == OPERAND_BOOL && a->truth == b->truth;
}
