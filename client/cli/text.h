/* SPDX-License-Identifier: ISC */
/* Text for people. Pure. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

/* Appends `s` on one line that cannot control a terminal: control characters and bytes
 * that are not UTF-8 become \xNN. */
void text_add_clean(struct buf *out, struct slice s);

/* Appends a span of time in its two largest units, rounded up: "350 ms", "41 s",
 * "3 min 5 s", "2 h 10 min", "4 d 1 h". */
void text_add_span(struct buf *out, int64_t ms);

#endif
