/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/breaker.h"

#define RANDOM_MAX UINT32_MAX

static void
fail_until_open(struct breaker *b, int64_t now_us)
{
	for (int i = 1; i < BREAKER_FAILURES; i++)
		assert_false(breaker_on_failure(b, now_us, 0));
	assert_true(breaker_on_failure(b, now_us, 0));
	assert_int_equal(b->state, BREAKER_OPEN);
}

static void
test_failures_in_a_row_open_it(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	assert_true(breaker_is_closed(&b));
	for (int i = 0; i < 100; i++) {
		assert_false(breaker_on_failure(&b, i, 0));
		assert_false(breaker_on_success(&b));
		assert_true(breaker_admits(&b, i));
	}
	fail_until_open(&b, 1000);
	assert_false(breaker_admits(&b, 1000));
	assert_false(breaker_is_closed(&b));
	/* Others that were under way change nothing. */
	assert_false(breaker_on_failure(&b, 1000, 0));
	assert_false(breaker_on_success(&b));
	assert_false(breaker_admits(&b, 1000 + BREAKER_PAUSE_FIRST_US / 2 - 1));
	assert_true(breaker_admits(&b, 1000 + BREAKER_PAUSE_FIRST_US / 2));
}

static void
test_one_probe_at_a_time(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	fail_until_open(&b, 0);
	assert_true(breaker_admits(&b, BREAKER_PAUSE_FIRST_US));
	assert_true(breaker_admits(&b, BREAKER_PAUSE_FIRST_US));
	breaker_on_sent(&b);
	assert_false(breaker_admits(&b, INT64_MAX));
	assert_true(breaker_on_success(&b));
	assert_true(breaker_admits(&b, 0));
	/* It counts from the beginning. */
	fail_until_open(&b, 0);
	assert_int_equal(b.pause_us, BREAKER_PAUSE_FIRST_US);
}

static void
test_pauses_grow(void **state)
{
	struct breaker b = { 0 };
	int64_t now_us = 0;
	int64_t expected = BREAKER_PAUSE_FIRST_US;

	(void)state;
	fail_until_open(&b, 0);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(b.pause_us, expected);
		assert_in_range(b.until_us - now_us, expected / 2, expected);
		now_us = b.until_us;
		assert_true(breaker_admits(&b, now_us));
		breaker_on_sent(&b);
		assert_true(breaker_on_failure(&b, now_us, i % 2 ? RANDOM_MAX : 12345));
		expected *= 2;
		if (expected > BREAKER_PAUSE_MAX_US)
			expected = BREAKER_PAUSE_MAX_US;
	}
}

static void
test_silence(void **state)
{
	struct breaker b = { 0 };

	(void)state;
	assert_true(breaker_on_silence(&b));
	assert_false(breaker_on_silence(&b));
	assert_false(breaker_admits(&b, INT64_MAX));
	assert_true(breaker_on_success(&b));
	assert_true(breaker_admits(&b, 0));
	/* An answer that is an error is not what was waited for. */
	assert_true(breaker_on_silence(&b));
	assert_true(breaker_on_failure(&b, 7, 0));
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_true(breaker_on_silence(&b));
	breaker_close(&b);
	assert_true(breaker_is_closed(&b));
}

/* Whoever is not ready is sent nothing, and so has nothing to probe with. */
static void
test_nobody_asks(void **state)
{
	struct breaker b = { 0 };
	int64_t rest_us;

	(void)state;
	assert_int_equal(breaker_rest_us(&b), INT64_MAX);
	while (!breaker_on_failure(&b, 7, 0)) {}
	rest_us = breaker_rest_us(&b);
	assert_int_equal(rest_us, b.until_us + BREAKER_IDLE_US);
	breaker_rest(&b, rest_us - 1);
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_true(breaker_admits(&b, rest_us - 1));
	breaker_rest(&b, rest_us);
	assert_true(breaker_is_closed(&b));
	/* One failure is enough, and the pauses grow as before. */
	assert_true(breaker_on_failure(&b, rest_us, 0));
	assert_int_equal(b.pause_us, 2 * BREAKER_PAUSE_FIRST_US);
	/* A probe under way is waited for. */
	assert_true(breaker_admits(&b, b.until_us));
	breaker_on_sent(&b);
	assert_int_equal(breaker_rest_us(&b), INT64_MAX);
	breaker_rest(&b, INT64_MAX - 1);
	assert_int_equal(b.state, BREAKER_PROBING);
	assert_true(breaker_on_silence(&b));
	assert_int_equal(breaker_rest_us(&b), INT64_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures_in_a_row_open_it),
		cmocka_unit_test(test_one_probe_at_a_time),
		cmocka_unit_test(test_pauses_grow),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_nobody_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
