/* SPDX-License-Identifier: ISC */
/* UTF-8 (RFC 3629): validity and safe cutting. Pure. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

/* Whether the bytes are well-formed UTF-8: no overlong form, no surrogate, nothing
 * over U+10FFFF. NUL is an ordinary character here. */
bool utf8_valid(const char *data, size_t len);

/* The largest length <= len at which valid text may be cut without splitting a
 * character. */
size_t utf8_cut(const char *data, size_t len);

/* Checks text that others will read: at most `max` bytes, well-formed, without NUL. 0,
 * ERR_TOOBIG or ERR_INVALID; ei->text says which, and calls the text `field`. */
int utf8_validate(
    const char *field, struct slice text, size_t max, struct errinfo *ei) MUST_CHECK;

#endif
