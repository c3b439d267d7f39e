/* SPDX-License-Identifier: ISC */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "bench_pick.h"

#define DRAWS 400000

static uint64_t *
draw_all(enum bench_skew skew, double parameter, uint64_t n)
{
	uint64_t *counts = calloc(n, sizeof(*counts));
	struct bench_pick pick;

	bench_pick_init(&pick, 7, 0, skew, parameter, n);
	for (size_t i = 0; i < DRAWS; i++) {
		uint64_t got = bench_pick_next(&pick);

		assert_true(got < n);
		counts[got]++;
	}
	return counts;
}

/* Whether a count is as likely as chance makes it: within six deviations. */
static void
assert_share(uint64_t count, double share)
{
	double expected = DRAWS * share;

	assert_true(fabs((double)count - expected) <= 6 * sqrt(expected) + 1);
}

static void
test_uniform(void **state)
{
	static const uint64_t sizes[] = { 1, 2, 3, 100 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t *counts = draw_all(BENCH_UNIFORM, 0, sizes[i]);

		for (uint64_t k = 0; k < sizes[i]; k++)
			assert_share(counts[k], 1.0 / (double)sizes[i]);
		free(counts);
	}
}

/* Every number as often as its law says, for exponents below, at and above 1. */
static void
test_zipf(void **state)
{
	static const double exponents[] = { 0.01, 0.5, 0.99, 1, 1.0000000001, 1.01, 2,
		10 };
	static const uint64_t sizes[] = { 1, 2, 3, 50, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(exponents) * ARRAY_LEN(sizes); i++) {
		double s = exponents[i / ARRAY_LEN(sizes)];
		uint64_t n = sizes[i % ARRAY_LEN(sizes)];
		uint64_t *counts = draw_all(BENCH_ZIPF, s, n);
		double sum = 0;

		for (uint64_t k = 1; k <= n; k++)
			sum += pow((double)k, -s);
		for (uint64_t k = 1; k <= n; k++)
			assert_share(counts[k - 1], pow((double)k, -s) / sum);
		free(counts);
	}
}

static void
test_zipf_of_a_billion(void **state)
{
	static const double exponents[] = { 0.01, 1, 1.5, 10 };
	const uint64_t n = 1000000000;
	struct bench_pick pick;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(exponents); i++) {
		bench_pick_init(&pick, 3, 0, BENCH_ZIPF, exponents[i], n);
		for (size_t k = 0; k < DRAWS; k++)
			assert_true(bench_pick_next(&pick) < n);
	}
}

static void
test_hot(void **state)
{
	uint64_t *counts = draw_all(BENCH_HOT, 1, 10);

	(void)state;
	assert_true(counts[0] == DRAWS);
	free(counts);
	counts = draw_all(BENCH_HOT, 0.9, 11);
	assert_share(counts[0], 0.9);
	for (size_t i = 1; i < 11; i++)
		assert_share(counts[i], 0.01);
	free(counts);
}

static void
test_seed_repeats_and_streams_differ(void **state)
{
	static const struct {
		uint64_t seed, stream;
		bool same;
	} cases[] = { { 5, 1, true }, { 5, 2, false }, { 6, 1, false },
		{ 6, 0, false } };
	struct bench_pick first, other;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t equal = 0;

		bench_pick_init(&first, 5, 1, BENCH_UNIFORM, 0, 1000000);
		bench_pick_init(
		    &other, cases[i].seed, cases[i].stream, BENCH_UNIFORM, 0, 1000000);
		for (size_t k = 0; k < 1000; k++)
			equal += bench_pick_next(&first) == bench_pick_next(&other);
		assert_true(cases[i].same ? equal == 1000 : equal < 10);
	}
}

static void
test_turn(void **state)
{
	struct bench_pick pick;

	(void)state;
	bench_pick_init(&pick, 9, 2, BENCH_TURN, 0, 3);
	for (uint64_t i = 0; i < 7; i++)
		assert_int_equal(bench_pick_next(&pick), i % 3);
}

static void
test_parse(void **state)
{
	static const struct {
		const char *text;
		int rc;
		enum bench_skew skew;
		double parameter;
	} cases[] = {
		{ "uniform", 0, BENCH_UNIFORM, 0 },
		{ "zipf", 0, BENCH_ZIPF, 1 },
		{ "zipf:0.5", 0, BENCH_ZIPF, 0.5 },
		{ "zipf:10", 0, BENCH_ZIPF, 10 },
		{ "hot", 0, BENCH_HOT, 1 },
		{ "hot:0", 0, BENCH_HOT, 0 },
		{ "hot:.25", 0, BENCH_HOT, 0.25 },
		{ "turn", 0, BENCH_TURN, 0 },
		{ "turn:1", ERR_INVALID, 0, 0 },
		{ "", ERR_INVALID, 0, 0 },
		{ "zip", ERR_INVALID, 0, 0 },
		{ "zipfs", ERR_INVALID, 0, 0 },
		{ "uniform:1", ERR_INVALID, 0, 0 },
		{ "zipf:", ERR_INVALID, 0, 0 },
		{ "zipf:0", ERR_INVALID, 0, 0 },
		{ "zipf:10.1", ERR_INVALID, 0, 0 },
		{ "zipf:nan", ERR_INVALID, 0, 0 },
		{ "zipf:1x", ERR_INVALID, 0, 0 },
		{ "hot:1.1", ERR_INVALID, 0, 0 },
		{ "hot:-1", ERR_INVALID, 0, 0 },
		{ "hot: 1", ERR_INVALID, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum bench_skew skew;
		double parameter;
		int rc = bench_skew_parse(cases[i].text, &skew, &parameter);

		assert_int_equal(rc, cases[i].rc);
		if (rc != 0)
			continue;
		assert_int_equal(skew, cases[i].skew);
		assert_true(parameter == cases[i].parameter);
		assert_int_equal(strncmp(cases[i].text, bench_skew_name(skew), 3), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uniform),
		cmocka_unit_test(test_zipf),
		cmocka_unit_test(test_zipf_of_a_billion),
		cmocka_unit_test(test_hot),
		cmocka_unit_test(test_seed_repeats_and_streams_differ),
		cmocka_unit_test(test_turn),
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
