/* SPDX-License-Identifier: ISC */
/*
 * How a client's text becomes a value. Every protocol gets the same error texts: what is
 * wrong, what would be right, and no more of the input than is fit to print. Pure.
 */
#ifndef WIRE_VALUE_H
#define WIRE_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"
#include "check/request.h"

#define VALUE_EXCERPT_BYTES 32 /* of the input that an error text shows */
#define VALUE_EXCERPT_MAX (VALUE_EXCERPT_BYTES + 4)

#define VALUE_TIMEOUT_MAX_MS 60000

/* Bounds of one JSON text: parsing more would keep the loop's other clients waiting. */
#define VALUE_JSON_VALUES_MAX 20000 /* members' names count as values */
#define VALUE_JSON_DEPTH_MAX 64

/* Writes the first bytes of `raw` into out[VALUE_EXCERPT_MAX] with a final NUL, followed by
 * "..." if it was cut, and with '?' for control characters, quotes and bytes that are not
 * UTF-8. Returns out. */
const char *value_excerpt(struct slice raw, char *out);

/* Reads `text` as a decimal whole number, min ... max. 0, or ERR_INVALID with a text that
 * names `field`. */
int value_parse_whole(const char *field, struct slice text, int64_t min, int64_t max,
    int64_t *out, struct errinfo *ei) MUST_CHECK;

/* The same for a JSON number that is whole by its value: 5.0 is 5. */
int value_parse_json_whole(const char *field, const json_t *value, int64_t min,
    int64_t max, int64_t *out, struct errinfo *ei) MUST_CHECK;

/* Read a JSON string, the second one that is a name (call_validate_name()); *out is a view
 * of `value`. */
int value_parse_json_string(const char *field, const json_t *value, struct slice *out,
    struct errinfo *ei) MUST_CHECK;
int value_parse_json_name(const char *field, const json_t *value, struct slice *out,
    struct errinfo *ei) MUST_CHECK;

/* "enforce", "peek" or "reserve", in any case where the protocol's words may be so. 0,
 * or ERR_INVALID. */
int value_parse_mode(const char *field, struct slice text, bool any_case,
    enum check_mode *out, struct errinfo *ei) MUST_CHECK;

/* Checks for 1 ... max bytes of UTF-8 without NUL. 0, ERR_INVALID or ERR_TOOBIG. */
int value_validate_text(
    const char *field, struct slice text, size_t max, struct errinfo *ei) MUST_CHECK;

/* Only a reservation has a ttl: ERR_INVALID if the request has one and does not reserve.
 * `ttl` and `mode` are the protocol's names for them. */
int value_validate_ttl(const char *ttl, const char *mode,
    const struct check_request *request, struct errinfo *ei) MUST_CHECK;

/* Sets "FIELD must be WANTED, not ..." with what was found; returns ERR_INVALID. */
int value_wrong_type(
    const char *field, const char *wanted, const json_t *found, struct errinfo *ei);

/*
 * Parses any JSON text, which messages call `what`. Returns owned. NULL: ei says what is
 * wrong, with line and column; ERR_SYNTAX, ERR_INVALID (a duplicate key, a NUL),
 * ERR_TOOBIG (nesting, numbers) or ERR_NOMEM. Whole numbers are integers; in
 * a text with one over 64 bits all of them are reals.
 */
json_t *value_parse_json(
    const char *what, struct slice text, struct errinfo *ei) MUST_CHECK;

#endif
