/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/map.h"
#include "hash_fixture.h"

static void
test_empty(void **state)
{
	struct map m = { 0 };

	(void)state;
	assert_null(map_get(&m, slice_str("a")));
	assert_null(map_get(&m, slice_make(NULL, 0)));
	map_fini(&m);
}

static void
test_set_get_replace(void **state)
{
	struct map m = { 0 };
	int one;
	int two;

	(void)state;
	assert_int_equal(map_set(&m, slice_str("a"), &one), 0);
	assert_int_equal(map_set(&m, slice_make("a\0b", 3), &two), 0);
	assert_ptr_equal(map_get(&m, slice_str("a")), &one);
	assert_ptr_equal(map_get(&m, slice_make("a\0b", 3)), &two);
	assert_null(map_get(&m, slice_make("a\0c", 3)));
	assert_int_equal(map_set(&m, slice_str("a"), &two), 0);
	assert_ptr_equal(map_get(&m, slice_str("a")), &two);
	assert_int_equal(m.n, 2);
	map_fini(&m);
	assert_null(map_get(&m, slice_str("a")));
}

static void
test_many(void **state)
{
	enum { MANY = 5000 };
	static char keys[MANY][16];
	struct map m = { 0 };

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key-%d", i);
		assert_int_equal(map_set(&m, slice_str(keys[i]), keys[i]), 0);
		assert_true(m.n * 4 <= m.cap * 3);
	}
	for (int i = 0; i < MANY; i++)
		assert_ptr_equal(map_get(&m, slice_str(keys[i])), keys[i]);
	assert_null(map_get(&m, slice_str("key-5000")));
	map_fini(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_set_get_replace),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
