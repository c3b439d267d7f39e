/* SPDX-License-Identifier: ISC */
/* Memory for many small things: nothing overlaps, nothing moves, and it goes back. */
#include "store/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "resident.h"

struct thing {
	unsigned char *at;
	size_t bytes;
	unsigned char mark;
};

static void
assert_whole(const struct thing *t)
{
	for (size_t i = 0; i < t->bytes; i++)
		assert_int_equal(t->at[i], t->mark);
}

/* Things of all sizes come and go at random; none is written to by another. */
static void
test_things_are_apart(void **state)
{
	enum { THINGS = 4000, STEPS = 60000 };
	static struct thing all[THINGS];
	struct slabs slabs = { 0 };
	unsigned seed = 1;

	(void)state;
	for (int step = 0; step < STEPS; step++) {
		struct thing *t = &all[rand_r(&seed) % THINGS];

		if (t->at) {
			assert_whole(t);
			slab_put(&slabs, t->at, t->bytes);
			t->at = NULL;
			slabs_trim(&slabs, (size_t)rand_r(&seed) % 2);
			continue;
		}
		t->bytes = 1 + (size_t)rand_r(&seed) % (SLAB_THING_MAX + 40);
		t->mark = (unsigned char)rand_r(&seed);
		t->at = slab_get(&slabs, t->bytes);
		assert_non_null(t->at);
		assert_int_equal((uintptr_t)t->at % SLAB_GRAIN, 0);
		memset(t->at, t->mark, t->bytes);
	}
	for (size_t i = 0; i < THINGS; i++)
		if (all[i].at) {
			assert_whole(&all[i]);
			slab_put(&slabs, all[i].at, all[i].bytes);
		}
	slabs_fini(&slabs);
}

/* As many as trimming is asked for go, all but one. */
static void
test_empty_slabs_go_back(void **state)
{
	enum { THINGS = 100000, BYTES = 100 };
	void **things = malloc(THINGS * sizeof(*things));
	struct slabs slabs = { 0 };
	size_t full;
	size_t spare;

	(void)state;
	assert_non_null(things);
	for (size_t i = 0; i < THINGS; i++) {
		things[i] = slab_get(&slabs, BYTES);
		assert_non_null(things[i]);
		memset(things[i], 1, BYTES);
	}
	assert_int_equal(slabs.n_spare, 0);
	assert_int_equal(slabs_trim(&slabs, 1000), 0);
	full = resident_bytes();
	for (size_t i = 0; i < THINGS; i++)
		slab_put(&slabs, things[i], BYTES);
	free(things);
	spare = slabs.n_spare;
	assert_true(spare >= (size_t)THINGS * BYTES / SLAB_BYTES);
	assert_int_equal(slabs_trim(&slabs, 3), 3);
	assert_int_equal(slabs.n_spare, spare - 3);
	assert_int_equal(slabs_trim(&slabs, 1000), spare - 4);
	assert_int_equal(slabs.n_spare, 1);
	assert_true(full - resident_bytes() > (size_t)THINGS * BYTES * 9 / 10);
	slabs_fini(&slabs);
}

/* What was emptied serves another size. */
static void
test_spare_serves_any_size(void **state)
{
	struct slabs slabs = { 0 };
	void *thing = slab_get(&slabs, 40);
	uintptr_t slab = (uintptr_t)thing / SLAB_BYTES;

	(void)state;
	assert_non_null(thing);
	slab_put(&slabs, thing, 40);
	assert_int_equal(slabs.n_spare, 1);
	thing = slab_get(&slabs, 200);
	assert_true((uintptr_t)thing / SLAB_BYTES == slab);
	assert_int_equal(slabs.n_spare, 0);
	slab_put(&slabs, thing, 200);
	slabs_fini(&slabs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_things_are_apart),
		cmocka_unit_test(test_empty_slabs_go_back),
		cmocka_unit_test(test_spare_serves_any_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
