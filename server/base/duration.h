/* SPDX-License-Identifier: ISC */
/* Spans of time as people write them: "5s", "500ms", "2m", "1h", or a bare number of
 * seconds. Pure. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define DURATION_TEXT_MAX 24 /* bytes of the longest, with a final NUL */

/* Reads all of `text`. 0; ERR_SYNTAX when it is no duration; ERR_TOOBIG when it is over
 * 2^53 - 1 milliseconds. *out_ms is untouched on error. */
int duration_parse(struct slice text, int64_t *out_ms) MUST_CHECK;

/* Writes `ms` (0 ...) in the largest unit that leaves no fraction: "0s", "90s", "2m".
 * Returns out. */
const char *duration_format(int64_t ms, char out[DURATION_TEXT_MAX]);

#endif
