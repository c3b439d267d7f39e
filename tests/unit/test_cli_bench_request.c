/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench_request.h"

static struct request_words
words(void)
{
	struct request_words w = {
		.tool = "call",
		.grant_prefix = "g",
		.cost = -1,
		.host = "localhost:7480",
	};

	return w;
}

/* The request for one grant is these bytes; frees it. */
static void
assert_request(struct bench_request *r, uint64_t grant, const char *expected)
{
	struct buf out = { 0 };

	bench_request_add(r, 999999999999, &out); /* which leaves nothing behind */
	buf_clear(&out);
	bench_request_add(r, grant, &out);
	assert_string_equal(buf_cstr(&out), expected);
	buf_fini(&out);
	bench_request_fini(r);
}

static void
test_check(void **state)
{
	struct request_words w = words();
	struct bench_request r = { 0 };

	(void)state;
	assert_int_equal(bench_request_check(&r, &w), 0);
	assert_request(
	    &r, 42, "*3\r\n$5\r\nCHECK\r\n$4\r\ncall\r\n$13\r\ng000000000042\r\n");
	w.policy = "p";
	w.cost = 0;
	assert_int_equal(bench_request_check(&r, &w), 0);
	assert_request(&r, 0,
	    "*7\r\n$5\r\nCHECK\r\n$4\r\ncall\r\n$13\r\ng000000000000\r\n"
	    "$6\r\nPOLICY\r\n$1\r\np\r\n$4\r\nCOST\r\n$1\r\n0\r\n");
}

static void
test_http(void **state)
{
	struct request_words w = words();
	struct bench_request r = { 0 };

	(void)state;
	assert_int_equal(bench_request_http(&r, &w), 0);
	assert_request(&r, 123456789012,
	    "POST /v1/check HTTP/1.1\r\nHost: localhost:7480\r\n"
	    "Content-Type: application/json\r\nContent-Length: 39\r\n\r\n"
	    "{\"tool\":\"call\",\"grant\":\"g123456789012\"}");
	w.tool = "a\"b";
	w.grant_prefix = "\\";
	w.policy = "p";
	w.cost = 7;
	w.token = "secret";
	assert_int_equal(bench_request_http(&r, &w), 0);
	assert_request(&r, 1,
	    "POST /v1/check HTTP/1.1\r\nHost: localhost:7480\r\n"
	    "Content-Type: application/json\r\nAuthorization: Bearer secret\r\n"
	    "Content-Length: 62\r\n\r\n"
	    "{\"tool\":\"a\\\"b\",\"policy\":\"p\",\"cost\":7,"
	    "\"grant\":\"\\\\000000000001\"}");
}

static void
test_command(void **state)
{
	struct bench_request r = { 0 };

	(void)state;
	assert_int_equal(bench_request_command(&r, " PING ", "g"), 0);
	assert_request(&r, 1, "*1\r\n$4\r\nPING\r\n");
	assert_int_equal(
	    bench_request_command(&r, "EVAL  {@grant@}:@grant@ @grant", "g"), 0);
	assert_request(&r, 7,
	    "*3\r\n$4\r\nEVAL\r\n$29\r\n{g000000000007}:g000000000007\r\n"
	    "$6\r\n@grant\r\n");
	assert_int_equal(bench_request_command(&r, " \t", "g"), ERR_INVALID);
	bench_request_fini(&r);
}

static void
test_command_of_many_grants(void **state)
{
	char text[REQUEST_PLACES_MAX * 8 + 16] = "MGET";
	struct bench_request r = { 0 };

	(void)state;
	for (size_t i = 0; i < REQUEST_PLACES_MAX; i++)
		strcat(text, " @grant@");
	assert_int_equal(bench_request_command(&r, text, ""), 0);
	bench_request_fini(&r);
	strcat(text, "@grant@");
	assert_int_equal(bench_request_command(&r, text, ""), ERR_INVALID);
	bench_request_fini(&r);
}

static void
test_auth(void **state)
{
	struct bench_request r = { 0 };

	(void)state;
	assert_int_equal(bench_request_auth(&r, "secret"), 0);
	assert_request(&r, 5, "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_http),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_command_of_many_grants),
		cmocka_unit_test(test_auth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
