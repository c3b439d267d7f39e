/* SPDX-License-Identifier: ISC */
/*
 * HTTP/1.1 (RFC 9112), strictly: requests in, responses out. Bodies with Content-Length
 * or chunked, keep-alive, pipelining; HTTP/1.0 without keep-alive.
 * Anything ambiguous is refused, never guessed at: both Content-Length and
 * Transfer-Encoding, folded lines, a bare CR or LF in a field, white space before a
 * colon, a bad Host. Pure; the caller owns input and output.
 */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#define HTTP_HEAD_MAX 16384 /* bytes of request line, fields and trailers */
#define HTTP_LINE_MAX 8192  /* bytes of the request line */
#define HTTP_FIELDS_MAX 64

/* The longest request, in bytes of input: a head, and a chunked body, whose chunk lines
 * may take as many bytes again as the body itself, and trailers. */
#define HTTP_INPUT_MAX(body_max) (2 * (size_t)HTTP_HEAD_MAX + 2 * (size_t)(body_max))

struct http_field {
	struct slice name;  /* any case */
	struct slice value; /* without the white space around it */
};

struct http_request {
	struct slice method; /* a token, as sent */
	struct slice path;   /* origin form without the query, still percent-encoded */
	struct slice query;  /* after '?', absent without one */
	struct http_field fields[HTTP_FIELDS_MAX];
	size_t n_fields;
	struct slice body; /* absent without one */
	bool keep_alive;
	bool expect_continue; /* the client waits for "100 Continue" before its body */
	bool trusted; /* set by the front: the caller has shown a token if it must */
};

/* How far an incremental read has got; zero it for every new request. */
struct http_reader {
	size_t scanned;     /* bytes already searched for the head's end */
	size_t head_len;    /* 0: the head is not complete */
	size_t body_need;   /* total bytes before another try is worthwhile */
	bool continue_told; /* set by the caller: 100 Continue was sent */
	/* the rest is private to http*.c */
	size_t line_len; /* of the request line, 0: not complete */
	uint64_t content_length;
	bool chunked;
	bool expect_continue;
	size_t chunk_at;      /* chunked: where the next line starts */
	uint64_t chunk_body;  /* chunked: bytes of body seen so far */
	uint64_t chunk_lines; /* chunked: bytes of chunk lines seen so far */
	size_t trailer_at;    /* chunked: where the trailers start; 0: not there yet */
};

/*
 * Reads one request from the beginning of `data`, which may move between calls but must
 * begin with the same bytes. A chunked body is joined in `body_store` (cleared first; must
 * outlive *req).
 *
 * Returns the bytes that the request takes (> 0) and fills *req;
 * ERR_AGAIN: incomplete; req->expect_continue is valid once r->head_len > 0;
 * else a refusal: *status is the response's status (400, 413, 414, 417, 431, 501,
 *   505; 503 with ERR_NOMEM) and ei->text says why. The connection must be closed
 *   after answering.
 */
ptrdiff_t http_parse(struct http_reader *r, const char *data, size_t len,
    size_t body_max, struct buf *body_store, struct http_request *req, int *status,
    struct errinfo *ei) MUST_CHECK;

/* The value of the first field of that name; absent (ptr NULL) when there is none. */
struct slice http_field_get(const struct http_request *req, const char *name);
/* How many fields have that name. */
size_t http_field_count(const struct http_request *req, const char *name);

/* The query's next parameter, percent-decoded into `name` and `value` (cleared first),
 * '+' as a space; *rest begins as req->query and moves on. 1; 0 at the end; ERR_SYNTAX
 * for a bad escape; ERR_NOMEM. */
int http_query_next(struct slice *rest, struct buf *name, struct buf *value) MUST_CHECK;

/* One response: zero it, set the status, append to fields and body. */
struct http_response {
	int status;
	const char *content_type; /* NULL: no body */
	struct buf fields;        /* whole lines, each ended by CRLF */
	struct buf body;
	bool close;     /* Connection: close */
	bool head_only; /* the request was HEAD */
};

void http_response_clear(struct http_response *resp); /* keeps the memory */
void http_response_fini(struct http_response *resp);

/* Appends "Name: value\r\n"; CR, LF and NUL in value become spaces. */
void http_response_add_field(
    struct http_response *resp, const char *name, struct slice value);

/* Appends the whole response, with Content-Length, to `out`. */
void http_response_format(const struct http_response *resp, struct buf *out);

const char *http_reason(int status); /* "Not Found"; "" when unknown */

/* Makes the response a problem document (RFC 9457, application/problem+json):
 * type about:blank, title from the status, status, detail. */
void http_problem(struct http_response *resp, int status, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/*
 * One row of a table of endpoints that are not checks (health, metrics, policies).
 * Declared here so that front/, which serves it, and ops/, which answers, need not know
 * each other. `path` is matched as a whole, or, when it ends in '/', as a prefix.
 */
struct http_endpoint {
	const char *method; /* "GET" also serves HEAD */
	const char *path;
	bool open; /* needs no token, on any listener */
	void (*answer)(
	    void *arg, const struct http_request *req, struct http_response *resp);
	void *arg;
};

#endif
