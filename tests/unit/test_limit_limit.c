/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/num.h"
#include "limit/charged.h"
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

static bool
has_room(
    const struct limit *l, const struct limit_state *s, int64_t cost, int64_t now_us)
{
	return limit_fits(l, limit_count(l, s, now_us), cost, now_us);
}

static void
test_counts_up_to_max(void **state)
{
	struct limit l = per_minute(3);
	struct limit_state s = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(limit_count(&l, &s, T0 + i).used, i);
		assert_true(has_room(&l, &s, 1, T0 + i));
		limit_charge(&l, &s, 1, T0 + i);
	}
	assert_int_equal(limit_count(&l, &s, T0 + 3).used, 3);
	assert_false(has_room(&l, &s, 1, T0 + 3));
	assert_true(has_room(&l, &s, 0, T0 + 3));
}

static void
test_window_turns_with_the_microsecond(void **state)
{
	struct limit l = per_minute(1);
	struct limit_state s = { 0 };

	(void)state;
	limit_charge(&l, &s, 1, T0);
	assert_int_equal(limit_count(&l, &s, T0 + MINUTE_US - 1).used, 1);
	assert_false(has_room(&l, &s, 1, T0 + MINUTE_US - 1));
	assert_false(limit_expired(&s, T0 + MINUTE_US - 1));
	assert_int_equal(limit_count(&l, &s, T0 + MINUTE_US).used, 0);
	assert_true(has_room(&l, &s, 1, T0 + MINUTE_US));
	assert_true(limit_expired(&s, T0 + MINUTE_US));
	limit_charge(&l, &s, 1, T0 + MINUTE_US);
	assert_int_equal(limit_count(&l, &s, T0 + MINUTE_US).used, 1);
	assert_true(limit_expired(&(struct limit_state){ 0 }, T0));
}

static void
test_time_going_back_keeps_the_count(void **state)
{
	struct limit l = per_minute(3);
	struct limit_state s = { 0 };

	(void)state;
	limit_charge(&l, &s, 2, T0 + MINUTE_US);
	assert_int_equal(limit_count(&l, &s, T0).used, 2);
	assert_false(limit_expired(&s, T0));
	limit_charge(&l, &s, 1, T0);
	assert_int_equal(limit_count(&l, &s, T0 + MINUTE_US).used, 3);
	assert_false(has_room(&l, &s, 1, T0));
}

static void
test_cost_and_max_at_their_largest(void **state)
{
	struct limit l = per_minute(NUM_MAX);
	struct limit_state s = { 0 };

	(void)state;
	assert_true(has_room(&l, &s, NUM_MAX, T0));
	limit_charge(&l, &s, NUM_MAX, T0);
	assert_true(limit_count(&l, &s, T0).used == NUM_MAX);
	assert_false(has_room(&l, &s, 1, T0));
	assert_false(has_room(&l, &s, NUM_MAX, T0));
	assert_true(has_room(&l, &s, 0, T0));
}

static void
test_max_changes_at_once(void **state)
{
	struct limit l = per_minute(5);
	struct limit_state s = { 0 };

	(void)state;
	limit_charge(&l, &s, 5, T0);
	l.max = 3;
	assert_int_equal(limit_count(&l, &s, T0).used, 5);
	assert_false(has_room(&l, &s, 0, T0));
	l.max = 6;
	assert_true(has_room(&l, &s, 1, T0));
	l.max = 0;
	assert_false(has_room(&l, &s, 1, T0 + MINUTE_US));
	assert_true(has_room(&l, &s, 0, T0 + MINUTE_US));
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
	assert_outcome(limit_report(&l, (struct limit_count){ 1, 0 }, 1, T0, false), 1,
	    29, 60000, 0);
	assert_outcome(
	    limit_report(&l, (struct limit_count){ 30, 0 }, 1, T0 + 1500, true), 30, 0,
	    59999, 59999);
	assert_outcome(limit_report(&l, (struct limit_count){ 30, 0 }, 31, T0, true),
	    30, 0, 60000, -1);
	assert_outcome(limit_report(&l, (struct limit_count){ 0, 0 }, 31, T0, true), 0,
	    30, 60000, -1);
	assert_outcome(limit_report(&l, (struct limit_count){ 10, 0 }, 30, T0, true),
	    10, 20, 60000, 60000);
	/* A lowered max never shows a negative rest. */
	assert_outcome(limit_report(&l, (struct limit_count){ 45, 0 }, 1, T0, false),
	    45, 0, 60000, 0);
}

static struct limit
with_algorithm(enum algorithm algorithm, int64_t max, int64_t burst)
{
	struct limit l = per_minute(max);

	l.algorithm = algorithm;
	l.burst = burst;
	assert_int_equal(limit_prepare(&l, NULL), 0);
	return l;
}

/* A state is kept as long as it counts, and no longer. */
static void
test_expiry(void **state)
{
	struct limit sliding = with_algorithm(ALGORITHM_SLIDING, 10, 0);
	struct limit bucket = with_algorithm(ALGORITHM_TOKEN_BUCKET, 60, 5);
	struct limit_state s = { 0 };
	struct limit_state b = { 0 };

	(void)state;
	limit_charge(&sliding, &s, 4, T0);
	assert_false(limit_expired(&s, T0 + 2 * MINUTE_US - 1));
	assert_true(limit_expired(&s, T0 + 2 * MINUTE_US));
	limit_charge(&bucket, &b, 2, T0);
	assert_false(limit_expired(&b, T0 + 1999999));
	assert_true(limit_expired(&b, T0 + 2000000));
}

/* Charged although it does not fit, whatever the cost: it is back after two fillings,
 * and only what was counted can be given back. */
static void
test_bucket_past_its_end(void **state)
{
	struct limit l = with_algorithm(ALGORITHM_TOKEN_BUCKET, 60, 10);
	struct limit_state s = { 0 };
	struct limit_outcome o;
	struct charged c;

	(void)state;
	assert_int_equal(limit_charge(&l, &s, 17, T0), 17);
	assert_int_equal(limit_charge(&l, &s, NUM_MAX, T0), 3);
	assert_int_equal(limit_charge(&l, &s, NUM_MAX, T0), 0);
	assert_true(s.used == T0 + 20000000);
	o = limit_report(&l, limit_count(&l, &s, T0), 1, T0, true);
	assert_int_equal(o.remaining, 0);
	assert_int_equal(o.used, 10);
	assert_int_equal(o.reset_ms, 20000);
	assert_int_equal(o.retry_after_ms, 11000);
	c = charged_at(&l, limit_count(&l, &s, T0), T0);
	charged_correct(&c, &s, 3, 0, T0);
	assert_true(s.used == T0 + 17000000);
	/* A token is charged whole or not at all. */
	assert_int_equal(limit_charge(&l, &s, 9, T0 - 500000), 2);
	assert_true(s.used == T0 + 19000000);
	assert_int_equal(limit_charge(&l, &s, 9, T0 + 19000000), 9);
	assert_true(s.used == T0 + 28000000);
}

/* Refused for another reason than room: time alone does not mend it. */
static void
test_refused_with_room(void **state)
{
	static const enum algorithm algorithms[] = { ALGORITHM_FIXED, ALGORITHM_SLIDING,
		ALGORITHM_TOKEN_BUCKET };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
		struct limit l = with_algorithm(algorithms[i], 10, 0);
		struct limit_count none = { 0, 0 };

		assert_int_equal(
		    limit_report(&l, none, 1, T0 + 1, true).retry_after_ms, -1);
		assert_int_equal(
		    limit_report(&l, none, 1, T0 + 1, false).retry_after_ms, 0);
	}
}

/* What fits into a count is counted. */
static void
test_charge_says_what_it_counted(void **state)
{
	struct limit fixed = per_minute(10);
	struct limit sliding = with_algorithm(ALGORITHM_SLIDING, 10, 0);
	struct limit_state s = { 0 };

	(void)state;
	assert_int_equal(limit_charge(&fixed, &s, 5, T0), 5);
	assert_true(limit_charge(&fixed, &s, NUM_MAX, T0) == NUM_MAX - 5);
	assert_int_equal(limit_charge(&fixed, &s, 1, T0), 0);
	s = (struct limit_state){ 0 };
	assert_true(limit_charge(&sliding, &s, NUM_MAX, T0) == NUM_MAX);
	assert_int_equal(limit_charge(&sliding, &s, 1, T0), 0);
}

/* Calls in flight: no window is looked at. */
static void
test_concurrency(void **state)
{
	struct limit l = { .algorithm = ALGORITHM_CONCURRENCY, .max = 3 };
	struct limit_count two = { 2, 700 };
	struct limit_count four = { 4, 700 };

	(void)state;
	assert_int_equal(limit_prepare(&l, NULL), 0);
	assert_true(limit_fits(&l, two, 1, T0));
	assert_false(limit_fits(&l, four, 1, T0));
	assert_outcome(limit_report(&l, two, 1, T0, false), 2, 1, 700, 0);
	assert_outcome(limit_report(&l, four, 1, T0, true), 4, 0, 700, 700);
	assert_int_equal(limit_report(&l, two, 1, T0, false).window_ms, 0);
	assert_outcome(
	    limit_report(&l, (struct limit_count){ 0, 0 }, 1, T0, false), 0, 3, 0, 0);
	l.max = 0;
	assert_outcome(
	    limit_report(&l, (struct limit_count){ 0, 0 }, 1, T0, true), 0, 0, 0, -1);
}

static void
test_prepare_refuses(void **state)
{
	struct limit l = with_algorithm(ALGORITHM_TOKEN_BUCKET, 60000000, 0);
	struct errinfo ei;

	(void)state;
	assert_int_equal(l.interval_us, 1);
	l.max++;
	assert_int_equal(limit_prepare(&l, &ei), ERR_INVALID);
	l = with_algorithm(ALGORITHM_TOKEN_BUCKET, 7, 0);
	assert_int_equal(l.capacity, 7);
	assert_int_equal(l.interval_us, 8571429);
	l.burst = BUCKET_FILL_US_MAX / l.interval_us;
	assert_int_equal(limit_prepare(&l, &ei), 0);
	l.burst++;
	assert_int_equal(limit_prepare(&l, &ei), ERR_INVALID);
	l.max = 0;
	assert_int_equal(limit_prepare(&l, &ei), ERR_INVALID);
	l.burst = 0;
	assert_int_equal(limit_prepare(&l, &ei), 0);
}

static struct limit
bucket_of(int64_t max, int64_t burst)
{
	struct limit l = {
		.algorithm = ALGORITHM_TOKEN_BUCKET, .max = max, .burst = burst
	};
	struct errinfo ei;

	assert_int_equal(window_parse(slice_str("minute"), &l.window, NULL), 0);
	assert_int_equal(limit_prepare(&l, &ei), 0);
	return l;
}

/* Together the parts never give more than the whole. */
static void
test_shares(void **state)
{
	static const int64_t maxima[] = { 0, 1, 2, 7, 1000, NUM_MAX };
	static const int64_t parts[] = { 1, 2, 3, 1000, 1000000 };
	struct limit out;

	(void)state;
	for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++)
		for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
			struct limit l = per_minute(maxima[i]);

			limit_share(&l, parts[k], &out);
			assert_in_range(out.max * parts[k], 0, l.max);
			assert_true(l.max - out.max * parts[k] < parts[k]);
		}
	for (int64_t max = 1; max <= 40; max += 13)
		for (int64_t part = 1; part <= 12; part += 3) {
			struct limit l = bucket_of(max, 9);

			limit_share(&l, part, &out);
			assert_int_equal(out.capacity, 9 / part);
			if (out.capacity > 0)
				assert_int_equal(out.interval_us, l.interval_us * part);
			assert_int_equal(out.window.len_ms, l.window.len_ms);
		}
}

/* What fills in 7300 days is parted as others are. */
static void
test_share_of_the_slowest(void **state)
{
	struct limit l = bucket_of(1, BUCKET_FILL_US_MAX / MINUTE_US);
	struct limit out;

	(void)state;
	limit_share(&l, 1000000, &out);
	assert_int_equal(out.capacity, l.capacity / 1000000);
	assert_true(out.capacity * out.interval_us <= BUCKET_FILL_US_MAX);
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
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_bucket_past_its_end),
		cmocka_unit_test(test_refused_with_room),
		cmocka_unit_test(test_charge_says_what_it_counted),
		cmocka_unit_test(test_concurrency),
		cmocka_unit_test(test_prepare_refuses),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_share_of_the_slowest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
