/* SPDX-License-Identifier: ISC */
/* Scopes: whose calls one counter counts together. */
#ifndef POLICY_SCOPE_H
#define POLICY_SCOPE_H

#include <stdbool.h>

#include "policy/policy.h"
#include "policy/reader.h"

/* Names that are no attribute's: grant, session, global, tool, policy. */
bool scope_is_reserved(struct slice name);

/* Reads a limit's "scope", a name or a list; what it makes lives in the arena.
 * False after a fault. */
bool scope_read(struct reader *r, json_t *value, struct scope *out);

/* The scope of a limit that names none: grant. False when out of memory. */
bool scope_set_default(struct reader *r, struct scope *out);
/* rate_limit's: the session, or the grant where the call has none. */
bool scope_set_rate(struct reader *r, struct scope *out);

/* Appends "for each grant and org". `shown` is what scope_add_key() said, or the
 * scope's text: of a rate_limit it names the one that counts. */
void scope_add_phrase(const struct scope *scope, const char *shown, struct buf *out);

/* Whether some call has the same counter in both. */
bool scope_overlaps(const struct scope *a, const struct scope *b);

/* What the call has for one part of a scope; absent (ptr NULL) when it lacks it. An
 * attribute may be there and be empty. */
struct slice scope_value(const struct scope_part *part, const struct call *call);

/*
 * Appends the part of a key between the braces, and says how decisions show it.
 * 0, or ERR_NOTFOUND; then *missing is the part that the call lacks.
 */
int scope_add_key(const struct scope *scope, const struct call *call, struct buf *key,
    const char **shown, const struct scope_part **missing) MUST_CHECK;

#endif
