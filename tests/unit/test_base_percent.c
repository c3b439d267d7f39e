/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/percent.h"

static void
test_only_hex_digits_are_digits(void **state)
{
	static const char digits[] = "0123456789abcdefABCDEF";

	(void)state;
	for (int c = -128; c < 128; c++) {
		bool is_digit = c != 0 && strchr(digits, c) != NULL;

		assert_int_equal(percent_hex_digit((char)c) >= 0, is_digit);
	}
	assert_int_equal(percent_hex_digit('9'), 9);
	assert_int_equal(percent_hex_digit('f'), 15);
	assert_int_equal(percent_hex_digit('A'), 10);
}

static void
test_decode(void **state)
{
	char out[4];

	(void)state;
	assert_int_equal(percent_decode(slice_str("a%2Fb"), out, sizeof(out)), 3);
	assert_memory_equal(out, "a/b", 3);
	assert_int_equal(percent_decode(slice_str("%00%fF+"), out, sizeof(out)), 3);
	assert_memory_equal(out, "\0\xff+", 3);
	assert_int_equal(percent_decode(slice_str(""), out, sizeof(out)), 0);
	assert_int_equal(percent_decode(slice_str("abcd"), out, sizeof(out)), 4);
	assert_int_equal(
	    percent_decode(slice_str("abcde"), out, sizeof(out)), ERR_TOOBIG);
	assert_int_equal(percent_decode(slice_str("%"), out, sizeof(out)), ERR_SYNTAX);
	assert_int_equal(percent_decode(slice_str("%4"), out, sizeof(out)), ERR_SYNTAX);
	assert_int_equal(
	    percent_decode(slice_str("%\x14\x11"), out, sizeof(out)), ERR_SYNTAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_hex_digits_are_digits),
		cmocka_unit_test(test_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
