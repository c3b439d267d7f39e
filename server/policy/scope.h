/* SPDX-License-Identifier: ISC */
/* Scopes: which calls one counter counts together. */
#ifndef POLICY_SCOPE_H
#define POLICY_SCOPE_H

#include <stdbool.h>

#include "policy/policy.h"
#include "policy/reader.h"

/* Whether no attribute may have this name: grant, session, global, tool, policy. */
bool scope_is_reserved(struct slice name);

/* Reads a limit's "scope", a name or a list, into the arena. False after a fault. */
bool scope_read(struct reader *r, json_t *value, struct scope *out);

/* Sets the scope of a limit that names none: grant. False when out of memory. */
bool scope_set_default(struct reader *r, struct scope *out);
/* The same for a rate_limit: the session, or the grant of a call without a session. */
bool scope_set_rate(struct reader *r, struct scope *out);

/* Appends "for each grant and org". `shown` is what scope_add_key() gave, or the scope's
 * text; only a rate_limit's differs from call to call. */
void scope_add_phrase(const struct scope *scope, const char *shown, struct buf *out);

/* Whether there can be a call for which both scopes give the same counter. */
bool scope_overlaps(const struct scope *a, const struct scope *b);

/* A view of the call's value for one part of a scope; absent (ptr NULL) when it has none.
 * An attribute may be present and empty. */
struct slice scope_value(const struct scope_part *part, const struct call *call);

/*
 * Appends the part of a key between the braces; *shown is the scope as decisions show
 * it. 0, or ERR_NOTFOUND: then *missing is the part for which the call has no value.
 */
int scope_add_key(const struct scope *scope, const struct call *call, struct buf *key,
    const char **shown, const struct scope_part **missing) MUST_CHECK;

#endif
