/* SPDX-License-Identifier: ISC */
/*
 * The names of counters: PREFIX:POLICY:{SCOPE}:COUNTER:WINDOW. Parts are encoded so that
 * two different inputs never give the same key, and no input reaches outside its part.
 * The format is a contract with other tools (docs/protocol.md). Pure.
 */
#ifndef LIMIT_KEY_H
#define LIMIT_KEY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

#define KEY_PART_MAX 128 /* bytes; a longer part is replaced by its digest */

/*
 * Appends one part: bytes outside [A-Za-z0-9_.-] as %XX in upper case; when that is
 * longer than KEY_PART_MAX, '~' and the first 32 hex digits of the raw part's SHA-256.
 */
void key_add_part(struct buf *out, struct slice raw);

/* Whether key_add_part() could have written `text`. */
bool key_is_part(struct slice text);

#endif
