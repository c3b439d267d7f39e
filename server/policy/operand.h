/* SPDX-License-Identifier: ISC */
/* A value as conditions compare it, from a call or from a document. Pure. */
#ifndef POLICY_OPERAND_H
#define POLICY_OPERAND_H

#include <jansson.h>
#include <stdbool.h>

#include "base/slice.h"

enum operand_kind {
	OPERAND_TEXT,
	OPERAND_NUMBER,
	OPERAND_BOOL,
	OPERAND_LIST,
	OPERAND_OBJECT
};

/* Only the member for its kind is valid; an object has none. */
struct operand {
	enum operand_kind kind;
	bool truth;
	double number;
	struct slice text;  /* a view */
	const json_t *list; /* borrowed */
};

/* A view of a JSON value that is not null. */
struct operand operand_of(const json_t *value);

/* Whether type and value are equal; 5 equals 5.0. Lists and objects equal nothing. */
bool operand_eq(const struct operand *a, const struct operand *b);

#endif
