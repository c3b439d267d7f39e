/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/duration.h"
#include "base/err.h"

static void
test_parse(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = { { "0", 0 }, { "5", 5000 }, { "500ms", 500 }, { "5s", 5000 },
		{ "2m", 120000 }, { "1h", 3600000 }, { "007s", 7000 }, { "0ms", 0 },
		{ "9007199254740991ms", INT64_C(9007199254740991) } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ms = -1;

		assert_int_equal(duration_parse(slice_str(cases[i].text), &ms), 0);
		assert_int_equal(ms, cases[i].ms);
	}
}

static void
test_parse_refuses(void **state)
{
	static const struct {
		const char *text;
		int code;
	} cases[] = { { "", ERR_SYNTAX }, { "s", ERR_SYNTAX }, { "ms", ERR_SYNTAX },
		{ "-1", ERR_SYNTAX }, { "-0s", ERR_SYNTAX }, { "1.5s", ERR_SYNTAX },
		{ "5 s", ERR_SYNTAX }, { " 5s", ERR_SYNTAX }, { "5S", ERR_SYNTAX },
		{ "5d", ERR_SYNTAX }, { "1m30s", ERR_SYNTAX },
		{ "9007199254740992ms", ERR_TOOBIG }, { "9007199254741s", ERR_TOOBIG },
		{ "99999999999999999999", ERR_TOOBIG } };
	int64_t ms = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(
		    duration_parse(slice_str(cases[i].text), &ms), cases[i].code);
		assert_int_equal(ms, 42);
	}
}

static void
test_format(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = { { 0, "0s" }, { 1, "1ms" }, { 1500, "1500ms" }, { 5000, "5s" },
		{ 90000, "90s" }, { 120000, "2m" }, { 3600000, "1h" },
		{ INT64_C(9007199254740991), "9007199254740991ms" } };
	char text[DURATION_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(duration_format(cases[i].ms, text), cases[i].text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
