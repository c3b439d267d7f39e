/* SPDX-License-Identifier: ISC */
/* A shard grows and shrinks a little at a time, loses nothing meanwhile, and gives its
 * memory back. What is counted is work, not time: test_store_pause has the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "hash_fixture.h"
#include "store/shard.h"

enum { MANY = 100000, SWEEP = 4 };

/* Sixteen slots for a take, and on to the end of those that stand in a row. */
#define MOVED_AT_ONCE 600

#define LATER_MS (INT64_MAX / 2000)

static size_t
format_key(char key[32], int i)
{
	return (size_t)snprintf(key, 32, "key-%d", i);
}

static struct shard_entry *
find(const struct shard *s, int i)
{
	char key[32];
	size_t len = format_key(key, i);

	return shard_find(s, ENTRY_COUNTER, slice_make(key, len), hash_bytes(key, len));
}

/* As a take does it; no more of what was there has moved than one step's worth. */
static void
add(struct shard *s, int i, int64_t end_ms)
{
	char key[32];
	size_t len = format_key(key, i);
	uint32_t moved = s->old.cap ? s->moved : 0;
	uint32_t cap = s->table.cap;
	struct shard_entry *entry;

	shard_sweep(s, SWEEP, 0);
	shard_make_room(s, 1);
	/* A new one is begun only when the old one is empty. */
	if (s->table.cap != cap && cap > 256)
		assert_int_equal(s->moved, 0);
	if (s->old.cap)
		assert_true(s->moved - moved <= MOVED_AT_ONCE);
	entry =
	    shard_insert(s, ENTRY_COUNTER, slice_make(key, len), hash_bytes(key, len));
	assert_non_null(entry);
	entry->state.used = i;
	entry->state.end_ms = end_ms;
}

static void
remove_key(struct shard *s, int i)
{
	char key[32];
	size_t len = format_key(key, i);

	shard_remove(s, find(s, i), hash_bytes(key, len));
	assert_null(find(s, i));
}

static void
assert_holds(const struct shard *s, int i)
{
	const struct shard_entry *entry = find(s, i);

	assert_non_null(entry);
	assert_int_equal(entry->state.used, i);
}

/* While it grows everything is found, also what is taken out of either table. */
static void
test_grows_little_by_little(void **state)
{
	struct shard s = { 0 };
	size_t moving = 0;
	int removed = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		add(&s, i, LATER_MS);
		assert_holds(&s, i);
		assert_holds(&s, removed + (i - removed) / 2);
		moving += s.old.cap > 0;
		if (s.old.cap > 0 && i % 7 == 0)
			remove_key(&s, removed++);
	}
	assert_true(moving > 1000);
	assert_true(removed > 100);
	assert_int_equal(shard_count(&s), MANY - removed);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(find(&s, i) != NULL, i >= removed);
	shard_fini(&s);
}

/* All but a few die; a sweep at a time the table becomes small, and the few stay. */
static void
test_shrinks_little_by_little(void **state)
{
	struct shard s = { 0 };
	uint32_t cap;
	int sweeps = 0;
	size_t freed = 0;

	(void)state;
	for (int i = 0; i < MANY; i++)
		add(&s, i, i % 5000 ? 1000 : LATER_MS);
	cap = s.table.cap;
	while ((s.old.cap > 0 || s.table.cap > 256) && sweeps++ < 20000) {
		freed += shard_sweep(&s, 64, 2000000);
		assert_holds(&s, sweeps % (MANY / 5000) * 5000);
		assert_true(s.table.cap == cap || s.table.cap == cap / 2);
		cap = s.table.cap;
	}
	assert_int_equal(s.table.cap, 256);
	freed += shard_sweep(&s, 256, 2000000);
	assert_true(sweeps > 2000);
	assert_int_equal(freed, MANY - MANY / 5000);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(find(&s, i) != NULL, i % 5000 == 0);
	shard_fini(&s);
}

/* An empty one keeps no large table and one slab. */
static void
test_empty_keeps_little(void **state)
{
	struct shard s = { 0 };

	(void)state;
	assert_true(shard_is_clean(&s));
	for (int i = 0; i < MANY; i++)
		add(&s, i, 1000);
	for (int i = 0; i < 4000; i++)
		shard_sweep(&s, 1024, 2000000);
	assert_int_equal(shard_count(&s), 0);
	assert_true(s.table.cap <= 256);
	assert_int_equal(s.old.cap, 0);
	assert_true(shard_is_clean(&s));
	add(&s, 1, LATER_MS);
	assert_holds(&s, 1);
	shard_fini(&s);
}

/* It goes on growing before what it grew out of is empty, as when takes of very many
 * charges come: then all is moved at once, and still there. */
static void
test_grows_faster_than_it_moves(void **state)
{
	struct shard s = { 0 };

	(void)state;
	for (int i = 0; i < MANY; i++) {
		char key[32];
		size_t len = format_key(key, i);
		struct shard_entry *entry;

		shard_make_room(&s, 1);
		entry = shard_insert(
		    &s, ENTRY_COUNTER, slice_make(key, len), hash_bytes(key, len));
		assert_non_null(entry);
		entry->state.used = i;
	}
	for (int i = 0; i < MANY; i++)
		assert_holds(&s, i);
	shard_fini(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_little_by_little),
		cmocka_unit_test(test_shrinks_little_by_little),
		cmocka_unit_test(test_empty_keeps_little),
		cmocka_unit_test(test_grows_faster_than_it_moves),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
