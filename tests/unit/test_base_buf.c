/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/num.h"

static void
assert_holds(const struct buf *b, const char *text)
{
	assert_int_equal(b->len, strlen(text));
	assert_memory_equal(b->data, text, b->len);
}

static void
test_appends(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_add(&b, NULL, 0);
	assert_int_equal(b.len, 0);
	buf_add(&b, "ab", 2);
	buf_add_str(&b, "cd");
	buf_add_char(&b, 'e');
	buf_add_slice(&b, slice_str("fg"));
	buf_add_int(&b, -42);
	buf_printf(&b, "<%s|%d>", "x", 7);
	assert_holds(&b, "abcdefg-42<x|7>");
	assert_string_equal(buf_cstr(&b), "abcdefg-42<x|7>");
	assert_int_equal(b.len, strlen("abcdefg-42<x|7>"));
	assert_true(slice_eq_str(buf_slice(&b), "abcdefg-42<x|7>"));
	assert_false(b.failed);
	buf_fini(&b);
	assert_null(b.data);
}

static void
test_grows_and_keeps_what_it_had(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	for (int i = 0; i < 100000; i++)
		buf_add_char(&b, (char)('a' + i % 26));
	assert_int_equal(b.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
	buf_fini(&b);
}

static void
test_reserve_counts_only_what_is_committed(void **state)
{
	struct buf b = { 0 };
	char *to;

	(void)state;
	to = buf_reserve(&b, 5000);
	assert_non_null(to);
	memset(to, 'x', 5000);
	assert_int_equal(b.len, 0);
	buf_commit(&b, 3);
	assert_holds(&b, "xxx");
	buf_fini(&b);
}

static void
test_drop_moves_the_rest_down(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_add_str(&b, "hello world");
	buf_drop(&b, 0);
	assert_holds(&b, "hello world");
	buf_drop(&b, 6);
	assert_holds(&b, "world");
	buf_drop(&b, 5);
	assert_int_equal(b.len, 0);
	buf_fini(&b);
}

static void
test_failure_sticks_until_cleared(void **state)
{
	struct buf b = { 0 };
	char *data;

	(void)state;
	buf_add_str(&b, "kept");
	assert_null(buf_reserve(&b, SIZE_MAX / 2));
	assert_true(b.failed);
	buf_add_str(&b, "!");
	assert_true(b.failed);
	data = b.data;
	buf_clear(&b);
	assert_false(b.failed);
	assert_int_equal(b.len, 0);
	assert_ptr_equal(b.data, data);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_grows_and_keeps_what_it_had),
		cmocka_unit_test(test_reserve_counts_only_what_is_committed),
		cmocka_unit_test(test_drop_moves_the_rest_down),
		cmocka_unit_test(test_failure_sticks_until_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
