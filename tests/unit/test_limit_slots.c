/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "limit/slots.h"

#define T0 INT64_C(1767225600000000)
#define T0_MS (T0 / 1000)

static int
start_hash(void **state)
{
	(void)state;
	return hash_start();
}

static char holder_text[SLOT_HOLDER_LEN + 1];

static struct slice
holder(int i)
{
	snprintf(holder_text, sizeof(holder_text), "%032x", (unsigned)i);
	return slice_str(holder_text);
}

static struct slots *
take(struct slots *slots, int i, int64_t ttl_ms, int64_t now_us)
{
	slots = slots_take(slots, holder(i), now_us / 1000 + ttl_ms, now_us);
	assert_non_null(slots);
	return slots;
}

static void
assert_count(
    struct slots *slots, int64_t now_us, int64_t used, int64_t first_ms, int64_t end_ms)
{
	struct limit_count count = slots_count(slots, now_us);

	assert_int_equal(count.used, used);
	assert_int_equal(count.before, first_ms);
	assert_true(slots_end_ms(slots, now_us) == end_ms);
}

static void
test_none(void **state)
{
	(void)state;
	assert_count(NULL, T0, 0, 0, 0);
	assert_false(slots_free(NULL, holder(1), T0));
	assert_false(slots_renew(NULL, holder(1), T0_MS + 1, T0));
}

static void
test_leases_end_by_themselves(void **state)
{
	struct slots *slots = NULL;

	(void)state;
	slots = take(slots, 1, 5000, T0);
	slots = take(slots, 2, 1000, T0);
	assert_count(slots, T0, 2, 1000, T0_MS + 5000);
	/* Held while the ms of now is before the end. */
	assert_count(slots, T0 + 999999, 2, 1, T0_MS + 5000);
	assert_count(slots, T0 + 1000000, 1, 4000, T0_MS + 5000);
	assert_count(slots, T0 + 5000000, 0, 0, 0);
	assert_false(slots_free(slots, holder(2), T0 + 1000000));
	assert_false(slots_renew(slots, holder(2), T0_MS + 9000, T0 + 1000000));
	assert_count(slots, T0 + 1000000, 1, 4000, T0_MS + 5000);
	free(slots);
}

static void
test_free_and_renew(void **state)
{
	struct slots *slots = NULL;

	(void)state;
	for (int i = 0; i < 3; i++)
		slots = take(slots, i, 1000 * (i + 1), T0);
	assert_false(slots_free(slots, holder(7), T0));
	assert_true(slots_free(slots, holder(0), T0));
	assert_false(slots_free(slots, holder(0), T0));
	assert_count(slots, T0, 2, 2000, T0_MS + 3000);
	assert_true(slots_renew(slots, holder(1), T0_MS + 9000, T0));
	assert_count(slots, T0, 2, 3000, T0_MS + 9000);
	/* Never shorter. */
	assert_true(slots_renew(slots, holder(1), T0_MS + 1, T0));
	assert_count(slots, T0, 2, 3000, T0_MS + 9000);
	assert_true(slots_free(slots, holder(1), T0));
	assert_true(slots_free(slots, holder(2), T0));
	assert_count(slots, T0, 0, 0, 0);
	free(slots);
}

/* One holder has one slot. */
static void
test_taken_twice(void **state)
{
	struct slots *slots = NULL;

	(void)state;
	slots = take(slots, 1, 1000, T0);
	slots = take(slots, 1, 2000, T0);
	assert_count(slots, T0, 1, 2000, T0_MS + 2000);
	free(slots);
}

/* However many come and go, the block holds those that are held. */
static void
test_block_stays_small(void **state)
{
	struct slots *slots = NULL;

	(void)state;
	for (int i = 0; i < 1000; i++)
		slots = take(slots, i, 5, T0 + i * 1000);
	assert_count(slots, T0 + 999000, 5, 1, T0_MS + 1004);
	assert_true(slots->cap <= 16);
	for (int i = 1000; i < 1100; i++)
		slots = take(slots, i, 60000, T0 + 999000);
	assert_int_equal(slots_count(slots, T0 + 999000).used, 105);
	free(slots);
}

/* --- against a model: the lease of every holder, 0 for none --- */

#define MODEL 600

static int64_t model[MODEL];

static uint32_t
draw(uint32_t bound)
{
	static uint64_t state = 42;

	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(state >> 33) % bound;
}

static void
assert_as_model(struct slots *slots, int64_t now_ms)
{
	struct limit_count count = slots_count(slots, now_ms * 1000);
	int64_t used = 0, first = INT64_MAX, end = 0;

	for (int i = 0; i < MODEL; i++) {
		if (model[i] <= now_ms)
			continue;
		used++;
		first = model[i] < first ? model[i] : first;
		end = model[i] > end ? model[i] : end;
	}
	assert_int_equal(count.used, used);
	assert_int_equal(count.before, used > 0 ? first - now_ms : 0);
	assert_true(slots_end_ms(slots, now_ms * 1000) >= end);
}

static struct slots *
step_model(struct slots *slots, int64_t now_ms, int64_t ttl_ms)
{
	int i = (int)draw(MODEL);
	bool held = model[i] > now_ms;
	uint32_t what = draw(8);

	if (what < 5) {
		slots = take(slots, i, ttl_ms, now_ms * 1000);
		model[i] = now_ms + ttl_ms;
	} else if (what == 5) {
		assert_int_equal(slots_free(slots, holder(i), now_ms * 1000), held);
		model[i] = 0;
	} else {
		assert_int_equal(
		    slots_renew(slots, holder(i), now_ms + ttl_ms, now_ms * 1000),
		    held);
		if (held && model[i] < now_ms + ttl_ms)
			model[i] = now_ms + ttl_ms;
	}
	return slots;
}

/* Leases long and short, of which now and then all end at once, or are freed. */
static void
test_as_the_model(void **state)
{
	struct slots *slots = NULL;
	int64_t now_ms = T0_MS;

	(void)state;
	for (int step = 0; step < 60000; step++) {
		slots = step_model(slots, now_ms, 1 + draw(step % 9 ? 50 : 5000));
		now_ms += draw(10) == 0;
		if (draw(3000) == 0)
			now_ms += draw(6000);
		if (step % 3 == 0)
			assert_as_model(slots, now_ms);
	}
	for (int i = 0; i < MODEL; i++) {
		slots_free(slots, holder(i), now_ms * 1000);
		model[i] = 0;
		assert_as_model(slots, now_ms);
	}
	assert_int_equal(slots->n, 0);
	free(slots);
}

/* What a call costs does not grow with the slots that are held: a scan for each would
 * take minutes here. */
static void
test_many_holders(void **state)
{
	enum { MANY = 200000 };
	struct slots *slots = NULL;

	(void)state;
	alarm(60);
	for (int i = 0; i < MANY; i++) {
		slots = take(slots, i, 60000 + i % 977, T0);
		assert_int_equal(slots_count(slots, T0).used, i + 1);
	}
	for (int i = 0; i < MANY; i += 2)
		assert_true(slots_renew(slots, holder(i), T0_MS + 90000, T0));
	/* All others end at once: a look drops them, not each look passes them by. */
	for (int i = 0; i < MANY; i++)
		assert_int_equal(slots_count(slots, T0 + 70000000).used, MANY / 2);
	assert_int_equal(slots->n, MANY / 2);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(
		    slots_free(slots, holder(i), T0 + 70000000), i % 2 == 0);
	assert_count(slots, T0 + 70000000, 0, 0, 0);
	/* And what was many gives its room back. */
	for (int i = 0; i < 10; i++)
		slots = take(slots, i, 1000, T0 + 70000000);
	assert_true(slots->cap <= 64);
	alarm(0);
	free(slots);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_leases_end_by_themselves),
		cmocka_unit_test(test_free_and_renew),
		cmocka_unit_test(test_taken_twice),
		cmocka_unit_test(test_block_stays_small),
		cmocka_unit_test(test_as_the_model),
		cmocka_unit_test(test_many_holders),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
