/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/hash.h"
#include "store/deny_cache.h"

#define STORE_US INT64_C(1767225601500000) /* 2026-01-01T00:00:01.5Z */
#define MONO_US INT64_C(5000000)
#define KEEP_MS 250

static const struct limit minute = { .max = 10,
	.window = { .len_ms = 60000, .name = "minute" } };
static const struct limit sliding = { .algorithm = ALGORITHM_SLIDING,
	.max = 100,
	.window = { .len_ms = 60000, .name = "minute" } };
static const struct limit bucket = { .algorithm = ALGORITHM_TOKEN_BUCKET,
	.max = 10,
	.window = { .len_ms = 1000000, .name = "1000s" },
	.capacity = 10,
	.interval_us = 100000000 };
static const struct limit slots = { .algorithm = ALGORITHM_CONCURRENCY, .max = 5 };

struct fixture {
	struct deny_epoch epoch;
	struct deny_cache *dc;
	struct charge charges[2];
	struct take take;
};

static int
setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	assert_int_equal(hash_start(), 0);
	f.dc = deny_cache_new(KEEP_MS, &f.epoch);
	assert_non_null(f.dc);
	*state = &f;
	return 0;
}

static int
teardown(void **state)
{
	deny_cache_free(((struct fixture *)*state)->dc);
	return 0;
}

/* A take of counter `key`, as the store would have refused it at used = 10. */
static struct take *
refused_take(struct fixture *f, const char *key, const struct limit *second)
{
	memset(f->charges, 0, sizeof(f->charges));
	f->charges[0] = (struct charge){
		.key = slice_str(key), .limit = &minute, .cost = 1, .count = { 10, 0 }
	};
	f->charges[1] = (struct charge){
		.key = slice_str("other"), .limit = second, .cost = 1, .count = { 3, 0 }
	};
	f->take = (struct take){ .charges = f->charges,
		.n = second ? 2 : 1,
		.status = TAKE_REFUSED,
		.now_us = STORE_US };
	return &f->take;
}

static void
put(struct fixture *f, struct take *take)
{
	struct deny_moment moment = { deny_epoch_now(&f->epoch), MONO_US,
		MONO_US + 1000 };

	deny_cache_put(f->dc, take, &moment);
}

/* The same charges, nothing known yet. */
static struct take *
fresh(struct fixture *f)
{
	f->charges[0].count = f->charges[1].count = (struct limit_count){ -1, -1 };
	f->charges[0].lacked = f->charges[1].lacked = false;
	f->take.status = TAKE_FAILED;
	f->take.refused = 99;
	f->take.now_us = 0;
	return &f->take;
}

static bool
refuses(struct fixture *f, int64_t after_us)
{
	return deny_cache_refuse(f->dc, fresh(f), MONO_US + after_us);
}

static void
test_refuses_what_is_full(void **state)
{
	struct fixture *f = *state;

	assert_true(deny_cache_is_empty(f->dc));
	put(f, refused_take(f, "a", NULL));
	assert_false(deny_cache_is_empty(f->dc));
	assert_true(refuses(f, 101000));
	assert_int_equal(f->take.status, TAKE_REFUSED);
	assert_int_equal(f->take.refused, 0);
	assert_int_equal(f->take.now_us, STORE_US + 100000);
	assert_int_equal(f->charges[0].count.used, 10);
	assert_true(f->charges[0].lacked);
	f->charges[0].key = slice_str("b");
	assert_false(refuses(f, 101000));
}

static void
test_the_max_and_cost_of_now(void **state)
{
	struct fixture *f = *state;
	struct limit raised = minute;

	raised.max = 11;
	put(f, refused_take(f, "a", NULL));
	f->charges[0].limit = &raised;
	f->charges[0].cost = 2;
	assert_true(refuses(f, 2000));
	f->charges[0].limit = &minute;
	f->charges[0].cost = 0;
	assert_false(refuses(f, 2000));

	put(f, refused_take(f, "a", NULL));
	f->charges[0].limit = &raised;
	assert_false(refuses(f, 2000));
	/* It will be charged: what was known is over, with any max. */
	f->charges[0].limit = &minute;
	assert_false(refuses(f, 2000));
}

static void
test_one_is_let_through_before_the_end(void **state)
{
	struct fixture *f = *state;

	put(f, refused_take(f, "a", NULL));
	assert_true(refuses(f, 199999));
	assert_false(refuses(f, 200000));
	assert_true(refuses(f, 200000));
	assert_true(refuses(f, 249999));
	assert_false(refuses(f, 250000));
	assert_false(deny_cache_refuse(f->dc, fresh(f), MONO_US + 250001));
	assert_true(deny_cache_is_empty(f->dc));
}

static void
test_never_past_the_window(void **state)
{
	struct fixture *f = *state;
	struct take *take = refused_take(f, "a", NULL);

	/* 40 ms before the minute's end, counted from when the call was sent. */
	take->now_us = STORE_US - STORE_US % 60000000 + 60000000 - 40000;
	put(f, take);
	assert_true(refuses(f, 39999));
	assert_true(f->take.now_us % 60000000 > 59900000);
	assert_false(refuses(f, 40000));
}

static void
test_forgets_at_once(void **state)
{
	struct fixture *f = *state;
	struct deny_moment before = { deny_epoch_now(&f->epoch), MONO_US,
		MONO_US + 1000 };

	put(f, refused_take(f, "a", NULL));
	deny_epoch_end(&f->epoch);
	assert_false(refuses(f, 2000));
	/* Nor is learnt what was under way then. */
	deny_cache_put(f->dc, refused_take(f, "a", NULL), &before);
	assert_false(refuses(f, 2000));
	put(f, refused_take(f, "a", NULL));
	assert_true(refuses(f, 2000));
}

static void
test_who_always_asks(void **state)
{
	struct fixture *f = *state;
	struct ledger ledger = { .id_key = slice_str("id") };

	put(f, refused_take(f, "a", NULL));
	f->take.look = true;
	assert_false(refuses(f, 2000));
	f->take.look = false;
	f->take.ledger = &ledger;
	assert_false(refuses(f, 2000));
	ledger.id_key.len = 0; /* a reservation without id */
	assert_true(refuses(f, 2000));
}

static void
test_what_is_not_learnt(void **state)
{
	struct fixture *f = *state;

	put(f, refused_take(f, "a", &slots));
	assert_false(refuses(f, 2000));

	refused_take(f, "a", &sliding)->refused = 1;
	put(f, &f->take);
	assert_false(refuses(f, 2000));

	refused_take(f, "a", NULL)->look = true;
	put(f, &f->take);
	f->take.look = false;
	assert_false(refuses(f, 2000));

	refused_take(f, "a", NULL)->status = TAKE_ADMITTED;
	put(f, &f->take);
	assert_false(refuses(f, 2000));
	assert_true(deny_cache_is_empty(f->dc));
}

/* Other limits of the take are told as they are by then. */
static void
test_other_limits(void **state)
{
	struct fixture *f = *state;
	struct take *take = refused_take(f, "a", &bucket);

	f->charges[1].count = (struct limit_count){ 60000, 50000 };
	put(f, take);
	assert_true(refuses(f, 51000));
	assert_int_equal(f->charges[1].count.used, 10000);
	assert_int_equal(f->charges[1].count.before, 50000);
	assert_true(refuses(f, 101000));
	assert_int_equal(f->charges[1].count.used, 0);
	assert_int_equal(f->charges[1].count.before, 10000);
	assert_false(f->charges[1].lacked);

	/* Without room in a limit that stands before, which may have some by now, only
	 * the store knows which of them refuses. */
	take = refused_take(f, "c", &minute);
	f->charges[0].limit = &sliding;
	f->charges[1].count.used = 10;
	take->refused = 1;
	put(f, take);
	assert_true(refuses(f, 2000));
	assert_int_equal(f->take.refused, 1);
	f->charges[0].cost = 91;
	assert_false(refuses(f, 2000));
}

static void
test_shadow(void **state)
{
	struct fixture *f = *state;
	struct take *take = refused_take(f, "a", &minute);

	f->charges[1].shadow = f->charges[1].lacked = true;
	f->charges[1].count.used = 12;
	put(f, take);
	f->charges[1].lacked = false;
	assert_true(refuses(f, 2000));
	assert_int_equal(f->take.refused, 0);
	assert_true(f->charges[1].lacked);

	/* It holds something that is no count, and may not do so any more. */
	take = refused_take(f, "b", &minute);
	f->charges[1].shadow = f->charges[1].lacked = true;
	f->charges[1].count.used = 0;
	put(f, take);
	assert_false(refuses(f, 2000));
}

/* More than there is place for: some are forgotten, none is wrong. */
static void
test_bounded(void **state)
{
	struct fixture *f = *state;
	char key[24];
	int known = 0;

	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		put(f, refused_take(f, key, NULL));
	}
	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		(void)refused_take(f, key, NULL);
		known += refuses(f, 2000);
	}
	assert_in_range(known, 2000, 4096);
	(void)refused_take(f, "another", NULL);
	assert_false(refuses(f, 2000));
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_refuses_what_is_full),
		CASE(test_the_max_and_cost_of_now),
		CASE(test_one_is_let_through_before_the_end),
		CASE(test_never_past_the_window),
		CASE(test_forgets_at_once),
		CASE(test_who_always_asks),
		CASE(test_what_is_not_learnt),
		CASE(test_other_limits),
		CASE(test_shadow),
		CASE(test_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
