/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/num.h"

static void
test_parse_accepts(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} cases[] = {
		{ "0", 0 },
		{ "-0", 0 },
		{ "7", 7 },
		{ "007", 7 },
		{ "-12", -12 },
		{ "9007199254740991", NUM_MAX },
		{ "9223372036854775807", INT64_MAX },
		{ "-9223372036854775808", INT64_MIN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t got = 99;

		assert_int_equal(num_parse(slice_str(cases[i].text), &got), 0);
		assert_true(got == cases[i].value);
	}
}

static void
test_parse_refuses(void **state)
{
	static const struct {
		const char *text;
		int code;
	} cases[] = {
		{ "", ERR_SYNTAX },
		{ "-", ERR_SYNTAX },
		{ "+1", ERR_SYNTAX },
		{ " 1", ERR_SYNTAX },
		{ "1 ", ERR_SYNTAX },
		{ "1.0", ERR_SYNTAX },
		{ "1e3", ERR_SYNTAX },
		{ "0x1", ERR_SYNTAX },
		{ "--1", ERR_SYNTAX },
		{ "9223372036854775808", ERR_TOOBIG },
		{ "-9223372036854775809", ERR_TOOBIG },
		{ "99999999999999999999", ERR_TOOBIG },
		/* Not a number is said before too big. */
		{ "99999999999999999999x", ERR_SYNTAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t got = 99;

		assert_int_equal(
		    num_parse(slice_str(cases[i].text), &got), cases[i].code);
		assert_int_equal(got, 99);
	}
	assert_int_equal(
	    num_parse(slice_make("1\0002", 3), &(int64_t){ 0 }), ERR_SYNTAX);
}

static void
test_format_equals_printf(void **state)
{
	static const int64_t values[] = { 0, 1, -1, 9, 10, 99, 100, -100, NUM_MAX,
		INT64_MAX, INT64_MIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		char want[NUM_TEXT_MAX];
		char got[NUM_TEXT_MAX];

		snprintf(want, sizeof(want), "%" PRId64, values[i]);
		assert_int_equal(num_format(values[i], got), strlen(want));
		assert_string_equal(got, want);
	}
}

static void
test_format_real(void **state)
{
	static const struct {
		double value;
		const char *want;
	} cases[] = { { 0.1, "0.1" }, { 1e-7, "1e-07" }, { 5.0, "5" }, { -2.5, "-2.5" },
		{ 0.1 + 0.2, "0.30000000000000004" }, { 1e300, "1e+300" },
		{ 9007199254740991.0, "9007199254740991" },
		{ 1e16, "10000000000000000" },
		{ -2.2250738585072014e-308, "-2.2250738585072014e-308" } };
	char text[NUM_REAL_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(
		    num_format_real(cases[i].value, text), cases[i].want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_accepts),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_format_equals_printf),
		cmocka_unit_test(test_format_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
