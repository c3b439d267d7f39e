/* SPDX-License-Identifier: ISC */
/* Percent-encoding (RFC 3986), the way back. */
#ifndef BASE_PERCENT_H
#define BASE_PERCENT_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

/* 0 ... 15, or -1 for what is no hex digit. */
int percent_hex_digit(char c);

/* The byte that `text` (len > 0) begins with, decoded, and steps over it; -1 for a '%'
 * that two hex digits do not follow. */
int percent_next(struct slice *text) MUST_CHECK;

/* Decodes all of `text` into out[size], without a final NUL. Returns the length;
 * ERR_SYNTAX for a bad escape, ERR_TOOBIG when it does not fit. */
ptrdiff_t percent_decode(struct slice text, char *out, size_t size) MUST_CHECK;

#endif
