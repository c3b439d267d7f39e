/* SPDX-License-Identifier: ISC */
/*
 * "require" and "deny_if": what must, or must not, be true of a call. An entry holds when
 * all of its conditions hold.
 *
 * Ownership: all of it lives in the policy's arena, except compiled patterns, which the
 * policy frees.
 */
#ifndef POLICY_CONDITION_H
#define POLICY_CONDITION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "policy/operand.h"
#include "policy/path.h"
#include "policy/regex.h"

#define CONDITION_ENTRIES_MAX 64 /* in one list of require or deny_if */
#define CONDITION_MAX 16         /* in one entry */
#define CONDITION_VALUES_MAX 256 /* in one value of "in" or "not_in" */

struct condition;

/* Which values of a document an operator takes. */
enum condition_value {
	VALUE_SCALAR, /* a string, a number, true or false */
	VALUE_NUMBER,
	VALUE_BOOL,
	VALUE_LIST, /* of scalars, not empty */
	VALUE_PATTERN
};

/* An operator is one row of the table in condition.c. */
struct condition_op {
	const char *name;
	enum condition_value value;
	/* `got` is what the path led to; NULL when it led nowhere, only with of_nothing. */
	enum match (*test)(const struct condition *c, const struct operand *got,
	    struct regex_scratch *scratch);
	bool
	    of_nothing; /* `exists`: also tested where the path leads nowhere; for other
			    operators that is MATCH_NO */
};

struct condition {
	struct path path;
	const struct condition_op *op;
	struct operand value;   /* VALUE_SCALAR, VALUE_NUMBER, VALUE_BOOL */
	struct operand *values; /* VALUE_LIST */
	size_t n_values;
	struct regex *regex; /* VALUE_PATTERN */
};

struct entry {
	bool
	    required; /* of "require": denies unless it holds; else denies if it holds */
	struct condition *conditions;
	size_t n;
	char *rule;
	char *message;
};

/* NULL when there is none of that name. */
const struct condition_op *condition_op_find(const char *name);

/* Appends a value of a document as messages show it, cut when it is long. */
void condition_add_scalar(const struct operand *value, struct buf *out);

/* What one condition says of a call. */
enum match condition_test(
    const struct condition *c, const struct call *call, struct regex_scratch *scratch);

/* Whether all conditions of an entry hold; stops at the first that does not, or whose
 * pattern could not be matched. */
enum match entry_test(
    const struct entry *entry, const struct call *call, struct regex_scratch *scratch);

#endif
