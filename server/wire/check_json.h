/* SPDX-License-Identifier: ISC */
/* The JSON bodies of POST /v1/check, in and out. Pure. */
#ifndef WIRE_CHECK_JSON_H
#define WIRE_CHECK_JSON_H

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "check/decision.h"
#include "check/request.h"

/* A request whose slices point into `root`. Zero it before the first use; fini it
 * after check_start(). */
struct check_json {
	struct check_request request;
	json_t *root;
	struct call_attribute attributes[CALL_ATTRIBUTES_MAX];
};

/*
 * Strict: refuses unknown or duplicate keys, wrong types, invalid UTF-8, NUL, JSON beyond
 * the bounds of wire/value.h, names that call_validate() refuses, and a ttl without mode
 * reserve. 0; ERR_SYNTAX, ERR_INVALID, ERR_TOOBIG or ERR_NOMEM, with a text for the client
 * that names the place.
 */
int check_json_parse(
    struct slice body, struct check_json *out, struct errinfo *ei) MUST_CHECK;
void check_json_fini(struct check_json *cj);

/* Appends the answer of docs/protocol.md. */
void check_json_format(const struct decision *d, struct buf *out);

#endif
