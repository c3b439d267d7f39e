/* SPDX-License-Identifier: ISC */
/* Bearer tokens: any of a few secrets opens the door. Compared in constant time. Pure. */
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

/* Reads one token a line; empty lines and those that start with '#' do not count.
 * NULL: ei says which line is wrong, or that there is no token. Keeps only copies. */
struct token_set *token_set_parse(
    const char *text, size_t len, struct errinfo *ei) MUST_CHECK;
/* It is shared by reference; the last unref, of any thread, wipes and frees it. */
struct token_set *token_set_ref(struct token_set *set); /* NULL is fine */
void token_set_unref(struct token_set *set);            /* NULL is fine */

bool token_set_has(const struct token_set *set, struct slice token);

/* The token of "Bearer TOKEN" (scheme in any case); absent when it is not that. */
struct slice token_of_authorization(struct slice value);

#endif
