/* SPDX-License-Identifier: ISC */
/* Responses: the half of http.h that writes. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/utf8.h"
#include "wire/http.h"

#define DETAIL_MAX 1024

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 403, "Forbidden" },
	{ 429, "Too Many Requests" },
	{ 503, "Service Unavailable" },
	{ 100, "Continue" },
	{ 204, "No Content" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 411, "Length Required" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Content" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
};

const char *
http_reason(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

void
http_response_clear(struct http_response *resp)
{
	resp->status = 0;
	resp->content_type = NULL;
	resp->close = resp->head_only = false;
	buf_clear(&resp->fields);
	buf_clear(&resp->body);
}

void
http_response_fini(struct http_response *resp)
{
	buf_fini(&resp->fields);
	buf_fini(&resp->body);
	memset(resp, 0, sizeof(*resp));
}

void
http_response_add_field(
    struct http_response *resp, const char *name, struct slice value)
{
	char *to;

	buf_add_str(&resp->fields, name);
	buf_add(&resp->fields, ": ", 2);
	to = buf_reserve(&resp->fields, value.len + 2);
	if (!to)
		return;
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		to[i] = c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
	}
	memcpy(to + value.len, "\r\n", 2);
	buf_commit(&resp->fields, value.len + 2);
}

void
http_response_format(const struct http_response *resp, struct buf *out)
{
	size_t body_len = resp->content_type ? resp->body.len : 0;

	/* Half a response would be worse than none. */
	if (resp->fields.failed || resp->body.failed ||
	    !buf_reserve(out, 256 + resp->fields.len + body_len)) {
		out->failed = true;
		return;
	}
	buf_add(out, "HTTP/1.1 ", 9);
	buf_add_int(out, resp->status);
	buf_add_char(out, ' ');
	buf_add_str(out, http_reason(resp->status));
	if (resp->content_type) {
		buf_add_str(out, "\r\nContent-Type: ");
		buf_add_str(out, resp->content_type);
	}
	/* RFC 9110, 8.6: none with 1xx and 204. */
	if (resp->status >= 200 && resp->status != 204) {
		buf_add_str(out, "\r\nContent-Length: ");
		buf_add_int(out, (int64_t)body_len);
	}
	buf_add(out, "\r\n", 2);
	buf_add_slice(out, buf_slice(&resp->fields));
	if (resp->close)
		buf_add_str(out, "Connection: close\r\n");
	buf_add(out, "\r\n", 2);
	if (!resp->head_only)
		buf_add(out, resp->body.data, body_len);
}

void
http_problem(struct http_response *resp, int status, const char *fmt, ...)
{
	char detail[DETAIL_MAX];
	struct json_text j;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(detail))
		detail[utf8_cut(detail, sizeof(detail) - 1)] = '\0';
	resp->status = status;
	resp->content_type = "application/problem+json";
	buf_clear(&resp->body);
	json_text_init(&j, &resp->body);
	json_text_open(&j, NULL, '{');
	json_text_string(&j, "type", slice_str("about:blank"));
	json_text_string(&j, "title", slice_str(http_reason(status)));
	json_text_int(&j, "status", status);
	json_text_string(&j, "detail", slice_str(detail));
	json_text_close(&j, '}');
}
