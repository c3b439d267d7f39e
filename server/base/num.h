/* SPDX-License-Identifier: ISC */
/* Numbers as text. Pure. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

/* The largest count, cost or max: every whole number up to it is exact in a
 * double, and so in Lua and in JSON. 2^53 - 1. */
#define NUM_MAX INT64_C(9007199254740991)

#define NUM_TEXT_MAX 21 /* bytes of the longest int64_t, with a final NUL */

/*
 * Reads all of `text` as a decimal: an optional '-', then digits, nothing else.
 * 0, ERR_SYNTAX when it is not one, ERR_TOOBIG when int64_t cannot hold it; *out
 * is untouched on error.
 */
int num_parse(struct slice text, int64_t *out) MUST_CHECK;

/* Writes `value` with a final NUL into out[NUM_TEXT_MAX]; returns the bytes
 * before the NUL. */
size_t num_format(int64_t value, char *out);

#define NUM_REAL_MAX 32 /* bytes of the longest double, with a final NUL */

/* Writes a finite number with the fewest digits that read back as the same number.
 * Returns out. */
const char *num_format_real(double value, char out[NUM_REAL_MAX]);

#endif
