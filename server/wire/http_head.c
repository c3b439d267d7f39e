/* SPDX-License-Identifier: ISC */
#include "wire/http_head.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "wire/value.h"

enum char_class {
	CHAR_TOKEN = 1,  /* in methods and field names */
	CHAR_VALUE = 2,  /* in field values */
	CHAR_TARGET = 4, /* in request targets */
	CHAR_HOST = 8    /* in Host */
};

static const unsigned char classes[256] = {
	['\t'] = CHAR_VALUE,
	[' '] = CHAR_VALUE,
	['"'] = CHAR_VALUE,
	['#'] = CHAR_VALUE | CHAR_TOKEN,
	['<'] = CHAR_VALUE,
	['>'] = CHAR_VALUE,
	['\\'] = CHAR_VALUE,
	['^'] = CHAR_VALUE | CHAR_TOKEN,
	['`'] = CHAR_VALUE | CHAR_TOKEN,
	['{'] = CHAR_VALUE,
	['|'] = CHAR_VALUE | CHAR_TOKEN,
	['}'] = CHAR_VALUE,
	['/'] = CHAR_VALUE | CHAR_TARGET,
	['?'] = CHAR_VALUE | CHAR_TARGET,
	['@'] = CHAR_VALUE | CHAR_TARGET,
	['('] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST,
	[')'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST,
	[','] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST,
	[':'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST,
	[';'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST,
	['='] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST,
	['['] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST,
	[']'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST,
	['!'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['$'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['%'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['&'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['\''] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['*'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['+'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['-'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['.'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['_'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['~'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['0' ... '9'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['A' ... 'Z'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	['a' ... 'z'] = CHAR_VALUE | CHAR_TARGET | CHAR_HOST | CHAR_TOKEN,
	[0x80 ... 0xFF] = CHAR_VALUE,
};

/* How many bytes at the beginning of `s` are of that class. */
static inline size_t
span(struct slice s, enum char_class class)
{
	size_t i = 0;

	while (i < s.len && (classes[(unsigned char)s.ptr[i]] & class))
		i++;
	return i;
}

bool
http_token_char(char c)
{
	return classes[(unsigned char)c] & CHAR_TOKEN;
}

int
http_refuse(const struct http_fault *fault, int status, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int code = ERR_SYNTAX;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(text))
		text[utf8_cut(text, sizeof(text) - 1)] = '\0';
	if (status == 413 || status == 414 || status == 431)
		code = ERR_TOOBIG;
	else if (status == 417 || status == 501 || status == 505)
		code = ERR_UNSUPPORTED;
	*fault->status = status;
	return err_set(fault->ei, code, "%s", text);
}

/* Names a bad byte in a refusal. */
static int
refuse_byte(const struct http_fault *fault, const char *where, char c)
{
	return http_refuse(
	    fault, 400, "%s must not have the byte 0x%02x", where, (unsigned char)c);
}

int
http_field_parse(
    struct slice line, struct http_field *out, const struct http_fault *fault)
{
	size_t n = span(line, CHAR_TOKEN);
	struct slice value;

	if (n == 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
		return http_refuse(fault, 400, "folded header lines are not read");
	if (n == line.len)
		return http_refuse(fault, 400, "a header line has no colon");
	if (line.ptr[n] == ' ' || line.ptr[n] == '\t')
		return http_refuse(fault, 400, "white space before a header's colon");
	if (line.ptr[n] != ':')
		return refuse_byte(fault, "a header's name", line.ptr[n]);
	if (n == 0)
		return http_refuse(fault, 400, "a header without a name");
	out->name = slice_make(line.ptr, n);
	value = slice_make(line.ptr + n + 1, line.len - n - 1);
	n = span(value, CHAR_VALUE);
	if (n < value.len)
		return refuse_byte(fault, "a header's value", value.ptr[n]);
	while (value.len > 0 && (*value.ptr == ' ' || *value.ptr == '\t')) {
		value.ptr++;
		value.len--;
	}
	while (value.len > 0 &&
	    (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
		value.len--;
	out->value = value;
	return 0;
}

/* What those fields said that matter for reading the message. */
struct head {
	const struct http_fault *fault;
	bool http10;
	bool close;
	size_t n_host, n_length, n_coding;
	struct slice coding;
	uint64_t content_length;
	bool expect;
};

static int
see_host(struct head *h, struct slice value)
{
	size_t n = span(value, CHAR_HOST);

	if (h->n_host++ > 0)
		return http_refuse(h->fault, 400, "more than one Host");
	if (n < value.len)
		return refuse_byte(h->fault, "Host", value.ptr[n]);
	return 0;
}

static int
see_length(struct head *h, struct slice value)
{
	uint64_t length = 0;

	if (h->n_length++ > 0)
		return http_refuse(h->fault, 400, "more than one Content-Length");
	if (value.len == 0)
		return http_refuse(h->fault, 400, "an empty Content-Length");
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] < '0' || value.ptr[i] > '9')
			return http_refuse(
			    h->fault, 400, "Content-Length must be digits only");
		/* Larger than any body_max: which digits follow does not matter. */
		if (length < UINT64_MAX / 100)
			length = length * 10 + (uint64_t)(value.ptr[i] - '0');
	}
	h->content_length = length;
	return 0;
}

static int
see_coding(struct head *h, struct slice value)
{
	if (h->n_coding++ > 0)
		return http_refuse(h->fault, 400, "more than one Transfer-Encoding");
	h->coding = value;
	return 0;
}

static int
see_expect(struct head *h, struct slice value)
{
	char excerpt[VALUE_EXCERPT_MAX];

	if (!slice_case_eq_str(value, "100-continue"))
		return http_refuse(h->fault, 417,
		    "Expect must be 100-continue, not \"%s\"",
		    value_excerpt(value, excerpt));
	h->expect = true;
	return 0;
}

static int
see_connection(struct head *h, struct slice value)
{
	while (value.len > 0) {
		size_t n = span(value, CHAR_TOKEN);

		if (slice_case_eq_str(slice_make(value.ptr, n), "close"))
			h->close = true;
		n = n ? n : 1;
		value = slice_make(value.ptr + n, value.len - n);
	}
	return 0;
}

static const struct {
	const char *name;
	int (*see)(struct head *h, struct slice value);
} framing_fields[] = {
	{ "Host", see_host },
	{ "Content-Length", see_length },
	{ "Transfer-Encoding", see_coding },
	{ "Expect", see_expect },
	{ "Connection", see_connection },
};

static int
see_field(struct head *h, const struct http_field *field)
{
	for (size_t i = 0; i < ARRAY_LEN(framing_fields); i++)
		if (slice_case_eq_str(field->name, framing_fields[i].name))
			return framing_fields[i].see(h, field->value);
	return 0;
}

/* Checks what no field alone can tell. */
static int
settle(const struct head *h, struct http_request *req, struct http_framing *framing)
{
	char excerpt[VALUE_EXCERPT_MAX];

	if (h->n_host == 0 && !h->http10)
		return http_refuse(h->fault, 400, "Host is missing");
	if (h->n_coding > 0 && h->n_length > 0)
		return http_refuse(h->fault, 400,
		    "Content-Length and Transfer-Encoding exclude each other");
	if (h->n_coding > 0 && h->http10)
		return http_refuse(h->fault, 400, "HTTP/1.0 has no Transfer-Encoding");
	if (h->n_coding > 0 && !slice_case_eq_str(h->coding, "chunked"))
		return http_refuse(h->fault, 501,
		    "Transfer-Encoding \"%s\" is not known; \"chunked\" is",
		    value_excerpt(h->coding, excerpt));
	framing->chunked = h->n_coding > 0;
	framing->content_length = h->content_length;
	req->keep_alive = !h->http10 && !h->close;
	req->expect_continue = h->expect && !h->http10 &&
	    (framing->chunked || framing->content_length > 0);
	return 0;
}

/* "http://host/path": only the path matters here. */
static int
strip_authority(struct slice *target, const struct http_fault *fault)
{
	const size_t scheme = strlen("http://");
	struct slice rest;
	size_t n;

	if (target->len <= scheme || strncasecmp(target->ptr, "http://", scheme) != 0)
		return http_refuse(fault, 400,
		    "the request's target must begin with '/' or be http://host/path");
	rest = slice_make(target->ptr + scheme, target->len - scheme);
	n = span(rest, CHAR_HOST);
	if (n == 0 || n == rest.len || rest.ptr[n] != '/')
		return http_refuse(
		    fault, 400, "an absolute target must be http://host/path");
	*target = slice_make(rest.ptr + n, rest.len - n);
	return 0;
}

static int
read_target(
    struct slice target, struct http_request *req, const struct http_fault *fault)
{
	size_t n = span(target, CHAR_TARGET);
	const char *mark;
	int rc = 0;

	if (n < target.len)
		return refuse_byte(fault, "the request's target", target.ptr[n]);
	if (slice_eq_str(target, "*") && slice_eq_str(req->method, "OPTIONS"))
		rc = 0;
	else if (target.len == 0 || target.ptr[0] != '/')
		rc = strip_authority(&target, fault);
	if (rc < 0)
		return rc;
	mark = memchr(target.ptr, '?', target.len);
	req->path = target;
	req->query = slice_make(NULL, 0);
	if (mark) {
		req->path.len = (size_t)(mark - target.ptr);
		req->query = slice_make(mark + 1, target.len - req->path.len - 1);
	}
	return 0;
}

static int
read_version(struct slice text, bool *http10, const struct http_fault *fault)
{
	if (text.len != 8 || memcmp(text.ptr, "HTTP/", 5) != 0 || text.ptr[6] != '.' ||
	    text.ptr[5] < '0' || text.ptr[5] > '9' || text.ptr[7] < '0' ||
	    text.ptr[7] > '9')
		return http_refuse(
		    fault, 400, "the request line must end in \" HTTP/1.1\"");
	if (text.ptr[5] != '1' || text.ptr[7] > '1')
		return http_refuse(fault, 505, "HTTP/1.1 and HTTP/1.0 are spoken here");
	*http10 = text.ptr[7] == '0';
	return 0;
}

/* Most likely somebody took this port for the one of RESP. */
static int
not_http(const struct http_fault *fault)
{
	return http_refuse(fault, 400,
	    "this is an HTTP port: the request line must be METHOD TARGET HTTP/1.1; "
	    "RESP has a port of its own, by default 7481");
}

static int
read_request_line(struct slice line, struct http_request *req, bool *http10,
    const struct http_fault *fault)
{
	size_t n = span(line, CHAR_TOKEN);
	struct slice target, version;
	const char *space;
	int rc;

	if (n == 0 || n == line.len || line.ptr[n] != ' ')
		return not_http(fault);
	req->method = slice_make(line.ptr, n);
	target = slice_make(line.ptr + n + 1, line.len - n - 1);
	space = memchr(target.ptr, ' ', target.len);
	if (!space)
		return not_http(fault);
	version = slice_make(space + 1, target.len - (size_t)(space - target.ptr) - 1);
	target.len = (size_t)(space - target.ptr);
	rc = read_version(version, http10, fault);
	return rc < 0 ? rc : read_target(target, req, fault);
}

int
http_request_line_check(struct slice line, const struct http_fault *fault)
{
	struct http_request req;
	bool http10;

	return read_request_line(line, &req, &http10, fault);
}

/* The line at *p without its CRLF; moves *p past it. */
static struct slice
next_line(const char **p, const char *end)
{
	const char *from = *p;
	const char *newline = memchr(from, '\n', (size_t)(end - from));

	*p = newline + 1;
	return slice_make(from, (size_t)(newline - from) - 1);
}

int
http_head_parse(const char *data, size_t len, struct http_request *req,
    struct http_framing *framing, const struct http_fault *fault)
{
	struct head h = { .fault = fault };
	const char *end = data + len;
	const char *p = data;
	struct slice line = next_line(&p, end);
	int rc;

	req->n_fields = 0;
	req->body = slice_make(NULL, 0);
	if (line.len == 0)
		line = next_line(&p, end);
	rc = read_request_line(line, req, &h.http10, fault);
	while (rc == 0) {
		struct http_field *field = &req->fields[req->n_fields];

		line = next_line(&p, end);
		if (line.len == 0)
			return settle(&h, req, framing);
		if (req->n_fields == HTTP_FIELDS_MAX)
			return http_refuse(
			    fault, 431, "more than %d header fields", HTTP_FIELDS_MAX);
		rc = http_field_parse(line, field, fault);
		if (rc == 0)
			rc = see_field(&h, field);
		req->n_fields++;
	}
	return rc;
}
