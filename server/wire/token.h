/* SPDX-License-Identifier: ISC */
/* Bearer tokens: each of a few secrets grants access. Compared in constant time. Pure. */
#ifndef WIRE_TOKEN_H
#define WIRE_TOKEN_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

#define TOKEN_MIN 16   /* bytes; shorter ones are refused */
#define TOKEN_MAX 1024 /* bytes */
#define TOKENS_MAX 16  /* several, so that they can be rotated */

struct token_set;

/* Reads one token a line; skips empty lines and those that begin with '#'. Copies the
 * tokens. NULL: ei says which line is wrong, or that there is no token. */
struct token_set *token_set_parse(
    const char *text, size_t len, struct errinfo *ei) MUST_CHECK;
/* The set is shared by reference; the last unref, in any thread, wipes and frees it. */
struct token_set *token_set_ref(struct token_set *set); /* NULL is fine */
void token_set_unref(struct token_set *set);            /* NULL is fine */

bool token_set_has(const struct token_set *set, struct slice token);

/* The token of "Bearer TOKEN" (the scheme in any case), a view; absent when `value` is
 * anything else. */
struct slice token_of_authorization(struct slice value);

#endif
