/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "limit/slots.h"

#define T0 INT64_C(1767225600000000)
#define T0_MS (T0 / 1000)

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
assert_count(const struct slots *slots, int64_t now_us, int64_t used, int64_t first_ms,
    int64_t end_ms)
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_leases_end_by_themselves),
		cmocka_unit_test(test_free_and_renew),
		cmocka_unit_test(test_taken_twice),
		cmocka_unit_test(test_block_stays_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
