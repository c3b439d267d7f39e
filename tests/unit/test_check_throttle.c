/* SPDX-License-Identifier: ISC */
/* The life of throttles: what they ask of the store, and what becomes of the answer. */
#include "check_fixture.h"
#include "check/throttle.h"

static int n_done;

static void
count_done(struct throttle *throttle, void *arg)
{
	assert_ptr_equal(arg, &n_done);
	assert_true(throttle_is_done(throttle));
	n_done++;
}

static struct throttler *
open_throttler(struct fixture *f, struct store *store)
{
	const struct throttler_options options = {
		.store = store, .cells = f->cells, .key_prefix = "p", .deadline_ms = 50
	};
	struct throttler *throttler = throttler_new(&options);

	assert_non_null(throttler);
	n_done = 0;
	return throttler;
}

static struct throttle *
start(struct throttler *throttler, const char *key, int64_t burst, int64_t quantity)
{
	const struct throttle_request r = { .key = slice_str(key),
		.max_burst = burst,
		.count = 1,
		.period_s = 7,
		.quantity = quantity };
	struct errinfo ei;
	struct throttle *throttle =
	    throttle_start(throttler, &r, count_done, &n_done, &ei);

	assert_non_null(throttle);
	return throttle;
}

static void
expect(struct throttler *throttler, int64_t burst, int64_t quantity, bool limited,
    int64_t remaining, int64_t retry_after_s, int64_t reset_after_s)
{
	struct throttle *throttle = start(throttler, "k", burst, quantity);
	const struct throttle_result *r = throttle_result(throttle);

	assert_true(throttle_is_done(throttle));
	assert_int_equal(r->fault, FAULT_NONE);
	assert_int_equal(r->limited, limited);
	assert_int_equal(r->limit, burst + 1);
	assert_int_equal(r->remaining, remaining);
	assert_int_equal(r->retry_after_s, retry_after_s);
	assert_int_equal(r->reset_after_s, reset_after_s);
	throttle_release(throttle);
}

static void
test_seconds_are_rounded_up(void **state)
{
	struct fixture f;
	struct throttler *throttler;

	(void)state;
	fixture_open(&f, NULL);
	throttler = open_throttler(&f, f.store);
	expect(throttler, 1, 0, false, 2, -1, 0);
	expect(throttler, 1, 2, false, 0, -1, 14);
	expect(throttler, 1, 1, true, 0, 7, 14);
	expect(throttler, 1, 3, true, 0, -1, 14);
	f.now_us += 1;
	expect(throttler, 1, 1, true, 0, 7, 14);
	f.now_us += 999999;
	expect(throttler, 1, 1, true, 0, 6, 13);
	f.now_us += 5999999;
	expect(throttler, 1, 1, true, 0, 1, 8);
	f.now_us += 1;
	expect(throttler, 1, 0, false, 1, -1, 7);
	/* A smaller bucket than what was taken: even looking is too much. */
	expect(throttler, 0, 0, false, 0, -1, 7);
	expect(throttler, 1, 1, false, 0, -1, 14);
	expect(throttler, 0, 0, true, 0, 7, 14);
	assert_int_equal(n_done, 11);
	assert_int_equal(metric_get(f.cells, METRIC_THROTTLES_ALLOWED), 5);
	assert_int_equal(metric_get(f.cells, METRIC_THROTTLES_LIMITED), 6);
	throttler_free(throttler);
	fixture_close(&f);
}

static void
test_release_before_the_answer(void **state)
{
	struct fixture f;
	struct throttler *throttler;
	struct throttle *throttle;
	char key[] = "a:b";

	(void)state;
	fixture_open(&f, &f.patient.store);
	throttler = open_throttler(&f, &f.patient.store);
	throttle = start(throttler, key, 3, 1);
	memset(key, 'x', strlen(key));
	assert_slice(f.patient.waiting->charges[0].key, "p:#throttle:{a%3Ab}");
	assert_false(throttle_is_done(throttle));
	throttle_release(throttle);
	assert_int_equal(throttler_pending(throttler), 1);
	answer(&f.patient, TAKE_ADMITTED);
	assert_int_equal(throttler_pending(throttler), 0);
	assert_int_equal(n_done, 0);
	/* It is used again. */
	assert_ptr_equal(start(throttler, "k", 3, 1), throttle);
	answer(&f.patient, TAKE_FAILED);
	assert_int_equal(n_done, 1);
	assert_int_equal(throttle_result(throttle)->fault, FAULT_OTHER);
	assert_string_equal(throttle_detail(throttle), "ERR it broke");
	assert_int_equal(metric_get(f.cells, METRIC_THROTTLES_FAILED), 1);
	throttle_release(throttle);
	throttler_free(throttler);
	fixture_close(&f);
}

/* The store puts limits with the same bytes into one run. */
static void
test_the_same_numbers_are_the_same_bytes(void **state)
{
	struct fixture f;
	struct throttler *throttler;
	struct throttle *first, *second;
	struct limit kept;

	(void)state;
	fixture_open(&f, &f.patient.store);
	throttler = open_throttler(&f, &f.patient.store);
	first = start(throttler, "k", 3, 1);
	kept = *f.patient.waiting->charges[0].limit;
	answer(&f.patient, TAKE_ADMITTED);
	throttle_release(first);
	throttle_release((second = start(throttler, "other", 1000000, 1)));
	answer(&f.patient, TAKE_ADMITTED);
	assert_ptr_equal(second, first);
	throttle_release((second = start(throttler, "k", 3, 1)));
	assert_memory_equal(&kept, f.patient.waiting->charges[0].limit, sizeof(kept));
	answer(&f.patient, TAKE_ADMITTED);
	throttler_free(throttler);
	fixture_close(&f);
}

static void
test_no_bucket(void **state)
{
	static const struct throttle_request rows[] = {
		{ .count = 1000001, .period_s = 1, .quantity = 1 },
		{ .max_burst = 2, .count = 1, .period_s = WINDOW_SECONDS_MAX },
		{ .count = 1, .period_s = WINDOW_SECONDS_MAX + 1 },
	};
	struct fixture f;
	struct throttler *throttler;
	struct errinfo ei;

	(void)state;
	fixture_open(&f, NULL);
	throttler = open_throttler(&f, f.store);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_null(
		    throttle_start(throttler, &rows[i], count_done, &n_done, &ei));
		assert_int_equal(ei.code, ERR_INVALID);
	}
	assert_int_equal(throttler_pending(throttler), 0);
	assert_int_equal(n_done, 0);
	throttler_free(throttler);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seconds_are_rounded_up),
		cmocka_unit_test(test_release_before_the_answer),
		cmocka_unit_test(test_the_same_numbers_are_the_same_bytes),
		cmocka_unit_test(test_no_bucket),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
