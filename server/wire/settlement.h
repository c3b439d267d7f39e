/* SPDX-License-Identifier: ISC */
/* Settlements of reservations, and resets: words or bodies in, JSON out. Pure. */
#ifndef WIRE_SETTLEMENT_H
#define WIRE_SETTLEMENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "check/request.h"
#include "wire/resp.h"

#define RESET_SCOPE_MAX 8192 /* bytes of a scope's value: several names and values */

/*
 * COMMIT id [COST n] [GRANT g] [TIMEOUT ms], ROLLBACK id [GRANT g] [TIMEOUT ms],
 * RENEW id TTL s [GRANT g] [TIMEOUT ms]; slices are views into the command. 0, or an enum
 * err with a text that names the argument. Whether the id can be one is not checked.
 */
int settlement_resp_parse(const struct resp_command *cmd, enum settle_action action,
    struct settlement_request *out, struct errinfo *ei) MUST_CHECK;

/* RESET policy counter window scope, RESET policy scope; likewise. */
int reset_resp_parse(const struct resp_command *cmd, struct reset_request *out,
    struct errinfo *ei) MUST_CHECK;

/*
 * The bodies {"reservation", "grant"?}, with "cost"? for a commit and "ttl"? for a
 * renewal; and {"scope", "policy"?}, with "counter" and "window" or neither. As strict as
 * a check's. Slices are views into *root, which the caller owns; NULL after an error. 0,
 * or an enum err with a text for the client that names the place.
 */
int settlement_json_parse(struct slice body, enum settle_action action,
    struct settlement_request *out, json_t **root, struct errinfo *ei) MUST_CHECK;
int reset_json_parse(struct slice body, struct reset_request *out, json_t **root,
    struct errinfo *ei) MUST_CHECK;

/* Append the answers of docs/protocol.md. `asked` is what reset_json_asked() wrote. */
void settlement_json_format(bool done, struct slice reservation, struct buf *out);
void reset_json_format(size_t n, size_t held, struct slice asked, struct buf *out);

/* Appends what is to be reset, for the answer and the log: a JSON object. */
void reset_json_asked(const struct reset_request *request, struct buf *out);

#endif
