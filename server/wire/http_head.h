/* SPDX-License-Identifier: ISC */
/* The head of an HTTP request: request line and fields. For http*.c only. Pure. */
#ifndef WIRE_HTTP_HEAD_H
#define WIRE_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "wire/http.h"

/* Where to write a refusal. */
struct http_fault {
	int *status;
	struct errinfo *ei;
};

/* Sets both, and returns the enum err that goes with the status. */
int http_refuse(const struct http_fault *fault, int status, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* How the body is delimited. */
struct http_framing {
	uint64_t content_length; /* 0 without one */
	bool chunked;
};

/* Whether a byte may be part of a method or a field's name. */
bool http_token_char(char c);

/* One field of `line` (without its CRLF). 0 or a refusal. */
int http_field_parse(struct slice line, struct http_field *out,
    const struct http_fault *fault) MUST_CHECK;

/* Checks a request line on its own, without its CRLF. 0 or a refusal. */
int http_request_line_check(
    struct slice line, const struct http_fault *fault) MUST_CHECK;

/*
 * Reads a whole head, from `data` to the end of its empty line; each line must be known
 * to end in CRLF. Skips an empty line before it. Fills in all of *req but the body. 0 or a
 * refusal.
 */
int http_head_parse(const char *data, size_t len, struct http_request *req,
    struct http_framing *framing, const struct http_fault *fault) MUST_CHECK;

#endif
