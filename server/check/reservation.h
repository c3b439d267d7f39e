/* SPDX-License-Identifier: ISC */
/*
 * The id of a reservation: POLICY:GRANT:HOLDER, of which the first two are written as in
 * keys (limit/key.h) and HOLDER is 32 lower-case hex digits drawn at random. From it any
 * daemon finds the ledger's record. To callers it is opaque. Pure.
 */
#ifndef CHECK_RESERVATION_H
#define CHECK_RESERVATION_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct reservation {
	struct slice policy; /* as in keys */
	struct slice grant;  /* as in keys */
	struct slice holder;
};

/* Reads an id; the parts point into it. 0, or ERR_INVALID when it cannot be one. */
int reservation_parse(
    struct slice id, struct reservation *out, struct errinfo *ei) MUST_CHECK;

/* Appends the id of a reservation of `grant`, raw, under `policy`, raw. */
void reservation_format(
    struct buf *out, struct slice policy, struct slice grant, struct slice holder);

/* Whether the reservation is of this grant, given raw. */
bool reservation_is_of(const struct reservation *reservation, struct slice grant);

/* Append the keys of the ledger: PREFIX:POLICY:{grant=GRANT}:#=HOLDER of a reservation,
 * as it was read or of raw parts, and PREFIX:POLICY:{grant=GRANT}:#ID of a request id, of
 * raw parts. */
void reservation_key(
    struct buf *out, const char *prefix, const struct reservation *reservation);
void reservation_key_raw(struct buf *out, const char *prefix, struct slice policy,
    struct slice grant, struct slice holder);
void request_id_key(struct buf *out, const char *prefix, struct slice policy,
    struct slice grant, struct slice id);

#endif
