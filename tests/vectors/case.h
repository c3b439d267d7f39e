/* SPDX-License-Identifier: ISC */
/* What the programs that run checks against the backends share: a check as JSON, in the
 * words of README.md, settlements and resets, and a decision as JSON. */
#ifndef VECTORS_CASE_H
#define VECTORS_CASE_H

#include <jansson.h>

#include "base/slice.h"
#include "check/decision.h"
#include "check/request.h"

/* Reads a "check"; what is filled in borrows from it. `attributes` has room for
 * CALL_ATTRIBUTES_MAX. Does not validate. */
void request_read(
    json_t *from, struct check_request *out, struct call_attribute *attributes);

/* The same of a settlement; `reservations` are ids by their names. */
void settlement_read(
    json_t *from, json_t *reservations, struct settlement_request *out);
void reset_read(json_t *from, struct reset_request *out);

json_t *json_of_slice(struct slice s);

/* All that a decision says; `keys` is borrowed. Returns owned. */
json_t *decision_json(const struct decision *d, json_t *keys);

#endif
