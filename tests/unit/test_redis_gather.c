/* SPDX-License-Identifier: ISC */
/* Batches that gather by lane. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "redis/gather.h"
#include "redis/twins.h"

#define KEYS_MAX 2048

static struct twins scratch;

struct one {
	struct take take;
	struct charge charge;
};

static const struct limit some_limit = { .max = 10 };

static void
add(struct gather *gather, uint32_t lane, struct one *one, const char *key)
{
	struct batch *batch;

	memset(one, 0, sizeof(*one));
	one->charge =
	    (struct charge){ .key = slice_str(key), .limit = &some_limit, .cost = 1 };
	one->take = (struct take){ .charges = &one->charge, .n = 1 };
	batch = gather_for(gather, lane, &one->take, KEYS_MAX);
	assert_non_null(batch);
	assert_int_equal(gather_lane(batch), lane);
	assert_int_equal(batch_add(batch, &one->take), 0);
}

/* The eldest has so many takes, which are given back in their order. */
static void
drop(struct gather *gather, uint32_t lane, size_t n)
{
	struct batch *batch = gather_pop(gather);
	struct buf out = { 0 };
	struct take *take;

	assert_int_equal(gather_lane(batch), lane);
	assert_int_equal(batch_live(batch), n);
	assert_true(batch_format(batch, slice_str("x"), 0, &out));
	for (take = batch_take_back(batch); take; take = take->next)
		n--;
	assert_int_equal(n, 0);
	assert_int_equal(batch_live(batch), 0);
	gather_put(gather, batch);
	buf_fini(&out);
}

/* Each lane has one batch, and they leave in the order of their births. */
static void
test_lanes(void **state)
{
	struct gather gather;
	struct one ones[7];

	(void)state;
	gather_init(&gather, &scratch);
	assert_null(gather_first(&gather));
	add(&gather, 7, &ones[0], "a");
	add(&gather, 8, &ones[1], "b");
	add(&gather, 7, &ones[2], "c");
	add(&gather, 7 | LANE_ASKING, &ones[3], "d");
	add(&gather, 7 | LANE_ALONE, &ones[4], "e");
	add(&gather, 7 | LANE_ALONE, &ones[5], "f");
	add(&gather, 7, &ones[6], "g");
	assert_int_equal(gather.n, 5);
	drop(&gather, 7, 3);
	drop(&gather, 8, 1);
	drop(&gather, 7 | LANE_ASKING, 1);
	drop(&gather, 7 | LANE_ALONE, 1);
	drop(&gather, 7 | LANE_ALONE, 1);
	assert_null(gather_first(&gather));
	gather_fini(&gather);
}

/* Lanes that share a bucket are told apart; one that left begins anew. */
static void
test_buckets(void **state)
{
	struct gather gather;
	struct one ones[64], more[2];

	(void)state;
	gather_init(&gather, &scratch);
	for (uint32_t i = 0; i < 64; i++)
		add(&gather, i * GATHER_BUCKETS + i, &ones[i], "k");
	for (uint32_t i = 0; i < 32; i++)
		drop(&gather, i * GATHER_BUCKETS + i, 1);
	add(&gather, 0, &more[0], "k");
	add(&gather, 40 * GATHER_BUCKETS + 40, &more[1], "l");
	for (uint32_t i = 32; i < 64; i++)
		drop(&gather, i * GATHER_BUCKETS + i, i == 40 ? 2 : 1);
	drop(&gather, 0, 1);
	gather_fini(&gather);
}

/* A full batch is left behind another; what comes back is the eldest again. */
static void
test_full_and_back(void **state)
{
	static struct one ones[BATCH_CHECKS_MAX + 1];
	struct gather gather;
	struct batch *batch;
	struct one late;

	(void)state;
	gather_init(&gather, &scratch);
	for (size_t i = 0; i <= BATCH_CHECKS_MAX; i++)
		add(&gather, 1, &ones[i], "k");
	assert_int_equal(gather.n, 2);
	batch = gather_pop(&gather);
	gather_push(&gather, batch);
	add(&gather, 1, &late, "k"); /* joins the younger one */
	drop(&gather, 1, BATCH_CHECKS_MAX);
	drop(&gather, 1, 2);
	gather_fini(&gather);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_full_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
