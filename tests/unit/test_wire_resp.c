/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "wire/resp.h"

#define MAX_LEN 1000

static struct resp_command cmd;
static struct errinfo ei;
static size_t need;

static ptrdiff_t
parse(const char *data, size_t len)
{
	/* A copy that ends where the input ends, for the address sanitizer. */
	char *copy = malloc(len ? len : 1);
	ptrdiff_t rc;

	memcpy(copy, data, len);
	rc = resp_parse(copy, len, MAX_LEN, &cmd, &need, &ei);
	for (size_t i = 0; rc > 0 && i < cmd.n; i++)
		cmd.args[i].ptr = data + (cmd.args[i].ptr - copy);
	free(copy);
	return rc;
}

static void
assert_words(const char *const *words)
{
	size_t n = 0;

	for (; words[n]; n++) {
		assert_true(n < cmd.n);
		assert_true(slice_eq_str(cmd.args[n], words[n]));
	}
	assert_int_equal(cmd.n, n);
}

static const struct {
	const char *input;
	const char *words[6];
} good[] = {
	{ "*1\r\n$4\r\nPING\r\n", { "PING" } },
	{ "*3\r\n$5\r\nCHECK\r\n$1\r\nt\r\n$0\r\n\r\n", { "CHECK", "t", "" } },
	{ "*2\r\n$3\r\na\r\n\r\n$2\r\n\r\n\r\n", { "a\r\n", "\r\n" } },
	{ "*01\r\n$0004\r\nPING\r\n", { "PING" } },
	{ "PING\r\n", { "PING" } },
	{ "PING\n", { "PING" } },
	{ "  CHECK\ttool  grant \r\n", { "CHECK", "tool", "grant" } },
	{ "GET key\r\n", { "GET", "key" } },
	{ "ECHO \"a\r\n", { "ECHO", "\"a" } },
	{ "\r\n", { NULL } },
	{ "\n", { NULL } },
	{ "*0\r\n", { NULL } },
	{ "*-1\r\n", { NULL } },
	{ "*-99999999999999\r\n", { NULL } },
};

/* Whole, then with a byte more at a time: `need` must name no length too much. */
static void
test_reads_commands(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		size_t len = strlen(good[i].input);

		assert_int_equal(parse(good[i].input, len), len);
		assert_words(good[i].words);
		for (size_t n = 0; n < len; n++) {
			assert_int_equal(parse(good[i].input, n), ERR_AGAIN);
			assert_true(need > n && need <= len);
		}
	}
}

static void
test_leaves_what_follows(void **state)
{
	const char *input = "*1\r\n$4\r\nPING\r\nECHO x\r\n*1\r";
	size_t len = strlen(input);

	(void)state;
	assert_int_equal(parse(input, len), 14);
	assert_int_equal(parse(input + 14, len - 14), 8);
	assert_words((const char *const[]){ "ECHO", "x", NULL });
	assert_int_equal(parse(input + 22, len - 22), ERR_AGAIN);
}

static void
test_keeps_nul_bytes(void **state)
{
	static const char input[] = "*2\r\n$3\r\na\0b\r\n$1\r\n\0\r\n";

	(void)state;
	assert_int_equal(parse(input, sizeof(input) - 1), sizeof(input) - 1);
	assert_int_equal(cmd.args[0].len, 3);
	assert_memory_equal(cmd.args[0].ptr, "a\0b", 3);
	assert_int_equal(cmd.args[1].len, 1);
}

static void
test_need_is_a_bulks_end(void **state)
{
	const char *input = "*2\r\n$5\r\nCHECK\r\n$900\r\nabc";

	(void)state;
	assert_int_equal(parse(input, strlen(input)), ERR_AGAIN);
	assert_int_equal(need, strlen(input) - 3 + 900 + 2);
}

static const struct {
	const char *input;
	int code;
	const char *text;
} bad[] = {
	{ "*999999999", ERR_TOOBIG, "at most 128 words" },
	{ "*129\r\n", ERR_TOOBIG, "at most 128 words" },
	{ "*99999999999999999999999999", ERR_TOOBIG, "at most 128 words" },
	{ "*0000000000000000000000001", ERR_SYNTAX, "length of an array" },
	{ "*-0000000000000000000000001", ERR_SYNTAX, "length of an array" },
	{ "*\r\n", ERR_SYNTAX, "length of an array" },
	{ "*-\r\n", ERR_SYNTAX, "length of an array" },
	{ "*+1\r\n", ERR_SYNTAX, "length of an array" },
	{ "*1 \r\n", ERR_SYNTAX, "length of an array" },
	{ "*1\n$1", ERR_SYNTAX, "length of an array" },
	{ "*1\rx", ERR_SYNTAX, "length of an array" },
	{ "*1\r\nPING\r\n", ERR_SYNTAX, "expected '$', got 'P'" },
	{ "*1\r\n*1\r\n", ERR_SYNTAX, "expected '$', got '*'" },
	{ "*1\r\n\x01", ERR_SYNTAX, "got byte 0x01" },
	{ "*1\r\n$-5\r\n", ERR_SYNTAX, "must not be negative" },
	{ "*1\r\n$-1\r\n", ERR_SYNTAX, "must not be negative" },
	{ "*1\r\n$x", ERR_SYNTAX, "length of a bulk string" },
	{ "*1\r\n$4\r\nPINGxx", ERR_SYNTAX, "must end with CRLF" },
	{ "*1\r\n$4\r\nPING\r\r", ERR_SYNTAX, "must end with CRLF" },
	{ "*1\r\n$1000\r\n", ERR_TOOBIG, "longer than 1000 bytes" },
	{ "*1\r\n$1001", ERR_TOOBIG, "longer than 1000 bytes" },
	{ "*1\r\n$18446744073709551615", ERR_TOOBIG, "longer than 1000 bytes" },
	{ "GET / HTTP/1.1\r\n", ERR_SYNTAX, "this is the RESP port" },
	{ "POST /v1/check\r\n", ERR_SYNTAX, "this is the RESP port" },
	{ "Host: localhost\r\n", ERR_SYNTAX, "this is the RESP port" },
	{ "PRI * HTTP/2.0\r\n", ERR_SYNTAX, "this is the RESP port" },
	{ "\x16\x03\x01", ERR_SYNTAX, "byte 0x16" },
};

static void
test_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(
		    parse(bad[i].input, strlen(bad[i].input)), bad[i].code);
		assert_int_equal(ei.code, bad[i].code);
		assert_non_null(strstr(ei.text, bad[i].text));
		assert_memory_equal(ei.text, "Protocol error: ", 16);
	}
}

static void
test_an_inline_http_word_is_no_attack_in_an_array(void **state)
{
	const char *input = "*2\r\n$4\r\nPOST\r\n$5\r\nHost:\r\n";

	(void)state;
	assert_int_equal(parse(input, strlen(input)), strlen(input));
}

static void
test_long_lines(void **state)
{
	char *line = malloc(70000);

	(void)state;
	memset(line, 'a', 70000);
	assert_int_equal(resp_parse(line, 65535, 1 << 20, &cmd, &need, &ei), ERR_AGAIN);
	assert_int_equal(
	    resp_parse(line, 65536, 1 << 20, &cmd, &need, &ei), ERR_TOOBIG);
	assert_non_null(strstr(ei.text, "65536"));
	line[65536] = '\n';
	assert_int_equal(
	    resp_parse(line, 65537, 1 << 20, &cmd, &need, &ei), ERR_TOOBIG);
	line[65535] = '\n';
	assert_int_equal(resp_parse(line, 65537, 1 << 20, &cmd, &need, &ei), 65536);
	assert_int_equal(resp_parse(line, 65537, 1000, &cmd, &need, &ei), ERR_TOOBIG);
	memset(line, ' ', 300);
	for (int i = 0; i < 129; i++)
		line[i * 2] = 'a';
	line[300] = '\n';
	assert_int_equal(resp_parse(line, 301, 1 << 20, &cmd, &need, &ei), ERR_TOOBIG);
	free(line);
}

static void
test_replies(void **state)
{
	struct buf out = { 0 };

	(void)state;
	resp_add_simple(&out, "PO\r\nNG");
	resp_add_error(&out, "ERR", slice_str("one\nline"));
	resp_add_int(&out, -1);
	resp_add_int(&out, 7);
	resp_add_int(&out, INT64_MIN);
	resp_add_bulk(&out, slice_make("a\r\n", 3));
	resp_add_bulk(&out, slice_make(NULL, 0));
	resp_add_null(&out, 2);
	resp_add_null(&out, 3);
	resp_add_array(&out, 12);
	resp_add_map(&out, 2, 2);
	resp_add_map(&out, 2, 3);
	assert_string_equal(buf_cstr(&out),
	    "+PO  NG\r\n-ERR one line\r\n:-1\r\n:7\r\n:-9223372036854775808\r\n"
	    "$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n_\r\n*12\r\n*4\r\n%2\r\n");
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_commands),
		cmocka_unit_test(test_leaves_what_follows),
		cmocka_unit_test(test_keeps_nul_bytes),
		cmocka_unit_test(test_need_is_a_bulks_end),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_an_inline_http_word_is_no_attack_in_an_array),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
