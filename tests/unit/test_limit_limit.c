/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/num.h"
#include "limit/limit.h"

#define MINUTE_US INT64_C(60000000)
/* The first µs of a minute. */
#define T0 (INT64_C(29453760) * MINUTE_US)

static struct limit
per_minute(int64_t max)
{
	struct limit l = { .algorithm = ALGORITHM_FIXED, .max = max };

	assert_int_equal(window_parse(slice_str("minute"), &l.window, NULL), 0);
	return l;
}

static void
test_counts_up_to_max(void **state)
{
	struct limit l = per_minute(3);
	struct limit_state s = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(limit_used(&l, &s, T0 + i), i);
		assert_true(limit_has_room(&l, &s, 1, T0 + i));
		limit_charge(&l, &s, 1, T0 + i);
	}
	assert_int_equal(limit_used(&l, &s, T0 + 3), 3);
	assert_false(limit_has_room(&l, &s, 1, T0 + 3));
	assert_true(limit_has_room(&l, &s, 0, T0 + 3));
}

static void
test_window_turns_with_the_microsecond(void **state)
{
	struct limit l = per_minute(1);
	struct limit_state s = { 0 };

	(void)state;
	limit_charge(&l, &s, 1, T0);
	assert_int_equal(limit_used(&l, &s, T0 + MINUTE_US - 1), 1);
	assert_false(limit_has_room(&l, &s, 1, T0 + MINUTE_US - 1));
	assert_false(limit_expired(&s, T0 + MINUTE_US - 1));
	assert_int_equal(limit_used(&l, &s, T0 + MINUTE_US), 0);
	assert_true(limit_has_room(&l, &s, 1, T0 + MINUTE_US));
	assert_true(limit_expired(&s, T0 + MINUTE_US));
	limit_charge(&l, &s, 1, T0 + MINUTE_US);
	assert_int_equal(limit_used(&l, &s, T0 + MINUTE_US), 1);
	assert_true(limit_expired(&(struct limit_state){ 0 }, T0));
}

static void
test_time_going_back_keeps_the_count(void **state)
{
	struct limit l = per_minute(3);
	struct limit_state s = { 0 };

	(void)state;
	limit_charge(&l, &s, 2, T0 + MINUTE_US);
	assert_int_equal(limit_used(&l, &s, T0), 2);
	assert_false(limit_expired(&s, T0));
	limit_charge(&l, &s, 1, T0);
	assert_int_equal(limit_used(&l, &s, T0 + MINUTE_US), 3);
	assert_false(limit_has_room(&l, &s, 1, T0));
}

static void
test_cost_and_max_at_their_largest(void **state)
{
	struct limit l = per_minute(NUM_MAX);
	struct limit_state s = { 0 };

	(void)state;
	assert_true(limit_has_room(&l, &s, NUM_MAX, T0));
	limit_charge(&l, &s, NUM_MAX, T0);
	assert_true(limit_used(&l, &s, T0) == NUM_MAX);
	assert_false(limit_has_room(&l, &s, 1, T0));
	assert_false(limit_has_room(&l, &s, NUM_MAX, T0));
	assert_true(limit_has_room(&l, &s, 0, T0));
}

static void
test_max_changes_at_once(void **state)
{
	struct limit l = per_minute(5);
	struct limit_state s = { 0 };

	(void)state;
	limit_charge(&l, &s, 5, T0);
	l.max = 3;
	assert_int_equal(limit_used(&l, &s, T0), 5);
	assert_false(limit_has_room(&l, &s, 0, T0));
	l.max = 6;
	assert_true(limit_has_room(&l, &s, 1, T0));
	l.max = 0;
	assert_false(limit_has_room(&l, &s, 1, T0 + MINUTE_US));
	assert_true(limit_has_room(&l, &s, 0, T0 + MINUTE_US));
}

static void
test_give_back(void **state)
{
	struct limit l = per_minute(5);
	struct limit_state s = { 0 };
	int64_t end_ms;

	(void)state;
	limit_charge(&l, &s, 4, T0);
	end_ms = window_end_ms(&l.window, T0);
	limit_give_back(&l, &s, 3, end_ms);
	assert_int_equal(limit_used(&l, &s, T0), 1);
	limit_give_back(&l, &s, 3, end_ms);
	assert_int_equal(limit_used(&l, &s, T0), 0);
	/* What another window was charged stays. */
	limit_charge(&l, &s, 2, T0 + MINUTE_US);
	limit_give_back(&l, &s, 2, end_ms);
	assert_int_equal(limit_used(&l, &s, T0 + MINUTE_US), 2);
}

static void
assert_outcome(struct limit_outcome o, int64_t used, int64_t remaining,
    int64_t reset_ms, int64_t retry_after_ms)
{
	assert_true(o.used == used);
	assert_true(o.remaining == remaining);
	assert_true(o.reset_ms == reset_ms);
	assert_true(o.retry_after_ms == retry_after_ms);
}

static void
test_report(void **state)
{
	struct limit l = per_minute(30);

	(void)state;
	assert_outcome(limit_report(&l, 1, 1, T0, false), 1, 29, 60000, 0);
	assert_outcome(limit_report(&l, 30, 1, T0 + 1500, true), 30, 0, 59999, 59999);
	assert_outcome(limit_report(&l, 30, 31, T0, true), 30, 0, 60000, -1);
	assert_outcome(limit_report(&l, 0, 31, T0, true), 0, 30, 60000, -1);
	assert_outcome(limit_report(&l, 10, 30, T0, true), 10, 20, 60000, 60000);
	/* A lowered max never shows a negative rest. */
	assert_outcome(limit_report(&l, 45, 1, T0, false), 45, 0, 60000, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_up_to_max),
		cmocka_unit_test(test_window_turns_with_the_microsecond),
		cmocka_unit_test(test_time_going_back_keeps_the_count),
		cmocka_unit_test(test_cost_and_max_at_their_largest),
		cmocka_unit_test(test_max_changes_at_once),
		cmocka_unit_test(test_give_back),
		cmocka_unit_test(test_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
