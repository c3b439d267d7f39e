/* SPDX-License-Identifier: ISC */
/* Decoding of percent-encoded text (RFC 3986). Pure. */
#ifndef BASE_PERCENT_H
#define BASE_PERCENT_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

/* 0 ... 15, or -1 when `c` is no hex digit. */
int percent_hex_digit(char c);

/* Decodes the first byte of `text` (len > 0) and steps over it. Returns the byte, or -1
 * for a '%' that is not followed by two hex digits. */
int percent_next(struct slice *text) MUST_CHECK;

/* Decodes all of `text` into out[size], without a final NUL. Returns the length;
 * ERR_SYNTAX for a bad escape, ERR_TOOBIG when it does not fit. */
ptrdiff_t percent_decode(struct slice text, char *out, size_t size) MUST_CHECK;

#endif
