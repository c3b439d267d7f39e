/* SPDX-License-Identifier: ISC */
/* Charges that are corrected later, in either direction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/num.h"
#include "limit/charged.h"

#define MINUTE_US INT64_C(60000000)
#define SECOND_US INT64_C(1000000)
/* The first µs of a minute. */
#define T0 (INT64_C(29453760) * MINUTE_US)

static struct limit
limit_of(enum algorithm algorithm, const char *window, int64_t max, int64_t burst)
{
	struct limit l = { .algorithm = algorithm, .max = max, .burst = burst };

	assert_int_equal(window_parse(slice_str(window), &l.window, NULL), 0);
	assert_int_equal(limit_prepare(&l, NULL), 0);
	return l;
}

static struct charged
charge(const struct limit *l, struct limit_state *s, int64_t cost, int64_t now_us)
{
	limit_charge(l, s, cost, now_us);
	return charged_at(l, limit_count(l, s, now_us), now_us);
}

static void
assert_stands(const struct limit *l, const struct limit_state *s, int64_t now_us,
    int64_t used, int64_t before)
{
	struct limit_count count = limit_count(l, s, now_us);

	assert_true(count.used == used);
	assert_true(count.before == before);
}

static void
test_fixed(void **state)
{
	struct limit l = limit_of(ALGORITHM_FIXED, "minute", 5, 0);
	struct limit_state s = { 0 };
	struct charged c;

	(void)state;
	c = charge(&l, &s, 4, T0);
	assert_true(c.a == T0 / 1000 + 60000);
	assert_true(c.b == 60000);
	charged_correct(&c, &s, 4, 1, T0);
	assert_stands(&l, &s, T0, 1, 0);
	/* Past max, too; and never below 0. */
	charged_correct(&c, &s, 1, 9, T0 + MINUTE_US - 1);
	assert_stands(&l, &s, T0, 9, 0);
	charged_correct(&c, &s, 10, 0, T0);
	assert_stands(&l, &s, T0, 0, 0);
	charged_correct(&c, &s, 3, 3, T0);
	assert_stands(&l, &s, T0, 0, 0);
}

/* What another window was charged stays, in both directions. */
static void
test_fixed_in_another_window(void **state)
{
	struct limit l = limit_of(ALGORITHM_FIXED, "minute", 5, 0);
	struct limit_state s = { 0 };
	struct charged c = charge(&l, &s, 4, T0);

	(void)state;
	charged_correct(&c, &s, 4, 9, T0 + MINUTE_US);
	assert_stands(&l, &s, T0 + MINUTE_US, 0, 0);
	charge(&l, &s, 2, T0 + MINUTE_US);
	charged_correct(&c, &s, 4, 0, T0 + MINUTE_US);
	charged_correct(&c, &s, 4, 9, T0 + MINUTE_US);
	assert_stands(&l, &s, T0 + MINUTE_US, 2, 0);
}

/* Gone within its window: only upwards it begins again, with the same end. */
static void
test_fixed_gone(void **state)
{
	struct limit l = limit_of(ALGORITHM_FIXED, "minute", 5, 0);
	struct limit_state s = { 0 };
	struct charged c = charge(&l, &s, 4, T0);

	(void)state;
	s = (struct limit_state){ 0 };
	charged_correct(&c, &s, 4, 0, T0 + 7);
	assert_true(limit_expired(&s, T0 + 7));
	charged_correct(&c, &s, 4, 6, T0 + 7);
	assert_stands(&l, &s, T0 + 7, 2, 0);
	assert_true(limit_expired(&s, T0 + MINUTE_US));
	s = (struct limit_state){ 0 };
	charged_correct(&c, &s, 4, 6, T0 + MINUTE_US);
	assert_true(limit_expired(&s, T0 + MINUTE_US));
}

static void
test_largest(void **state)
{
	struct limit l = limit_of(ALGORITHM_FIXED, "minute", NUM_MAX, 0);
	struct limit_state s = { 0 };
	struct charged c = charge(&l, &s, NUM_MAX - 1, T0);

	(void)state;
	charged_correct(&c, &s, 0, NUM_MAX, T0);
	assert_stands(&l, &s, T0, NUM_MAX, 0);
	charged_correct(&c, &s, NUM_MAX, 0, T0);
	assert_stands(&l, &s, T0, 0, 0);
}

static void
test_sliding(void **state)
{
	struct limit l = limit_of(ALGORITHM_SLIDING, "minute", 10, 0);
	struct limit_state s = { 0 };
	struct charged c = charge(&l, &s, 4, T0);

	(void)state;
	charged_correct(&c, &s, 4, 3, T0);
	assert_stands(&l, &s, T0, 3, 0);
	charged_correct(&c, &s, 3, 30, T0);
	assert_stands(&l, &s, T0, 30, 0);
	/* It has become the window before, as long as nobody charged since. */
	charged_correct(&c, &s, 30, 5, T0 + MINUTE_US);
	assert_stands(&l, &s, T0 + MINUTE_US, 0, 5);
	charge(&l, &s, 2, T0 + MINUTE_US);
	charged_correct(&c, &s, 5, 4, T0 + MINUTE_US);
	assert_stands(&l, &s, T0 + MINUTE_US, 2, 4);
	charged_correct(&c, &s, 4, 6, T0 + MINUTE_US);
	assert_stands(&l, &s, T0 + MINUTE_US, 2, 6);
	charged_correct(&c, &s, 9, 0, T0 + MINUTE_US);
	assert_stands(&l, &s, T0 + MINUTE_US, 2, 0);
	/* Two windows later it is over. */
	charge(&l, &s, 1, T0 + 2 * MINUTE_US);
	charged_correct(&c, &s, 1, 0, T0 + 2 * MINUTE_US);
	charged_correct(&c, &s, 1, 9, T0 + 2 * MINUTE_US);
	assert_stands(&l, &s, T0 + 2 * MINUTE_US, 1, 2);
}

static void
test_sliding_gone(void **state)
{
	struct limit l = limit_of(ALGORITHM_SLIDING, "minute", 10, 0);
	struct limit_state s = { 0 };
	struct charged c = charge(&l, &s, 0, T0);

	(void)state;
	s = (struct limit_state){ 0 };
	charged_correct(&c, &s, 2, 0, T0);
	assert_true(limit_expired(&s, T0));
	charged_correct(&c, &s, 0, 5, T0);
	assert_stands(&l, &s, T0, 5, 0);
	assert_stands(&l, &s, T0 + MINUTE_US, 0, 5);
	s = (struct limit_state){ 0 };
	charged_correct(&c, &s, 0, 5, T0 + MINUTE_US);
	assert_stands(&l, &s, T0 + MINUTE_US, 0, 5);
	assert_stands(&l, &s, T0 + 2 * MINUTE_US, 0, 0);
	s = (struct limit_state){ 0 };
	charged_correct(&c, &s, 0, 5, T0 + 2 * MINUTE_US);
	assert_true(limit_expired(&s, T0 + 2 * MINUTE_US));
}

/* A charge of 0 leaves the counter as the window before left it. */
static void
test_sliding_older(void **state)
{
	struct limit l = limit_of(ALGORITHM_SLIDING, "minute", 10, 0);
	struct limit_state s = { 0 };
	struct charged c;

	(void)state;
	charge(&l, &s, 7, T0 - MINUTE_US);
	c = charged_at(&l, limit_count(&l, &s, T0), T0);
	charged_correct(&c, &s, 0, 2, T0 + 5);
	assert_stands(&l, &s, T0 + 5, 2, 7);
	assert_stands(&l, &s, T0 + MINUTE_US, 0, 2);
}

/* Windows of the calendar are as long as the months are. */
static void
test_sliding_months(void **state)
{
	struct limit l = limit_of(ALGORITHM_SLIDING, "month", 10, 0);
	int64_t february_us = INT64_C(1769904000) * SECOND_US; /* 2026-02-01 */
	int64_t march_us = INT64_C(1772323200) * SECOND_US;
	struct limit_state s = { 0 };
	struct charged c = charge(&l, &s, 4, february_us);

	(void)state;
	assert_true(c.a == march_us / 1000);
	charge(&l, &s, 3, march_us);
	charged_correct(&c, &s, 4, 1, march_us);
	assert_stands(&l, &s, march_us, 3, 1);
	charged_correct(&c, &s, 1, 6, march_us);
	assert_stands(&l, &s, march_us, 3, 6);
}

/* Only what has not dripped in again by itself is given back. */
static void
test_bucket_down(void **state)
{
	struct limit l = limit_of(ALGORITHM_TOKEN_BUCKET, "minute", 60, 10);
	struct limit_state s = { 0 };
	struct charged c = charge(&l, &s, 5, T0);

	(void)state;
	assert_true(c.a == T0 + 5 * SECOND_US);
	assert_true(c.b == SECOND_US);
	charged_correct(&c, &s, 5, 0, T0);
	assert_stands(&l, &s, T0, 0, 0);

	s = (struct limit_state){ 0 };
	c = charge(&l, &s, 5, T0);
	charge(&l, &s, 3, T0 + 4 * SECOND_US);
	charged_correct(&c, &s, 5, 0, T0 + 4 * SECOND_US);
	assert_stands(&l, &s, T0 + 4 * SECOND_US, 3 * SECOND_US, SECOND_US);
	/* The bucket would have been full again. */
	charged_correct(&c, &s, 5, 0, T0 + 5 * SECOND_US);
	assert_stands(&l, &s, T0 + 5 * SECOND_US, 2 * SECOND_US, SECOND_US);
	/* More was used than it said: that is taken now. */
	charged_correct(&c, &s, 5, 9, T0 + 5 * SECOND_US);
	assert_stands(&l, &s, T0 + 5 * SECOND_US, 6 * SECOND_US, SECOND_US);
	/* A part. */
	c = charge(&l, &s, 4, T0 + 5 * SECOND_US);
	charged_correct(&c, &s, 4, 3, T0 + 5 * SECOND_US);
	assert_stands(&l, &s, T0 + 5 * SECOND_US, 9 * SECOND_US, SECOND_US);
	/* What was given back is forgotten as the bucket stands full. */
	assert_stands(&l, &s, T0 + 14 * SECOND_US + SECOND_US / 2, 0, SECOND_US / 2);
	assert_true(limit_expired(&s, T0 + 16 * SECOND_US));
}

/* Ten at once; the first five are given back at once and taken anew; then the other five
 * are: they have come back by themselves, since the bucket would have been full. */
static void
test_bucket_never_twice(void **state)
{
	struct limit l = limit_of(ALGORITHM_TOKEN_BUCKET, "minute", 60, 10);
	struct limit_state s = { 0 };
	struct charged c[10];
	int64_t at = T0 + 5 * SECOND_US;

	(void)state;
	for (int i = 0; i < 10; i++)
		c[i] = charge(&l, &s, 1, T0);
	for (int i = 0; i < 5; i++)
		charged_correct(&c[i], &s, 1, 0, T0);
	assert_stands(&l, &s, at, 0, 5 * SECOND_US);
	charge(&l, &s, 10, at);
	assert_true(limit_count(&l, &s, at).used == 10 * SECOND_US);
	for (int i = 5; i < 10; i++)
		charged_correct(&c[i], &s, 1, 0, at + SECOND_US / 2);
	assert_true(limit_count(&l, &s, at).used == 10 * SECOND_US);
}

/* Not for ever, or it would never be forgotten. */
static void
test_bucket_given_much(void **state)
{
	struct limit l = limit_of(ALGORITHM_TOKEN_BUCKET, "minute", 60, 10);
	struct limit_state s = { 0 };

	(void)state;
	for (int64_t i = 0; i < BUCKET_GIVEN_US_MAX / SECOND_US / 9 + 1; i++) {
		struct charged c = charge(&l, &s, 9, T0);
		struct charged last = charge(&l, &s, 1, T0);

		charged_correct(&c, &s, 9, 0, T0);
		charged_correct(&last, &s, 1, 0, T0);
	}
	assert_stands(&l, &s, T0, 9 * SECOND_US, BUCKET_GIVEN_US_MAX);
}

/* What others took and gave back meanwhile is not counted to a charge. */
static void
test_bucket_of_others(void **state)
{
	struct limit l = limit_of(ALGORITHM_TOKEN_BUCKET, "minute", 60, 10);
	struct limit_state s = { 0 };
	struct limit slow = limit_of(ALGORITHM_TOKEN_BUCKET, "3650d", 10, 10);
	struct limit_state slowly = { 0 };
	struct charged c, other;

	(void)state;
	c = charge(&l, &s, 3, T0);
	for (int i = 0; i < 5; i++) {
		other = charge(&l, &s, 7, T0 + SECOND_US);
		charged_correct(&other, &s, 7, 0, T0 + SECOND_US);
		assert_stands(&l, &s, T0 + SECOND_US, 2 * SECOND_US, 0);
	}
	/* However slow the bucket is. */
	other = charge(&slow, &slowly, 7, T0);
	charged_correct(&other, &slowly, 7, 0, T0);
	assert_stands(&slow, &slowly, T0, 0, 0);
	/* A second time it does nothing. */
	charged_correct(&other, &s, 7, 0, T0 + SECOND_US);
	assert_stands(&l, &s, T0 + SECOND_US, 2 * SECOND_US, 0);
	/* Where another charge came between it counts as taken after the first. */
	other = charge(&l, &s, 2, T0 + SECOND_US);
	charge(&l, &s, 1, T0 + SECOND_US);
	charged_correct(&other, &s, 2, 0, T0 + SECOND_US);
	assert_stands(&l, &s, T0 + SECOND_US, 3 * SECOND_US, 2 * SECOND_US);
	charged_correct(&c, &s, 3, 0, T0 + SECOND_US);
	assert_stands(&l, &s, T0 + SECOND_US, 3 * SECOND_US, 2 * SECOND_US);
}

#define STEPS 40

/* When the bucket would be full, had only these charges been made. */
static int64_t
full_us(const struct limit *l, const int64_t *at_us, const int64_t *cost, int n)
{
	int64_t full = 0;

	for (int i = 0; i < n; i++)
		if (cost[i] > 0)
			full = (full > at_us[i] ? full : at_us[i]) +
			    cost[i] * l->interval_us;
	return full;
}

static unsigned
draw(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 8) % below;
}

/* Whatever is given back, in whatever order: never more than if what was given back had
 * never been taken. */
static void
test_bucket_random(void **state)
{
	(void)state;
	for (unsigned run = 1; run <= 5000; run++) {
		struct limit l = limit_of(ALGORITHM_TOKEN_BUCKET, "minute", 60, 10);
		struct limit_state s = { 0 };
		struct charged c[STEPS];
		int64_t at_us[STEPS], cost[STEPS];
		int64_t now_us = T0;
		unsigned seed = run;

		for (int i = 0; i < STEPS; i++) {
			int64_t to;
			int k = (int)draw(&seed, (unsigned)i + 1);

			now_us += draw(&seed, 3) * draw(&seed, 2000000);
			at_us[i] = now_us;
			cost[i] = 1 + draw(&seed, 5);
			if (!limit_fits(
				&l, limit_count(&l, &s, now_us), cost[i], now_us))
				cost[i] = 0;
			c[i] = charge(&l, &s, cost[i], now_us);
			if (draw(&seed, 2) || cost[k] == 0 || c[k].a == 0)
				continue;
			to = draw(&seed, (unsigned)cost[k]);
			charged_correct(&c[k], &s, cost[k], to, now_us);
			cost[k] = to;
			c[k].a = 0; /* settled once */
			assert_true(s.used >= full_us(&l, at_us, cost, i + 1) ||
			    full_us(&l, at_us, cost, i + 1) <= now_us);
		}
	}
}

static void
test_bucket_up(void **state)
{
	struct limit l = limit_of(ALGORITHM_TOKEN_BUCKET, "minute", 60, 10);
	struct limit_state s = { 0 };
	struct charged c = charge(&l, &s, 5, T0);

	(void)state;
	charged_correct(&c, &s, 5, 25, T0 + SECOND_US);
	assert_stands(&l, &s, T0 + SECOND_US, 24 * SECOND_US, 0);
	assert_false(limit_expired(&s, T0 + 25 * SECOND_US - 1));
	assert_true(limit_expired(&s, T0 + 25 * SECOND_US));
	/* Gone: it is full, and begins there. */
	s = (struct limit_state){ 0 };
	charged_correct(&c, &s, 5, 0, T0 + SECOND_US);
	assert_stands(&l, &s, T0 + SECOND_US, 0, 0);
	charged_correct(&c, &s, 5, 7, T0 + SECOND_US);
	assert_stands(&l, &s, T0 + SECOND_US, 2 * SECOND_US, 0);
	charged_correct(&c, &s, 0, NUM_MAX, T0 + SECOND_US);
	assert_true(s.used == NUM_MAX);
	charged_correct(&c, &s, NUM_MAX, 0, T0 + 5 * SECOND_US - 1);
	assert_true(s.used == NUM_MAX - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_fixed_in_another_window),
		cmocka_unit_test(test_fixed_gone),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_sliding),
		cmocka_unit_test(test_sliding_gone),
		cmocka_unit_test(test_sliding_older),
		cmocka_unit_test(test_sliding_months),
		cmocka_unit_test(test_bucket_down),
		cmocka_unit_test(test_bucket_up),
		cmocka_unit_test(test_bucket_never_twice),
		cmocka_unit_test(test_bucket_given_much),
		cmocka_unit_test(test_bucket_of_others),
		cmocka_unit_test(test_bucket_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
