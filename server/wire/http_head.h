/* SPDX-License-Identifier: ISC */
/* The head of an HTTP request: request line and fields. For http*.c only. Pure. */
#ifndef WIRE_HTTP_HEAD_H
#define WIRE_HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "wire/http.h"

/* Where a refusal is written to. */
struct http_fault {
	int *status;
	struct errinfo *ei;
};

/* Sets both and returns an enum err. */
int http_refuse(const struct http_fault *fault, int status, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* How the body is delimited. */
struct http_framing {
	uint64_t content_length; /* 0 without one */
	bool chunked;
};

/* Whether a byte may stand in a method or a field's name. */
bool http_token_char(char c);

/* One field of `line` (without its CRLF). 0 or a refusal. */
int http_field_parse(struct slice line, struct http_field *out,
    const struct http_fault *fault) MUST_CHECK;

/* A request line by itself, without its CRLF. 0 or a refusal. */
int http_request_line_check(
    struct slice line, const struct http_fault *fault) MUST_CHECK;

/*
 * A whole head, from `data` to the end of its empty line; each line is known to end in
 * CRLF. An empty line in front of it is skipped. Fills all of *req but the body.
 * 0 or a refusal.
 */
int http_head_parse(const char *data, size_t len, struct http_request *req,
    struct http_framing *framing, const struct http_fault *fault) MUST_CHECK;

#endif
