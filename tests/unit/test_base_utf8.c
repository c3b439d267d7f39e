/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/utf8.h"

static bool
valid(const char *text)
{
	return utf8_valid(text, strlen(text));
}

static void
test_well_formed(void **state)
{
	(void)state;
	assert_true(utf8_valid(NULL, 0));
	assert_true(valid("plain"));
	assert_true(valid("a longer plain text than eight bytes"));
	assert_true(valid("\xC2\x80 \xDF\xBF"));
	assert_true(valid("\xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF"));
	assert_true(valid("\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF"));
	assert_true(utf8_valid("a\0b", 3));
}

static void
test_ill_formed(void **state)
{
	static const char *const bad[] = {
		"\x80",
		"\xBF",
		"\xC0\x80",
		"\xC1\xBF",
		"\xC2",
		"\xC2 ",
		"\xE0\x9F\xBF",
		"\xED\xA0\x80",
		"\xE2\x82",
		"\xE2\x82 ",
		"\xF0\x8F\xBF\xBF",
		"\xF4\x90\x80\x80",
		"\xF5\x80\x80\x80",
		"\xF0\x9F\x90",
		"\xF0\x9F\x90 ",
		"\xFE",
		"\xFF",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(valid(bad[i]));
}

/* The eight-byte stride must not step over a bad byte, wherever it stands. */
static void
test_bad_byte_at_every_place(void **state)
{
	char text[41];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++) {
		memset(text, 'a', sizeof(text));
		assert_true(utf8_valid(text, sizeof(text)));
		text[i] = '\x80';
		assert_false(utf8_valid(text, sizeof(text)));
		text[i] = '\xE2';
		assert_false(utf8_valid(text, sizeof(text)));
	}
}

static void
test_cut_keeps_characters_whole(void **state)
{
	/* a, two bytes, three bytes, four bytes, b */
	static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x98"
				   "b";
	static const size_t want[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11 };

	(void)state;
	for (size_t len = 0; len < ARRAY_LEN(want); len++)
		assert_int_equal(utf8_cut(text, len), want[len]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_well_formed),
		cmocka_unit_test(test_ill_formed),
		cmocka_unit_test(test_bad_byte_at_every_place),
		cmocka_unit_test(test_cut_keeps_characters_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
