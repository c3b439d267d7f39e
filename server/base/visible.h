/* SPDX-License-Identifier: ISC */
/*
 * Text from outside, made safe for a terminal or a line of a log: control characters
 * (C0, DEL, and C1 as UTF-8) and bytes that are not UTF-8 become \xNN. Pure.
 */
#ifndef BASE_VISIBLE_H
#define BASE_VISIBLE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"

/* Writes the text into out[size] with a final NUL, cut between characters where it does
 * not fit. Returns the length without the NUL. */
size_t visible_format(struct slice text, char *out, size_t size);

void visible_add(struct buf *out, struct slice text);

#endif
