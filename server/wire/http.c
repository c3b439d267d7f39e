/* SPDX-License-Identifier: ISC */
#include "wire/http.h"

#include <string.h>

#include "wire/http_chunk.h"
#include "wire/http_head.h"

static int
again(struct http_reader *r, size_t need)
{
	r->body_need = need;
	return ERR_AGAIN;
}

/* The most bytes that the head may have, by what is known of it so far. */
static size_t
head_limit(const struct http_reader *r, const char *data, size_t len)
{
	size_t skip = len > 0 && data[0] == '\r' ? 2 : 0;

	return r->line_len > 0 ? HTTP_HEAD_MAX : HTTP_LINE_MAX + skip;
}

/* Notes the line that ends at `end`; head_len shows whether it ended the head. The request
 * line is checked as soon as it is complete: a client that speaks another protocol waits
 * for an answer to what it has sent, and a refusal must not depend on how much more has
 * arrived. */
static int
see_line(
    struct http_reader *r, const char *data, size_t end, const struct http_fault *fault)
{
	size_t start = data[0] == '\r' ? 2 : 0;
	bool first = r->line_len == 0;

	if (end == 0 || data[end - 1] != '\r')
		return http_refuse(fault, 400, "a line must end in CRLF, not in LF");
	r->scanned = end + 1;
	if (end >= 3 && data[end - 2] == '\n')
		r->head_len = end + 1;
	else if (end > 1)
		r->line_len = end + 1;
	if (!first || r->line_len == 0)
		return 0;
	return http_request_line_check(
	    slice_make(data + start, end - 1 - start), fault);
}

/* Looks for the empty line that ends the head, from where the last look ended, so that each
 * byte is looked at once, however slowly they come. */
static int
find_head(
    struct http_reader *r, const char *data, size_t len, const struct http_fault *fault)
{
	if (len > 0 && !http_token_char(data[0]) && data[0] != '\r' && data[0] != '\n')
		return http_refuse(fault, 400,
		    "a request cannot begin with byte 0x%02x", (unsigned char)data[0]);
	while (r->head_len == 0) {
		size_t max = head_limit(r, data, len);
		size_t visible = len < max ? len : max;
		const char *newline = r->scanned < visible
		    ? memchr(data + r->scanned, '\n', visible - r->scanned)
		    : NULL;
		int rc;

		if (!newline) {
			r->scanned = visible;
			if (visible < max)
				return again(r, len + 1);
			if (r->line_len > 0)
				return http_refuse(fault, 431,
				    "the head is longer than %d bytes", HTTP_HEAD_MAX);
			return http_refuse(fault, 414,
			    "the request line is longer than %d bytes", HTTP_LINE_MAX);
		}
		rc = see_line(r, data, (size_t)(newline - data), fault);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Reads the head, and sets how the body is to be read. */
static int
open_body(struct http_reader *r, const char *data, size_t body_max,
    struct http_request *req, const struct http_fault *fault)
{
	struct http_framing framing;
	int rc = http_head_parse(data, r->head_len, req, &framing, fault);

	if (rc < 0)
		return rc;
	if (framing.content_length > body_max)
		return http_refuse(
		    fault, 413, "the body is longer than %zu bytes", body_max);
	r->content_length = framing.content_length;
	r->chunked = framing.chunked;
	r->chunk_at = r->head_len;
	r->expect_continue = req->expect_continue;
	return 0;
}

static ptrdiff_t
find_body_end(struct http_reader *r, const char *data, size_t len, size_t body_max,
    const struct http_fault *fault)
{
	size_t end = r->head_len + (size_t)r->content_length;

	if (r->chunked)
		return http_chunk_scan(r, data, len, body_max, fault);
	return len < end ? again(r, end) : (ptrdiff_t)end;
}

static int
fill_body(const struct http_reader *r, const char *data, struct buf *body_store,
    struct http_request *req, const struct http_fault *fault)
{
	if (!r->chunked) {
		if (r->content_length > 0)
			req->body =
			    slice_make(data + r->head_len, (size_t)r->content_length);
		return 0;
	}
	buf_clear(body_store);
	http_chunk_join(data, r->head_len, body_store);
	if (body_store->failed) {
		http_refuse(fault, 503, "out of memory");
		return ERR_NOMEM;
	}
	if (body_store->len > 0)
		req->body = buf_slice(body_store);
	return 0;
}

ptrdiff_t
http_parse(struct http_reader *r, const char *data, size_t len, size_t body_max,
    struct buf *body_store, struct http_request *req, int *status, struct errinfo *ei)
{
	const struct http_fault fault = { status, ei };
	bool head_is_read = false;
	ptrdiff_t end;
	int rc = 0;

	req->expect_continue = r->expect_continue;
	if (len < r->body_need)
		return ERR_AGAIN;
	if (r->head_len == 0) {
		rc = find_head(r, data, len, &fault);
		if (rc == 0)
			rc = open_body(r, data, body_max, req, &fault);
		if (rc < 0)
			return rc;
		head_is_read = true;
	}
	end = find_body_end(r, data, len, body_max, &fault);
	if (end < 0)
		return end;
	/* Views from an earlier call are invalid: the input may have moved. */
	if (!head_is_read)
		rc = open_body(r, data, body_max, req, &fault);
	if (rc == 0)
		rc = fill_body(r, data, body_store, req, &fault);
	return rc < 0 ? rc : end;
}

struct slice
http_field_get(const struct http_request *req, const char *name)
{
	for (size_t i = 0; i < req->n_fields; i++)
		if (slice_case_eq_str(req->fields[i].name, name))
			return req->fields[i].value;
	return slice_make(NULL, 0);
}

size_t
http_field_count(const struct http_request *req, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < req->n_fields; i++)
		n += slice_case_eq_str(req->fields[i].name, name);
	return n;
}
