/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "base/buf.h"
#include "wire/value.h"

static void
test_excerpt(void **state)
{
	static const struct {
		const char *raw;
		const char *shown;
	} cases[] = {
		{ "", "" },
		{ "abc", "abc" },
		{ "a\r\n\x1b\x7f\"b", "a????\"b" },
		{ "12345678901234567890123456789012",
		    "12345678901234567890123456789012" },
		{ "123456789012345678901234567890123",
		    "12345678901234567890123456789012..." },
		/* A character is not cut in two. */
		{ "1234567890123456789012345678901\xC3\xA9",
		    "1234567890123456789012345678901..." },
		{ "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
		    "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80" },
		{ "\xFF\xC3", "??" },
		{ "\xC2\x9B", "??" },
	};
	char out[VALUE_EXCERPT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(
		    value_excerpt(slice_str(cases[i].raw), out), cases[i].shown);
	assert_string_equal(value_excerpt(slice_make("a\0b", 3), out), "a?b");
}

static void
test_whole(void **state)
{
	struct errinfo ei;
	int64_t out = -7;

	(void)state;
	assert_int_equal(
	    value_parse_whole("COST", slice_str("0"), 0, NUM_MAX, &out, &ei), 0);
	assert_int_equal(out, 0);
	assert_int_equal(value_parse_whole("COST", slice_str("9007199254740991"), 0,
			     NUM_MAX, &out, &ei),
	    0);
	assert_int_equal(out, NUM_MAX);
	assert_int_equal(
	    value_parse_whole("COST", slice_str("abc"), 0, NUM_MAX, &out, &ei),
	    ERR_INVALID);
	assert_string_equal(ei.text,
	    "COST must be a whole number from 0 to "
	    "9007199254740991, not \"abc\"");
	for (size_t i = 0; i < 6; i++) {
		static const char *const texts[] = { "9007199254740992", "-1", "1.5",
			"", " 1", "99999999999999999999999999" };

		assert_int_equal(
		    value_parse_whole("x", slice_str(texts[i]), 0, NUM_MAX, &out, &ei),
		    ERR_INVALID);
	}
	assert_int_equal(out, NUM_MAX);
}

static const struct {
	const char *json;
	int64_t value; /* -1: refused */
	const char *shown;
} numbers[] = {
	{ "5", 5, NULL },
	{ "5.0", 5, NULL },
	{ "1e3", 1000, NULL },
	{ "-0.0", 0, NULL },
	{ "9007199254740991", NUM_MAX, NULL },
	{ "9007199254740991.0", NUM_MAX, NULL },
	{ "9007199254740992", -1, "9007199254740992" },
	{ "9.1e15", -1, "9100000000000000" },
	{ "99999999999999999999", -1, "not 1e+20" },
	{ "1e300", -1, "1" },
	{ "5.5", -1, "5.5" },
	{ "-1", -1, "-1" },
	{ "-0.5", -1, "-0.5" },
	{ "\"5\"", -1, "\"5\"" },
	{ "true", -1, "true" },
	{ "null", -1, "null" },
	{ "[]", -1, "an array" },
	{ "{}", -1, "an object" },
};

static void
test_json_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct errinfo ei;
		int64_t out = -1;
		json_t *json = value_parse_json("it", slice_str(numbers[i].json), &ei);
		int rc = value_parse_json_whole("cost", json, 0, NUM_MAX, &out, &ei);

		assert_int_equal(rc, numbers[i].value < 0 ? ERR_INVALID : 0);
		assert_int_equal(out, numbers[i].value);
		if (rc < 0)
			assert_non_null(strstr(ei.text, numbers[i].shown));
		json_decref(json);
	}
}

static const struct {
	const char *json;
	int code;
	const char *text;
} faults[] = {
	{ "", ERR_SYNTAX, "ARGS is empty" },
	{ "{", ERR_SYNTAX, "line 1, column 1: it ends too early" },
	{ "{\"a\":\n 1,\n x}", ERR_SYNTAX, "line 3, column 2: not as JSON is written" },
	{ "{\"a\":1,\"a\":2}", ERR_INVALID, "a key that is given twice" },
	{ "{} {}", ERR_SYNTAX, "more text behind" },
	{ "{\"a\":\"\\u0000\"}", ERR_INVALID, "NUL" },
	{ "{\"\\u0000\":1}", ERR_INVALID, "NUL" },
	{ "\"\xFF\"", ERR_SYNTAX, "not UTF-8" },
	{ "1e999", ERR_TOOBIG, "a number that a double cannot hold" },
	{ "[123456789012345678901234567890,1e999]", ERR_TOOBIG, "a double" },
	{ "{\"a\":123456789012345678901234567890,\"a\":1}", ERR_INVALID, "twice" },
	{ "[123456789012345678901234567890,]", ERR_SYNTAX, "not as JSON is written" },
	{ "\xEF\xBB\xBF{}", ERR_SYNTAX, "not as JSON is written" },
	{ "NaN", ERR_SYNTAX, "not as JSON is written" },
};

static void
test_json_faults(void **state)
{
	struct errinfo ei;
	char *deep = malloc(100001);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		assert_null(value_parse_json("ARGS", slice_str(faults[i].json), &ei));
		assert_int_equal(ei.code, faults[i].code);
		assert_non_null(strstr(ei.text, faults[i].text));
	}
	memset(deep, '[', 100000);
	assert_null(value_parse_json("ARGS", slice_make(deep, 100000), &ei));
	assert_int_equal(ei.code, ERR_TOOBIG);
	assert_non_null(strstr(ei.text, "nested deeper than 64 levels"));
	assert_null(value_parse_json("ARGS", slice_make("{\"a\0b\":1}", 9), &ei));
	assert_null(value_parse_json("ARGS", slice_make("{}\0", 3), &ei));
	free(deep);
}

/* `n` members of an array, each `item`, inside `depth` objects. */
static int
parse_sized(size_t depth, size_t n, const char *item, struct errinfo *ei)
{
	struct buf text = { 0 };
	json_t *value;

	for (size_t i = 0; i < depth; i++)
		buf_add_str(&text, "{\"a\":");
	buf_add_char(&text, '[');
	for (size_t i = 0; i < n; i++)
		buf_printf(&text, "%s%s", i ? "," : "", item);
	buf_add_char(&text, ']');
	for (size_t i = 0; i < depth; i++)
		buf_add_char(&text, '}');
	value = value_parse_json("ARGS", buf_slice(&text), ei);
	buf_fini(&text);
	json_decref(value);
	return value ? 0 : ei->code;
}

static void
test_json_that_would_take_long(void **state)
{
	struct errinfo ei;

	(void)state;
	assert_int_equal(parse_sized(63, 1, "1", &ei), 0);
	assert_int_equal(parse_sized(64, 1, "1", &ei), ERR_TOOBIG);
	assert_string_equal(ei.text, "ARGS is nested deeper than 64 levels");
	assert_int_equal(parse_sized(0, 19999, "1", &ei), 0);
	assert_int_equal(parse_sized(0, 20001, "1", &ei), ERR_TOOBIG);
	assert_string_equal(ei.text, "ARGS has more than 20000 values");
	assert_int_equal(parse_sized(0, 10001, "[]", &ei), ERR_TOOBIG);
	assert_int_equal(parse_sized(0, 7000, "{\"a\":1}", &ei), ERR_TOOBIG);
	/* What stands in strings is text. */
	assert_int_equal(parse_sized(0, 3000, "\",,,,[[[[{{\\\",::\"", &ei), 0);
	/* Ends within a string, and within an escape. */
	assert_null(value_parse_json("ARGS", slice_str("[\"abc"), &ei));
	assert_null(value_parse_json("ARGS", slice_str("[\"abc\\"), &ei));
	assert_int_equal(ei.code, ERR_SYNTAX);
}

static struct errinfo ei;

static void
test_mode(void **state)
{
	enum check_mode mode = MODE_PEEK;

	(void)state;
	assert_int_equal(
	    value_parse_mode("mode", slice_str("enforce"), false, &mode, &ei), 0);
	assert_int_equal(mode, MODE_ENFORCE);
	assert_int_equal(
	    value_parse_mode("mode", slice_str("peek"), false, &mode, &ei), 0);
	assert_int_equal(mode, MODE_PEEK);
	assert_int_equal(
	    value_parse_mode("mode", slice_str("reserve"), false, &mode, &ei), 0);
	assert_int_equal(mode, MODE_RESERVE);
	assert_int_equal(value_parse_mode("mode", slice_str("x\ny"), false, &mode, &ei),
	    ERR_INVALID);
	assert_string_equal(
	    ei.text, "mode must be \"enforce\", \"peek\" or \"reserve\", not \"x?y\"");
	assert_int_equal(value_parse_mode("mode", slice_str("Peek"), false, &mode, &ei),
	    ERR_INVALID);
	assert_int_equal(mode, MODE_RESERVE);
	assert_int_equal(
	    value_parse_mode("MODE", slice_str("PeeK"), true, &mode, &ei), 0);
	assert_int_equal(mode, MODE_PEEK);
	assert_int_equal(value_parse_mode("MODE", slice_str("peeks"), true, &mode, &ei),
	    ERR_INVALID);
}

static void
test_text(void **state)
{
	(void)state;
	assert_int_equal(value_validate_text("f", slice_str("\xC3\xA9"), 2, &ei), 0);
	assert_int_equal(value_validate_text("f", slice_str(""), 2, &ei), ERR_INVALID);
	assert_string_equal(ei.text, "f is empty");
	assert_int_equal(
	    value_validate_text("f", slice_str("abc"), 2, &ei), ERR_TOOBIG);
	assert_string_equal(ei.text, "f is longer than 2 bytes");
	assert_int_equal(
	    value_validate_text("f", slice_str("\xFF"), 2, &ei), ERR_INVALID);
	assert_string_equal(ei.text, "f is not valid UTF-8");
	assert_int_equal(
	    value_validate_text("f", slice_make("a\0", 2), 2, &ei), ERR_INVALID);
	assert_string_equal(ei.text, "f holds a NUL byte");
}

static void
test_ttl(void **state)
{
	struct check_request r = { .mode = MODE_RESERVE, .ttl_s = 5 };

	(void)state;
	assert_int_equal(value_validate_ttl("TTL", "MODE", &r, &ei), 0);
	r.mode = MODE_PEEK;
	assert_int_equal(value_validate_ttl("TTL", "MODE", &r, &ei), ERR_INVALID);
	assert_string_equal(ei.text,
	    "TTL says how long a reservation lasts; it needs MODE \"reserve\"");
	r.ttl_s = 0;
	assert_int_equal(value_validate_ttl("TTL", "MODE", &r, &ei), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_excerpt),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_json_whole),
		cmocka_unit_test(test_json_faults),
		cmocka_unit_test(test_json_that_would_take_long),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_ttl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
