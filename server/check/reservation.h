/* SPDX-License-Identifier: ISC */
/*
 * The id of a reservation: POLICY:GRANT:HOLDER. The first two are encoded as in keys
 * (limit/key.h), HOLDER is 32 random lower-case hex digits. It tells any daemon where the
 * ledger's record is. To callers it is opaque. Pure.
 */
#ifndef CHECK_RESERVATION_H
#define CHECK_RESERVATION_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct reservation {
	struct slice policy; /* encoded as in keys */
	struct slice grant;  /* the same */
	struct slice holder;
};

/* Reads an id; the parts are views into it. 0, or ERR_INVALID when it cannot be one. */
int reservation_parse(
    struct slice id, struct reservation *out, struct errinfo *ei) MUST_CHECK;

/* Appends the id of a reservation; policy and grant are raw. */
void reservation_format(
    struct buf *out, struct slice policy, struct slice grant, struct slice holder);

/* Whether the reservation is this grant's; `grant` is raw. */
bool reservation_is_of(const struct reservation *reservation, struct slice grant);

/* Append the key of a record of the ledger: PREFIX:POLICY:{grant=GRANT}:#=HOLDER for a
 * reservation, from its parsed id or from raw parts, and PREFIX:POLICY:{grant=GRANT}:#ID
 * for a request id, from raw parts. */
void reservation_key(
    struct buf *out, const char *prefix, const struct reservation *reservation);
void reservation_key_raw(struct buf *out, const char *prefix, struct slice policy,
    struct slice grant, struct slice holder);
void request_id_key(struct buf *out, const char *prefix, struct slice policy,
    struct slice grant, struct slice id);

#endif
