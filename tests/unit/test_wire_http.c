/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/http.h"

#define BODY_MAX 100
#define HOST "Host: h\r\n"
#define END "\r\n"

static struct http_request req;
static struct errinfo ei;
static struct buf store;
static int status;

/* Feeds `len` bytes in steps, each time from a fresh copy that ends where the input
 * ends, so that stale views and reads past the end are seen. The last copy lives on in
 * *kept. */
static ptrdiff_t
feed(const char *data, size_t len, size_t first, size_t step, char **kept)
{
	struct http_reader r = { 0 };
	size_t n = first;
	char *copy = NULL;

	for (;;) {
		ptrdiff_t rc;

		free(copy);
		copy = malloc(n ? n : 1);
		memcpy(copy, data, n);
		status = 0;
		rc = http_parse(&r, copy, n, BODY_MAX, &store, &req, &status, &ei);
		if (rc == ERR_AGAIN)
			assert_true(r.body_need > n);
		if (rc != ERR_AGAIN || n == len) {
			*kept = copy;
			return rc;
		}
		n = n + step < len ? n + step : len;
	}
}

static char *last;

static ptrdiff_t
parse(const char *text)
{
	free(last);
	return feed(text, strlen(text), strlen(text), 1, &last);
}

static int
drop_last(void **state)
{
	(void)state;
	free(last);
	last = NULL;
	buf_fini(&store);
	return 0;
}

static void
assert_slice(struct slice s, const char *text)
{
	assert_true(slice_eq_str(s, text));
	assert_int_equal(s.ptr == NULL, text == NULL);
}

static const struct {
	const char *input;
	const char *method, *path, *query, *body;
	bool keep_alive;
} good[] = {
	{ "GET / HTTP/1.1\r\n" HOST END, "GET", "/", NULL, NULL, true },
	{ "\r\nGET / HTTP/1.1\r\n" HOST END, "GET", "/", NULL, NULL, true },
	{ "GET / HTTP/1.0\r\n" END, "GET", "/", NULL, NULL, false },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n" END, "GET", "/", NULL, NULL,
	    false },
	{ "GET /v1/u?a=b&c=%20? HTTP/1.1\r\n" HOST END, "GET", "/v1/u", "a=b&c=%20?",
	    NULL, true },
	{ "GET /? HTTP/1.1\r\n" HOST END, "GET", "/", "", NULL, true },
	{ "GET HTTP://h:80/p?q HTTP/1.1\r\n" HOST END, "GET", "/p", "q", NULL, true },
	{ "OPTIONS * HTTP/1.1\r\nHost:\r\n" END, "OPTIONS", "*", NULL, NULL, true },
	{ "GET / HTTP/1.1\r\n" HOST "Connection: foo , Close\r\n" END, "GET", "/", NULL,
	    NULL, false },
	{ "POST /c HTTP/1.1\r\n" HOST "content-length: 3\r\n" END "abc", "POST", "/c",
	    NULL, "abc", true },
	{ "POST /c HTTP/1.1\r\n" HOST "Content-Length: 000\r\n" END, "POST", "/c", NULL,
	    NULL, true },
	{ "POST /c HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n" END
	  "3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
	    "POST", "/c", NULL, "abc0123456789", true },
	{ "POST /c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
	  "00\r\nX: y\r\nZ:\r\n\r\n",
	    "POST", "/c", NULL, NULL, true },
	{ "POST /c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
	  "4\r\n\r\n\r\n\r\n0\r\n\r\n",
	    "POST", "/c", NULL, "\r\n\r\n", true },
};

static void
assert_request(size_t i)
{
	assert_slice(req.method, good[i].method);
	assert_slice(req.path, good[i].path);
	assert_slice(req.query, good[i].query);
	assert_slice(req.body, good[i].body);
	assert_int_equal(req.keep_alive, good[i].keep_alive);
}

/* Whole, in two pieces cut everywhere, and a byte at a time. */
static void
test_reads_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		size_t len = strlen(good[i].input);

		for (size_t cut = 0; cut <= len; cut++) {
			char *copy;

			assert_int_equal(
			    feed(good[i].input, len, cut, len, &copy), len);
			assert_request(i);
			free(copy);
		}
		free(last);
		assert_int_equal(feed(good[i].input, len, 0, 1, &last), len);
		assert_request(i);
	}
}

static void
test_fields(void **state)
{
	(void)state;
	assert_true(parse("GET / HTTP/1.1\r\n" HOST "X-A: \t one two \t\r\nx-a:2\r\n"
			  "Empty:\r\nUtf: \xC3\xA9\r\n" END) > 0);
	assert_int_equal(req.n_fields, 5);
	assert_slice(http_field_get(&req, "X-a"), "one two");
	assert_int_equal(http_field_count(&req, "x-A"), 2);
	assert_int_equal(http_field_get(&req, "empty").len, 0);
	assert_non_null(http_field_get(&req, "empty").ptr);
	assert_slice(http_field_get(&req, "utf"), "\xC3\xA9");
	assert_null(http_field_get(&req, "none").ptr);
	assert_int_equal(http_field_count(&req, "none"), 0);
}

static void
test_pipelining(void **state)
{
	const char *two = "GET /a HTTP/1.1\r\n" HOST END "GET /b HTTP/1.1\r\n" HOST END;

	(void)state;
	assert_int_equal(parse(two), strlen(two) / 2);
	assert_slice(req.path, "/a");
	assert_int_equal(parse(two + strlen(two) / 2), strlen(two) / 2);
	assert_slice(req.path, "/b");
}

#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n" END

static const struct {
	const char *input;
	int status;
	const char *text;
} bad[] = {
	{ "\r\n\r\n", 400, "request line" },
	{ "GET\r\n\r\n", 400, "request line" },
	{ "GET /\r\n\r\n", 400, "request line" },
	{ "GET  / HTTP/1.1\r\n" HOST END, 400, "" },
	{ "GET / HTTP/1.1 \r\n" HOST END, 400, "HTTP/1.1" },
	{ "GET / http/1.1\r\n" HOST END, 400, "HTTP/1.1" },
	{ "GET / HTTP/1.1x\r\n" HOST END, 400, "HTTP/1.1" },
	{ "G(T / HTTP/1.1\r\n" HOST END, 400, "request line" },
	{ "GET / HTTP/1.2\r\n" HOST END, 505, "HTTP/1.0" },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.0" },
	{ "GET / HTTP/0.9\r\n" HOST END, 505, "HTTP/1.0" },
	{ "\x16\x03\x01", 400, "0x16" },
	{ "{\"tool\":1}", 400, "0x7b" },
	{ "GET /a\x80 HTTP/1.1\r\n" HOST END, 400, "0x80" },
	{ "GET /a#b HTTP/1.1\r\n" HOST END, 400, "0x23" },
	{ "GET * HTTP/1.1\r\n" HOST END, 400, "must begin with '/'" },
	{ "GET a HTTP/1.1\r\n" HOST END, 400, "must begin with '/'" },
	{ "CONNECT h:80 HTTP/1.1\r\n" HOST END, 400, "must begin with '/'" },
	{ "GET https://h/ HTTP/1.1\r\n" HOST END, 400, "must begin with '/'" },
	{ "GET http:///p HTTP/1.1\r\n" HOST END, 400, "http://host/path" },
	{ "GET http://h HTTP/1.1\r\n" HOST END, 400, "http://host/path" },
	{ "GET http://u@h/ HTTP/1.1\r\n" HOST END, 400, "http://host/path" },
	{ "GET / HTTP/1.1\n", 400, "not in LF" },
	{ "GET / HTTP/1.1\r\nHost: h\n", 400, "not in LF" },
	{ "\nGET / HTTP/1.1\r\n", 400, "not in LF" },
	{ "GET / HTTP/1.1\rX\r\n" HOST END, 400, "HTTP/1.1" },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n" END, 400, "0x0d" },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\x01\r\n" END, 400, "0x01" },
	{ "GET / HTTP/1.1\r\n" HOST "A: b\x7f\r\n" END, 400, "0x7f" },
	{ "GET / HTTP/1.1\r\n" HOST " folded\r\n" END, 400, "folded" },
	{ "GET / HTTP/1.1\r\n" HOST "A : b\r\n" END, 400, "white space" },
	{ "GET / HTTP/1.1\r\n" HOST "A\r\n" END, 400, "no colon" },
	{ "GET / HTTP/1.1\r\n" HOST ": b\r\n" END, 400, "without a name" },
	{ "GET / HTTP/1.1\r\n" HOST "A\xC3: b\r\n" END, 400, "0xc3" },
	{ "GET / HTTP/1.1\r\n" END, 400, "Host is missing" },
	{ "GET / HTTP/1.1\r\n" HOST HOST END, 400, "more than one Host" },
	{ "GET / HTTP/1.1\r\nHost: a b\r\n" END, 400, "0x20" },
	{ "GET / HTTP/1.1\r\nHost: a/b\r\n" END, 400, "0x2f" },
	{ POST "Content-Length: 1\r\nContent-Length: 1\r\n" END, 400, "more than one" },
	{ POST "Content-Length: +1\r\n" END, 400, "digits" },
	{ POST "Content-Length: 1, 1\r\n" END, 400, "digits" },
	{ POST "Content-Length: 0x1\r\n" END, 400, "digits" },
	{ POST "Content-Length:\r\n" END, 400, "empty" },
	{ POST "Content-Length: -1\r\n" END, 400, "digits" },
	{ POST "Content-Length: 101\r\n" END, 413, "100 bytes" },
	{ POST "Content-Length: 99999999999999999999999999999\r\n" END, 413, "100" },
	{ POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" END, 400,
	    "exclude" },
	{ POST "Transfer-Encoding: gzip, chunked\r\n" END, 501, "gzip" },
	{ POST "Transfer-Encoding: identity\r\n" END, 501, "identity" },
	{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END, 400,
	    "more than one" },
	{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END, 400, "HTTP/1.0" },
	{ POST "Expect: 200-ok\r\n" END, 417, "100-continue" },
	{ CHUNKED "x", 400, "size in hex" },
	{ CHUNKED "\r\n", 400, "size in hex" },
	{ CHUNKED "-1\r\n", 400, "size in hex" },
	{ CHUNKED "1 \r\n", 400, "0x20" },
	{ CHUNKED "1\nx", 400, "0x0a" },
	{ CHUNKED "1\rx", 400, "CRLF" },
	{ CHUNKED "1;\x01\r\n", 400, "0x01" },
	{ CHUNKED "3\r\nabcd\r\n", 400, "must end in CRLF" },
	{ CHUNKED "65\r\n", 413, "100 bytes" },
	{ CHUNKED
	    "64\r\n0123456789012345678901234567890123456789012345678901234567890123"
	    "456789012345678901234567890123456789\r\n1\r\n",
	    413, "100 bytes" },
	{ CHUNKED "FFFFFFFFFFFFFFFFFFFFFFFF\r\n", 413, "100 bytes" },
	{ CHUNKED "0\r\nX\r\n\r\n", 400, "no colon" },
	{ CHUNKED "0\r\nX: y\n", 400, "not in LF" },
	{ CHUNKED "0\r\n folded\r\n", 400, "folded" },
};

static void
test_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		size_t len = strlen(bad[i].input);

		for (int bytewise = 0; bytewise < 2; bytewise++) {
			free(last);
			assert_true(
			    feed(bad[i].input, len, bytewise ? 0 : len, 1, &last) < 0);
			if (status != bad[i].status || !strstr(ei.text, bad[i].text))
				fail_msg("%zu: %d %s", i, status, ei.text);
		}
	}
}

static void
test_refuses_nul(void **state)
{
	static const char in_value[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
	static const char in_target[] = "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n";

	(void)state;
	assert_true(feed(in_value, sizeof(in_value) - 1, 0, 1, &last) < 0);
	assert_int_equal(status, 400);
	free(last);
	assert_true(feed(in_target, sizeof(in_target) - 1, 0, 1, &last) < 0);
	assert_int_equal(status, 400);
}

/* prefix + `fill` times 'a' + suffix, fed whole and in pieces of 1000: the status, or
 * 0 when it is read. */
static int
status_of(const char *prefix, size_t fill, const char *suffix)
{
	size_t len = strlen(prefix) + fill + strlen(suffix);
	char *text = malloc(len);
	ptrdiff_t rc;
	int whole;

	memcpy(text, prefix, strlen(prefix));
	memset(text + strlen(prefix), 'a', fill);
	memcpy(text + strlen(prefix) + fill, suffix, strlen(suffix));
	free(last);
	rc = feed(text, len, len, 1, &last);
	whole = status;
	free(last);
	assert_int_equal(feed(text, len, 0, 1000, &last), rc);
	assert_int_equal(whole, status);
	assert_int_equal(status == 0, rc > 0 || rc == ERR_AGAIN);
	free(text);
	return status;
}

static void
test_sizes(void **state)
{
	const char *request = " HTTP/1.1\r\n" HOST END;
	const char *head = "GET / HTTP/1.1\r\n" HOST "A: ";
	size_t room = HTTP_HEAD_MAX - strlen(head) - strlen(END END);

	(void)state;
	assert_int_equal(status_of("GET /", HTTP_LINE_MAX - 16, request), 0);
	assert_int_equal(status_of("GET /", HTTP_LINE_MAX - 15, request), 414);
	assert_int_equal(status_of("GET /", 100000, request), 414);
	assert_int_equal(status_of("GET /", HTTP_LINE_MAX, ""), 414);
	assert_int_equal(status_of(head, room, END END), 0);
	assert_int_equal(status_of(head, room + 1, END END), 431);
	assert_int_equal(status_of(head, 100000, ""), 431);
	assert_int_equal(status_of(CHUNKED "0;", 251, END END), 0);
	assert_int_equal(status_of(CHUNKED "0;", 253, END END), 400);
	assert_int_equal(status_of(CHUNKED "0;", 1000, ""), 400);
	assert_int_equal(status_of(CHUNKED "0\r\nA: ", 16000, END END), 0);
	assert_int_equal(status_of(CHUNKED "0\r\nA: ", 16384, END END), 431);
	assert_int_equal(status_of(CHUNKED "0\r\nA: ", 100000, ""), 431);
}

static void
test_number_of_fields(void **state)
{
	struct buf text = { 0 };

	(void)state;
	buf_add_str(&text, "GET / HTTP/1.1\r\n" HOST);
	for (int i = 1; i < HTTP_FIELDS_MAX; i++)
		buf_add_str(&text, "A: b\r\n");
	buf_add_str(&text, END);
	assert_true(parse(buf_cstr(&text)) > 0);
	assert_int_equal(req.n_fields, HTTP_FIELDS_MAX);
	text.len -= 2;
	buf_add_str(&text, "A: b\r\n\r\n");
	assert_true(parse(buf_cstr(&text)) < 0);
	assert_int_equal(status, 431);
	buf_fini(&text);
}

/* The chunks' own lines are bounded, so that HTTP_INPUT_MAX holds. */
static void
test_wasteful_chunks(void **state)
{
	struct buf text = { 0 };
	char pad[240];

	(void)state;
	memset(pad, 'a', sizeof(pad));
	buf_add_str(&text, CHUNKED);
	for (int i = 0; i < BODY_MAX; i++) {
		buf_add_str(&text, "1;");
		buf_add(&text, pad, sizeof(pad));
		buf_add_str(&text, "\r\nx\r\n");
	}
	assert_true(parse(buf_cstr(&text)) < 0);
	assert_int_equal(status, 413);
	assert_non_null(strstr(ei.text, "too many chunks"));
	buf_fini(&text);
}

static void
test_expect_continue(void **state)
{
	struct http_reader r = { 0 };
	const char *text = POST "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\nabc";
	size_t len = strlen(text);

	(void)state;
	assert_int_equal(
	    http_parse(&r, text, len - 10, BODY_MAX, &store, &req, &status, &ei),
	    ERR_AGAIN);
	assert_int_equal(r.head_len, 0);
	assert_int_equal(
	    http_parse(&r, text, len - 3, BODY_MAX, &store, &req, &status, &ei),
	    ERR_AGAIN);
	assert_int_equal(r.head_len, len - 3);
	assert_true(req.expect_continue);
	req.expect_continue = false;
	assert_int_equal(
	    http_parse(&r, text, len - 1, BODY_MAX, &store, &req, &status, &ei),
	    ERR_AGAIN);
	assert_true(req.expect_continue);
	assert_int_equal(r.body_need, len);
	assert_int_equal(
	    http_parse(&r, text, len, BODY_MAX, &store, &req, &status, &ei), len);
	/* Without a body there is nothing to wait for; HTTP/1.0 does not know it. */
	assert_true(parse(POST "Expect: 100-continue\r\n\r\n") > 0);
	assert_false(req.expect_continue);
	assert_true(parse("POST / HTTP/1.0\r\nExpect: 100-continue\r\n"
			  "Content-Length: 1\r\n\r\na") > 0);
	assert_false(req.expect_continue);
}

/* Parameters as "name=value;", and what the last call said. */
static const struct {
	const char *query;
	const char *read;
	int rc;
} queries[] = {
	{ "grant=a&policy=b", "grant=a;policy=b;", 0 },
	{ "gr%61nt=%41+%20%c3%A9", "grant=A  \xC3\xA9;", 0 },
	{ "grant", "grant=;", 0 },
	{ "grant=", "grant=;", 0 },
	{ "&&=x&grant=a=b&", "=x;grant=a=b;", 0 },
	{ "grant=%4", "", ERR_SYNTAX },
	{ "a=1&grant=%zz", "a=1;", ERR_SYNTAX },
	{ "%z=1&grant=x", "", ERR_SYNTAX },
	{ "&&", "", 0 },
	{ "", "", 0 },
};

static void
test_query(void **state)
{
	struct buf name = { 0 };
	struct buf value = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		struct slice rest = slice_str(queries[i].query);
		struct buf read = { 0 };
		int rc;

		while ((rc = http_query_next(&rest, &name, &value)) > 0) {
			buf_add_slice(&read, buf_slice(&name));
			buf_add_char(&read, '=');
			buf_add_slice(&read, buf_slice(&value));
			buf_add_char(&read, ';');
		}
		assert_int_equal(rc, queries[i].rc);
		assert_true(slice_eq_str(buf_slice(&read), queries[i].read));
		buf_fini(&read);
	}
	buf_fini(&name);
	buf_fini(&value);
}

/* A client that took this port for RESP's waits for an answer to its first line. */
static void
test_refuses_the_first_line_at_once(void **state)
{
	static const char *const lines[] = { "PING\r\n", "*1\r\n$4\r\nPI", "\r\n*2\r\n",
		"junk junk\r\n", "GET / HTTP/1.1 x\r\n" };
	static const char slow[] = "\r\nGET / HTTP/1.1\r\nHost";
	struct http_reader r = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		r = (struct http_reader){ 0 };
		status = 0;
		assert_true(http_parse(&r, lines[i], strlen(lines[i]), BODY_MAX, &store,
				&req, &status, &ei) < 0);
		assert_int_equal(status, 400);
	}
	r = (struct http_reader){ 0 };
	for (size_t len = 0; len < sizeof(slow); len++)
		assert_int_equal(
		    http_parse(&r, slow, len, BODY_MAX, &store, &req, &status, &ei),
		    ERR_AGAIN);
	r = (struct http_reader){ 0 };
	assert_true(
	    http_parse(&r, "PING\r\n", 6, BODY_MAX, &store, &req, &status, &ei) < 0);
	assert_non_null(strstr(ei.text, "this is an HTTP port"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_reads_requests, drop_last),
		cmocka_unit_test_teardown(test_fields, drop_last),
		cmocka_unit_test_teardown(test_pipelining, drop_last),
		cmocka_unit_test_teardown(test_refuses, drop_last),
		cmocka_unit_test_teardown(test_refuses_nul, drop_last),
		cmocka_unit_test_teardown(test_sizes, drop_last),
		cmocka_unit_test_teardown(test_number_of_fields, drop_last),
		cmocka_unit_test_teardown(test_wasteful_chunks, drop_last),
		cmocka_unit_test_teardown(test_expect_continue, drop_last),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_refuses_the_first_line_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
