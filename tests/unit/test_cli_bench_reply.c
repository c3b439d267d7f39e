/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench_reply.h"

typedef ptrdiff_t parse_fn(const char *data, size_t len, struct bench_reply *out);

#define DECISION(verdict, flags) \
	"*8\r\n:" verdict        \
	"\r\n$1\r\n/\r\n$3\r\na\rb\r\n:-1\r\n:41250\r\n:0\r\n$0\r\n\r\n:" flags "\r\n"
#define HTTP(status, fields, len, body) \
	"HTTP/1.1 " status "\r\n" fields "Content-Length: " len "\r\n\r\n" body
#define ALLOWED "{\"verdict\":\"allow\"}"

/* The bytes end where the memory does, so that a sanitizer sees a look beyond. */
static ptrdiff_t
parse_exactly(parse_fn *parse, const char *data, size_t len, struct bench_reply *out)
{
	char *copy = malloc(len ? len : 1);
	ptrdiff_t rc;

	memcpy(copy, data, len);
	rc = parse(copy, len, out);
	out->error = slice_make(NULL, 0);
	free(copy);
	return rc;
}

/* All of `text` is one answer, any less of it is too little, and more is not taken. */
static struct bench_reply
assert_whole(parse_fn *parse, const char *text)
{
	size_t len = strlen(text);
	char more[1024];
	struct bench_reply reply;

	for (size_t i = 0; i < len; i++)
		assert_int_equal(parse_exactly(parse, text, i, &reply), ERR_AGAIN);
	snprintf(more, sizeof(more), "%s%s", text, text);
	assert_int_equal(parse_exactly(parse, more, strlen(more), &reply), len);
	assert_int_equal(parse_exactly(parse, text, len, &reply), len);
	return reply;
}

static void
test_check(void **state)
{
	static const struct {
		const char *text;
		enum bench_outcome outcome;
		bool degraded;
	} cases[] = {
		{ DECISION("1", "0"), BENCH_ALLOW, false },
		{ DECISION("1", "1"), BENCH_ALLOW, true },
		{ DECISION("1", "2"), BENCH_ALLOW, false },
		{ DECISION("0", "0"), BENCH_DENY, false },
		{ DECISION("0", "1"), BENCH_UNAVAILABLE, true },
		{ DECISION("2", "0"), BENCH_APPROVAL, false },
		{ "-ERR no\r\n", BENCH_REFUSED, false },
		{ "-UNAVAILABLE now\r\n", BENCH_UNAVAILABLE, false },
		{ "-UNAVAILABLES\r\n", BENCH_REFUSED, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bench_reply r = assert_whole(bench_reply_check, cases[i].text);

		assert_int_equal(r.outcome, cases[i].outcome);
		assert_int_equal(r.degraded, cases[i].degraded);
		assert_false(r.close);
	}
}

static void
test_any(void **state)
{
	static const struct {
		const char *text;
		enum bench_outcome outcome;
	} cases[] = {
		{ "+PONG\r\n", BENCH_OTHER },
		{ ":-12\r\n", BENCH_OTHER },
		{ "$5\r\na\r\nbc\r\n", BENCH_OTHER },
		{ "$-1\r\n", BENCH_OTHER },
		{ "*-1\r\n", BENCH_OTHER },
		{ "*0\r\n", BENCH_OTHER },
		{ "*2\r\n*2\r\n:1\r\n+a\r\n$1\r\nx\r\n", BENCH_OTHER },
		{ "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n-E\r\n", BENCH_OTHER },
		{ "~1\r\n_\r\n", BENCH_OTHER },
		{ "#t\r\n", BENCH_OTHER },
		{ ",1.5\r\n", BENCH_OTHER },
		{ "(12345678901234567890\r\n", BENCH_OTHER },
		{ "=6\r\ntxt:ab\r\n", BENCH_OTHER },
		{ DECISION("0", "1"), BENCH_OTHER },
		{ "-NOSCRIPT no\r\n", BENCH_REFUSED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(assert_whole(bench_reply_any, cases[i].text).outcome,
		    cases[i].outcome);
}

static void
test_http(void **state)
{
	static const struct {
		const char *text;
		enum bench_outcome outcome;
		bool degraded, close;
	} cases[] = {
		{ HTTP("200 OK", "", "19", ALLOWED), BENCH_ALLOW, false, false },
		{ HTTP("200 OK", "Connection: close\r\n", "19", ALLOWED), BENCH_ALLOW,
		    false, true },
		{ HTTP("200 OK", "connection:  CLOSE \r\n", "19", ALLOWED), BENCH_ALLOW,
		    false, true },
		{ "HTTP/1.0 200 OK\r\ncontent-length:19\r\n\r\n" ALLOWED, BENCH_ALLOW,
		    false, true },
		{ HTTP(
		      "403 Forbidden", "", "31", "{\"verdict\": \"require_approval\"}"),
		    BENCH_APPROVAL, false, false },
		{ HTTP("429 Too Many Requests", "", "18", "{\"verdict\":\"deny\"}"),
		    BENCH_DENY, false, false },
		{ HTTP("200 OK", "", "52",
		      "{\"tool\":\"verdict\",\"verdict\":\"allow\",\"degraded\":true}"),
		    BENCH_ALLOW, true, false },
		{ HTTP("200 OK", "", "2", "ok"), BENCH_REFUSED, false, false },
		{ HTTP("403 Forbidden", "", "0", ""), BENCH_REFUSED, false, false },
		{ HTTP("503 Service Unavailable", "", "18", "{\"verdict\":\"deny\"}"),
		    BENCH_UNAVAILABLE, false, false },
		{ HTTP("400 Bad Request", "", "2", "{}"), BENCH_REFUSED, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bench_reply r = assert_whole(bench_reply_http, cases[i].text);

		assert_int_equal(r.outcome, cases[i].outcome);
		assert_int_equal(r.degraded, cases[i].degraded);
		assert_int_equal(r.close, cases[i].close);
	}
}

static void
test_words_of_an_error(void **state)
{
	static const char http[] = HTTP("400 Bad Request", "", "0", "");
	static const char body[] = HTTP("503 Service Unavailable", "", "4", "gone");
	static const char resp[] = "-ERR no such\r\n";
	struct bench_reply r;

	(void)state;
	assert_true(bench_reply_check(resp, sizeof(resp) - 1, &r) > 0);
	assert_true(slice_eq_str(r.error, "ERR no such"));
	assert_true(bench_reply_http(http, sizeof(http) - 1, &r) > 0);
	assert_true(slice_eq_str(r.error, "HTTP/1.1 400 Bad Request"));
	assert_true(bench_reply_http(body, sizeof(body) - 1, &r) > 0);
	assert_true(slice_eq_str(r.error, "gone"));
}

static void
test_garbage(void **state)
{
	static const struct {
		parse_fn *parse;
		const char *text;
	} cases[] = {
		{ bench_reply_check, "+OK\r\n" },
		{ bench_reply_check, "*7\r\n" },
		{ bench_reply_check,
		    "*8\r\n+1\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n" },
		{ bench_reply_check,
		    "*8\r\n:3\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n" },
		{ bench_reply_check,
		    "*8\r\n:-1\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n" },
		{ bench_reply_check, "HTTP/1.1 400 Bad Request\r\n" },
		{ bench_reply_any, "\r\n" },
		{ bench_reply_any, "+a\rb\r\n" },
		{ bench_reply_any, "$x\r\n" },
		{ bench_reply_any, "$1\r\nabc" },
		{ bench_reply_any, "$-2\r\n" },
		{ bench_reply_any, "$99999999999\r\n" },
		{ bench_reply_any, "*99999999999\r\n" },
		{ bench_reply_any, "*1000000\r\n*1000000\r\n" },
		{ bench_reply_http, "+PONG\r\n" },
		{ bench_reply_http, "HTTP/2 200\r\n" },
		{ bench_reply_http, "HTTP/1.1 2x0 OK\r\n" },
		{ bench_reply_http, "HTTP/1.1 200 OK\r\n\r\n" },
		{ bench_reply_http, HTTP("200 OK", "", "-2", "") },
		{ bench_reply_http, HTTP("200 OK", "", "999999999999", "") },
		{ bench_reply_http,
		    HTTP("200 OK", "Transfer-Encoding: chunked\r\n", "0", "") },
	};
	struct bench_reply r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(parse_exactly(cases[i].parse, cases[i].text,
				     strlen(cases[i].text), &r),
		    ERR_SYNTAX);
	assert_int_equal(parse_exactly(bench_reply_any, "\0\r\n", 3, &r), ERR_SYNTAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_http),
		cmocka_unit_test(test_words_of_an_error),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
