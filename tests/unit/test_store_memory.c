/* SPDX-License-Identifier: ISC */
#include "memory_fixture.h"
#include "resident.h"

#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include "store/failing.h"
#include "store/shard.h"

static int n_done;

static void
on_done(struct take *take)
{
	(void)take;
	n_done++;
}

/* Takes at once; the embedded store answers before it returns. */
static enum take_status
take_charges(struct store *store, struct charge *charges, size_t n, struct take *take)
{
	int before = n_done;

	memset(take, 'x', sizeof(*take));
	take->charges = charges;
	take->n = n;
	take->deadline_us = 0;
	take->done = on_done;
	take->look = false;
	take->ledger = NULL;
	store_take(store, take);
	assert_int_equal(n_done, before + 1);
	return take->status;
}

/* One charge; `used` is what it should report. */
static enum take_status
take_one(struct fixture *f, const char *key, int64_t cost, int64_t used)
{
	struct charge c = charge_of(&f->minute, key, cost);
	struct take take;
	enum take_status status = take_charges(f->store, &c, 1, &take);

	if (status != TAKE_FAILED) {
		assert_true(c.count.used == used);
		assert_true(take.now_us == f->now_us);
		assert_int_equal(take.fault, FAULT_NONE);
	}
	return status;
}

static void
test_counts_and_refuses(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(take_one(&f, "a", 1, i), TAKE_ADMITTED);
	assert_int_equal(take_one(&f, "a", 1, 3), TAKE_REFUSED);
	assert_int_equal(take_one(&f, "b", 2, 2), TAKE_ADMITTED);
	assert_int_equal(take_one(&f, "b", 2, 2), TAKE_REFUSED);
	assert_int_equal(take_one(&f, "b", 1, 3), TAKE_ADMITTED);
	assert_int_equal(memory_count(f.memory), 2);
	f.now_us += MINUTE_US;
	assert_int_equal(take_one(&f, "a", 1, 1), TAKE_ADMITTED);
	assert_int_equal(metric_get(f.cells, METRIC_STORE_TAKES), 8);
	assert_int_equal(metric_get(f.cells, METRIC_STORE_UP), 1);
	assert_true(store_ready(f.store, NULL));
	store_flush(f.store);
	fixture_close(&f);
}

static void
test_refused_or_free_makes_no_counter(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	assert_int_equal(take_one(&f, "a", 4, 0), TAKE_REFUSED);
	assert_int_equal(take_one(&f, "a", 0, 0), TAKE_ADMITTED);
	assert_int_equal(memory_count(f.memory), 0);
	fixture_close(&f);
}

static void
test_all_or_none(void **state)
{
	struct fixture f;
	struct charge c[3];
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	assert_int_equal(take_one(&f, "full", 3, 3), TAKE_ADMITTED);
	assert_int_equal(take_one(&f, "some", 1, 1), TAKE_ADMITTED);
	c[0] = charge_of(&f.minute, "some", 1);
	c[1] = charge_of(&f.minute, "new", 1);
	c[2] = charge_of(&f.minute, "full", 1);
	assert_int_equal(take_charges(f.store, c, 3, &take), TAKE_REFUSED);
	assert_int_equal(take.refused, 2);
	assert_int_equal(c[0].count.used, 1);
	assert_int_equal(c[1].count.used, 0);
	assert_int_equal(c[2].count.used, 3);
	assert_int_equal(memory_count(f.memory), 2);
	/* The first that lacks room is named, whatever stands behind it. */
	c[1].cost = 9;
	assert_int_equal(take_charges(f.store, c, 3, &take), TAKE_REFUSED);
	assert_int_equal(take.refused, 1);
	assert_int_equal(c[2].count.used, 3);
	c[1].cost = 2;
	c[2].cost = 0;
	assert_int_equal(take_charges(f.store, c, 3, &take), TAKE_ADMITTED);
	assert_int_equal(c[0].count.used, 2);
	assert_int_equal(c[1].count.used, 2);
	assert_int_equal(c[2].count.used, 3);
	fixture_close(&f);
}

/* As a take would be answered, but nothing is charged, and no counter is made. */
static void
test_look(void **state)
{
	struct fixture f;
	struct charge c[3];
	struct take take = { .charges = c, .n = 2, .done = on_done, .look = true };

	(void)state;
	fixture_open(&f, 0);
	assert_int_equal(take_one(&f, "some", 2, 2), TAKE_ADMITTED);
	c[0] = charge_of(&f.minute, "new", 3);
	c[1] = charge_of(&f.minute, "some", 1);
	for (int i = 0; i < 3; i++) {
		store_take(f.store, &take);
		assert_int_equal(take.status, TAKE_ADMITTED);
		assert_int_equal(c[0].count.used, 0);
		assert_int_equal(c[1].count.used, 2);
	}
	assert_int_equal(memory_count(f.memory), 1);
	c[2] = charge_of(&f.minute, "new", 4);
	c[1].cost = 2;
	take.n = 3;
	store_take(f.store, &take);
	assert_int_equal(take.status, TAKE_REFUSED);
	assert_int_equal(take.refused, 1);
	f.now_us += MINUTE_US;
	store_take(f.store, &take);
	assert_int_equal(take.refused, 2);
	assert_int_equal(c[1].count.used, 0);
	fixture_close(&f);
}

static void
test_max_changes_at_once(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	assert_int_equal(take_one(&f, "a", 3, 3), TAKE_ADMITTED);
	f.minute.max = 5;
	assert_int_equal(take_one(&f, "a", 2, 5), TAKE_ADMITTED);
	f.minute.max = 2;
	assert_int_equal(take_one(&f, "a", 1, 5), TAKE_REFUSED);
	assert_int_equal(take_one(&f, "a", 0, 5), TAKE_REFUSED);
	fixture_close(&f);
}

static void
test_clock_going_back_keeps_counts(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	f.now_us += MINUTE_US;
	assert_int_equal(take_one(&f, "a", 2, 2), TAKE_ADMITTED);
	f.now_us -= MINUTE_US;
	assert_int_equal(take_one(&f, "a", 1, 3), TAKE_ADMITTED);
	assert_int_equal(take_one(&f, "a", 1, 3), TAKE_REFUSED);
	f.now_us += MINUTE_US;
	assert_int_equal(take_one(&f, "a", 1, 3), TAKE_REFUSED);
	f.now_us += MINUTE_US;
	assert_int_equal(take_one(&f, "a", 1, 1), TAKE_ADMITTED);
	fixture_close(&f);
}

static void
test_keys_are_bytes(void **state)
{
	struct fixture f;
	struct charge c = { .key = slice_make("a\0b", 3), .cost = 1 };
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	c.limit = &f.minute;
	assert_int_equal(take_charges(f.store, &c, 1, &take), TAKE_ADMITTED);
	assert_int_equal(take_one(&f, "a", 1, 1), TAKE_ADMITTED);
	c.key = slice_make("a\0c", 3);
	assert_int_equal(take_charges(f.store, &c, 1, &take), TAKE_ADMITTED);
	assert_int_equal(c.count.used, 1);
	assert_int_equal(memory_count(f.memory), 3);
	fixture_close(&f);
}

static void
test_full_refuses_new_counters_only(void **state)
{
	struct fixture f;
	struct charge c[3];
	struct take take;

	(void)state;
	fixture_open(&f, 2);
	assert_int_equal(take_one(&f, "a", 1, 1), TAKE_ADMITTED);
	c[0] = charge_of(&f.minute, "a", 1);
	c[1] = charge_of(&f.minute, "b", 1);
	c[2] = charge_of(&f.minute, "c", 1);
	/* "b" would still fit, but all or none. */
	assert_int_equal(take_charges(f.store, c, 3, &take), TAKE_FAILED);
	assert_int_equal(take.fault, FAULT_MEMORY);
	assert_int_equal(take.now_us, 0);
	assert_string_equal(take.detail, "");
	assert_int_equal(metric_get(f.cells, METRIC_FAULT_MEMORY), 1);
	assert_int_equal(memory_count(f.memory), 1);
	assert_int_equal(take_one(&f, "a", 0, 1), TAKE_ADMITTED);
	assert_int_equal(take_one(&f, "b", 1, 1), TAKE_ADMITTED);
	assert_int_equal(take_one(&f, "c", 1, 0), TAKE_FAILED);
	/* What is there goes on counting, and a refusal is no failure. */
	assert_int_equal(take_one(&f, "a", 1, 2), TAKE_ADMITTED);
	assert_int_equal(take_one(&f, "c", 4, 0), TAKE_REFUSED);
	fixture_close(&f);
}

static void
test_full_of_dead_counters_makes_room(void **state)
{
	struct fixture f;
	struct charge c[2];
	struct take take;

	(void)state;
	fixture_open(&f, 2);
	assert_int_equal(take_one(&f, "a", 1, 1), TAKE_ADMITTED);
	assert_int_equal(take_one(&f, "b", 1, 1), TAKE_ADMITTED);
	f.now_us += MINUTE_US;
	c[0] = charge_of(&f.minute, "c", 1);
	c[1] = charge_of(&f.minute, "d", 1);
	assert_int_equal(take_charges(f.store, c, 2, &take), TAKE_ADMITTED);
	assert_int_equal(memory_count(f.memory), 2);
	assert_int_equal(take_one(&f, "a", 1, 0), TAKE_FAILED);
	fixture_close(&f);
}

static void
take_numbered(struct fixture *f, const char *head, int i, int64_t used)
{
	char key[80];

	snprintf(key, sizeof(key), "%s%064d", head, i);
	assert_int_equal(take_one(f, key, 1, used), TAKE_ADMITTED);
}

static void
test_many_counters(void **state)
{
	enum { MANY = 60000 };
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	for (int round = 1; round <= 3; round++)
		for (int i = 0; i < MANY; i++)
			take_numbered(&f, "", i, round);
	assert_int_equal(memory_count(f.memory), MANY);
	fixture_close(&f);
}

/* Counters die and others come; the sweep must lose no live one and keep no dead. */
static void
test_dead_counters_go_as_others_come(void **state)
{
	enum { MANY = 20000, WINDOWS = 6 };
	struct fixture f;
	struct limit day;
	struct charge c;
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	day = f.minute;
	day.max = WINDOWS;
	assert_int_equal(window_parse(slice_str("day"), &day.window, NULL), 0);
	for (int w = 0; w < WINDOWS; w++) {
		char head[8];

		snprintf(head, sizeof(head), "w%d", w);
		c = charge_of(&day, "long-lived", 1);
		assert_int_equal(take_charges(f.store, &c, 1, &take), TAKE_ADMITTED);
		assert_int_equal(c.count.used, w + 1);
		for (int i = 0; i < MANY; i++)
			take_numbered(&f, head, i, 1);
		for (int i = 0; i < MANY; i++)
			take_numbered(&f, head, i, 2);
		assert_true(memory_count(f.memory) >= MANY + 1);
		assert_true(memory_count(f.memory) <= MANY + MANY / 20);
		f.now_us += MINUTE_US;
	}
	fixture_close(&f);
}

/* Nothing comes any more: tending forgets what is over, and only that. */
static void
test_tending_forgets(void **state)
{
	enum { MANY = 20000 };
	struct fixture f;
	struct limit day;
	struct charge c;
	struct take take;
	int passes = 0;

	(void)state;
	fixture_open(&f, 0);
	day = f.minute;
	assert_int_equal(window_parse(slice_str("day"), &day.window, NULL), 0);
	c = charge_of(&day, "long-lived", 1);
	assert_int_equal(take_charges(f.store, &c, 1, &take), TAKE_ADMITTED);
	for (int i = 0; i < MANY; i++)
		take_numbered(&f, "k", i, 1);
	for (int i = 0; i < 20; i++)
		memory_tend(f.memory);
	assert_int_equal(memory_count(f.memory), MANY + 1);
	f.now_us += MINUTE_US;
	while (memory_count(f.memory) > 1 && passes++ < 100)
		memory_tend(f.memory);
	assert_int_equal(memory_count(f.memory), 1);
	/* Each of them is short: it took some. */
	assert_true(passes > 1);
	assert_int_equal(take_charges(f.store, &c, 1, &take), TAKE_ADMITTED);
	assert_int_equal(c.count.used, 2);
	fixture_close(&f);
}

static void
test_memory_per_counter(void **state)
{
	enum { MANY = 200000 };
	size_t before;
	size_t after;
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	before = resident_bytes();
	for (int i = 0; i < MANY; i++)
		take_numbered(&f, "ration", i, 1); /* 70 bytes */
	after = resident_bytes();
	print_message("%zu bytes per live counter\n", (after - before) / MANY);
	/* The sanitizers, which replace malloc, keep books of all memory. */
	if (mallinfo2().uordblks > 0)
		assert_true(after - before <= (size_t)160 * MANY);
	f.now_us += MINUTE_US;
	for (int i = 0; i < MANY; i++)
		take_one(&f, "only", 0, 0);
	for (int i = 0; i < 1000; i++)
		memory_tend(f.memory);
	assert_int_equal(memory_count(f.memory), 0);
	/* What is kept for the next ones: two pages and a small table of each shard. */
	if (mallinfo2().uordblks > 0)
		assert_true(resident_bytes() - before <= 256 * (8192 + 256 * 12));
	fixture_close(&f);
}

/* A table with room for the largest take keeps it: that it is almost empty is no reason
 * to build it anew, twice for each such take. */
static void
test_room_is_kept(void **state)
{
	struct shard s = { 0 };

	(void)state;
	for (uint32_t n = 0; n < 200; n++) {
		char key[16];
		struct shard_entry *entry;
		const void *table;

		snprintf(key, sizeof(key), "%u", n);
		shard_make_room(&s, TAKE_CHARGES_MAX + 2);
		table = s.table.entries;
		shard_sweep(&s, 0, T0);
		shard_make_room(&s, TAKE_CHARGES_MAX + 2);
		assert_ptr_equal(s.table.entries, table);
		entry = shard_insert(&s, ENTRY_COUNTER, slice_str(key), n);
		assert_non_null(entry);
		entry->state.end_ms = INT64_MAX / 1000;
	}
	shard_fini(&s);
}

enum { THREADS = 4, TAKES = 5000, SHARED = 40 };

struct contender {
	struct memory *memory;
	struct limit *limit;
	int seed;
	int64_t admitted[SHARED];
};

static void
ignore_done(struct take *take)
{
	(void)take;
}

/* Takes random triples of the shared counters, in random order. */
static void *
contend(void *arg)
{
	struct contender *me = arg;
	struct metric_cells *cells = calloc(1, sizeof(*cells));
	struct store *store = memory_store_new(me->memory, cells);
	unsigned seed = (unsigned)me->seed;
	char keys[SHARED][16];

	for (int i = 0; i < SHARED; i++)
		snprintf(keys[i], sizeof(keys[i]), "shared-%d", i);
	for (int i = 0; i < TAKES; i++) {
		int first = rand_r(&seed) % SHARED;
		int step = 1 + rand_r(&seed) % (SHARED / 3);
		struct charge c[3];
		struct take take = { .charges = c, .n = 3, .done = ignore_done };

		for (int k = 0; k < 3; k++)
			c[k] =
			    charge_of(me->limit, keys[(first + k * step) % SHARED], 1);
		store_take(store, &take);
		for (int k = 0; take.status == TAKE_ADMITTED && k < 3; k++)
			me->admitted[(first + k * step) % SHARED]++;
	}
	store_close(store);
	free(cells);
	return NULL;
}

static void
test_threads_never_admit_too_much(void **state)
{
	static struct contender all[THREADS];
	pthread_t threads[THREADS];
	struct fixture f;
	struct charge c;
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	f.minute.max = 1000;
	for (int i = 0; i < THREADS; i++) {
		all[i] = (struct contender){ f.memory, &f.minute, i + 1, { 0 } };
		assert_int_equal(
		    pthread_create(&threads[i], NULL, contend, &all[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int k = 0; k < SHARED; k++) {
		int64_t admitted = 0;
		char key[16];

		for (int i = 0; i < THREADS; i++)
			admitted += all[i].admitted[k];
		snprintf(key, sizeof(key), "shared-%d", k);
		c = charge_of(&f.minute, key, 0);
		assert_int_equal(take_charges(f.store, &c, 1, &take), TAKE_ADMITTED);
		assert_true(c.count.used == admitted);
		assert_true(admitted <= 1000);
	}
	fixture_close(&f);
}

static void
test_failing_store(void **state)
{
	struct metric_cells *cells = calloc(1, sizeof(*cells));
	struct errinfo why = { 0 };

	(void)state;
	for (int fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
		struct store *store = failing_store_new((enum store_fault)fault, cells);
		struct limit l = { .max = 1 };
		struct charge c = charge_of(&l, "a", 1);
		struct take take;

		assert_int_equal(take_charges(store, &c, 1, &take), TAKE_FAILED);
		assert_int_equal(take.fault, fault);
		assert_int_equal(metric_get(cells, store_fault_table[fault].metric), 1);
		assert_false(store_ready(store, &why));
		assert_string_equal(why.text, store_fault_table[fault].phrase);
		store_close(store);
	}
	store_close(NULL);
	free(cells);
}

static void
test_failure_detail_is_cut(void **state)
{
	struct metric_cells *cells = calloc(1, sizeof(*cells));
	struct store *store = failing_store_new(FAULT_OTHER, cells);
	struct take take = { .done = on_done };
	char text[300];

	(void)state;
	store_fail(store, &take, FAULT_BUSY, "BUSY it runs");
	assert_string_equal(take.detail, "BUSY it runs");
	memset(text, 'x', sizeof(text));
	text[299] = '\0';
	memcpy(text + TAKE_DETAIL_MAX - 3, "\xF0\x9F\x90\x98", 4);
	store_fail(store, &take, FAULT_BUSY, text);
	assert_int_equal(strlen(take.detail), TAKE_DETAIL_MAX - 3);
	store_close(store);
	free(cells);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_and_refuses),
		cmocka_unit_test(test_refused_or_free_makes_no_counter),
		cmocka_unit_test(test_all_or_none),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_max_changes_at_once),
		cmocka_unit_test(test_clock_going_back_keeps_counts),
		cmocka_unit_test(test_keys_are_bytes),
		cmocka_unit_test(test_full_refuses_new_counters_only),
		cmocka_unit_test(test_full_of_dead_counters_makes_room),
		cmocka_unit_test(test_many_counters),
		cmocka_unit_test(test_dead_counters_go_as_others_come),
		cmocka_unit_test(test_tending_forgets),
		cmocka_unit_test(test_memory_per_counter),
		cmocka_unit_test(test_room_is_kept),
		cmocka_unit_test(test_threads_never_admit_too_much),
		cmocka_unit_test(test_failing_store),
		cmocka_unit_test(test_failure_detail_is_cut),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
