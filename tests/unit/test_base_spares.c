/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/spares.h"

struct thing {
	struct spare spare; /* must stay first */
	int worn;
};

static int n_freed;

static void
thing_free(void *object)
{
	n_freed++;
	free(object);
}

static const struct spares two = {
	.size = sizeof(struct thing), .max = 2, .free = thing_free
};

static void
test_what_was_put_back_comes_first(void **state)
{
	struct spares spares = two;
	struct thing *a = spares_get(&spares);
	struct thing *b = spares_get(&spares);

	(void)state;
	assert_int_equal(a->worn, 0);
	assert_ptr_not_equal(a, b);
	a->worn = 7;
	spares_put(&spares, a);
	assert_ptr_equal(spares_get(&spares), a);
	assert_int_equal(a->worn, 7);
	spares_put(&spares, b);
	spares_put(&spares, a);
	spares_fini(&spares);
}

static void
test_more_than_that_are_freed(void **state)
{
	struct spares spares = two;
	struct thing *things[3];

	(void)state;
	n_freed = 0;
	for (size_t i = 0; i < 3; i++)
		things[i] = spares_get(&spares);
	for (size_t i = 0; i < 3; i++)
		spares_put(&spares, things[i]);
	assert_int_equal(n_freed, 1);
	spares_fini(&spares);
	assert_int_equal(n_freed, 3);
	spares_fini(&spares);
	assert_int_equal(n_freed, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_put_back_comes_first),
		cmocka_unit_test(test_more_than_that_are_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
