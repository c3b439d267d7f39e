/* SPDX-License-Identifier: ISC */
/*
 * How a client's text becomes a value, in the same words for every protocol: what is
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

/* Of one JSON text: reading more would keep the loop's other clients waiting. */
#define VALUE_JSON_VALUES_MAX 20000 /* names of members count as values */
#define VALUE_JSON_DEPTH_MAX 64

/* Writes the first bytes of `raw` into out[VALUE_EXCERPT_MAX] with a final NUL, "..."
 * behind what was cut, and '?' for control characters, quotes and bytes that are not
 * UTF-8. Returns out. */
const char *value_excerpt(struct slice raw, char *out);

/* The decimal whole number `text`, min ... max. 0, or ERR_INVALID naming `field`. */
int value_parse_whole(const char *field, struct slice text, int64_t min, int64_t max,
    int64_t *out, struct errinfo *ei) MUST_CHECK;

/* The same of a JSON number, whole by value: 5.0 is 5. */
int value_parse_json_whole(const char *field, const json_t *value, int64_t min,
    int64_t max, int64_t *out, struct errinfo *ei) MUST_CHECK;

/* A JSON string, and one that is a name (call_validate_name()); a view of `value`. */
int value_parse_json_string(const char *field, const json_t *value, struct slice *out,
    struct errinfo *ei) MUST_CHECK;
int value_parse_json_name(const char *field, const json_t *value, struct slice *out,
    struct errinfo *ei) MUST_CHECK;

/* "enforce", "peek" or "reserve", in any case where the protocol's words may be so. 0,
 * or ERR_INVALID. */
int value_parse_mode(const char *field, struct slice text, bool any_case,
    enum check_mode *out, struct errinfo *ei) MUST_CHECK;

/* 1 ... max bytes of UTF-8 without NUL. 0, ERR_INVALID or ERR_TOOBIG. */
int value_validate_text(
    const char *field, struct slice text, size_t max, struct errinfo *ei) MUST_CHECK;

/* A ttl is of a reservation only: ERR_INVALID where the request has one and is none.
 * `ttl` and `mode` are what the protocol calls them. */
int value_validate_ttl(const char *ttl, const char *mode,
    const struct check_request *request, struct errinfo *ei) MUST_CHECK;

/* ERR_INVALID: "FIELD must be WANTED, not ..." with what was found. */
int value_wrong_type(
    const char *field, const char *wanted, const json_t *found, struct errinfo *ei);

/*
 * Any JSON text; `what` is how messages call it. Owned by the caller; NULL: ei says
 * what is wrong, with line and column. ERR_SYNTAX, ERR_INVALID (a key that stands
 * twice, a NUL), ERR_TOOBIG (nesting, numbers) or ERR_NOMEM. Whole numbers are
 * integers; in a text with one over 64 bits all of them are reals.
 */
json_t *value_parse_json(
    const char *what, struct slice text, struct errinfo *ei) MUST_CHECK;

#endif
