/* SPDX-License-Identifier: ISC */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/attr.h"
#include "bench_histogram.h"
#include "bench_pick.h"

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Spans of all magnitudes: what is told is never below the truth, and at most 1/128
 * above it. */
static void
test_error_is_bounded(void **state)
{
	static const double percents[] = { 0, 0.01, 1, 50, 90, 99, 99.9, 99.99, 100 };
	enum { N = 20000 };
	struct bench_histogram *h = calloc(1, sizeof(*h));
	int64_t *spans = calloc(N, sizeof(*spans));
	struct bench_pick pick;
	double sum = 0;

	(void)state;
	bench_pick_init(&pick, 1, 0, BENCH_UNIFORM, 0, UINT64_C(1) << 46);
	for (size_t i = 0; i < N; i++) {
		spans[i] = (int64_t)(bench_pick_next(&pick) >> (i % 46));
		bench_histogram_record(h, spans[i]);
		sum += (double)spans[i];
	}
	qsort(spans, N, sizeof(*spans), by_value);
	for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
		size_t rank = (size_t)ceil(N * percents[i] / 100);
		int64_t truth = spans[rank ? rank - 1 : 0];
		int64_t told = bench_histogram_percentile(h, percents[i]);

		assert_true(told >= truth);
		assert_true(told - truth <= truth / 128);
	}
	assert_true(
	    h->count == N && h->min_ns == spans[0] && h->max_ns == spans[N - 1]);
	assert_true(fabs(bench_histogram_mean(h) - sum / N) <= sum / N * 1e-9);
	free(spans);
	free(h);
}

static void
test_edges(void **state)
{
	static const int64_t spans[] = { 0, 1, 127, 128, 129, 255, 256, 257, 511, 512,
		INT64_C(1) << 46, HISTOGRAM_LONGEST };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
		struct bench_histogram *h = calloc(1, sizeof(*h));

		assert_true(bench_histogram_percentile(h, 50) == 0);
		bench_histogram_record(h, spans[i]);
		bench_histogram_record(h, INT64_MAX); /* the max does not cut it */
		assert_true(bench_histogram_percentile(h, 50) >= spans[i]);
		if (i < ARRAY_LEN(spans) - 1) /* the last cell holds both */
			assert_true(bench_histogram_percentile(h, 50) - spans[i] <=
			    spans[i] / 128);
		assert_true(bench_histogram_percentile(h, 100) == INT64_MAX);
		free(h);
	}
}

static void
test_negative_is_nothing(void **state)
{
	struct bench_histogram *h = calloc(1, sizeof(*h));

	(void)state;
	bench_histogram_record(h, -5);
	assert_true(h->count == 1 && h->min_ns == 0 && h->max_ns == 0);
	assert_true(bench_histogram_percentile(h, 99) == 0);
	free(h);
}

static void
test_merge_is_as_if_recorded(void **state)
{
	struct bench_histogram *all = calloc(1, sizeof(*all));
	struct bench_histogram *parts = calloc(3, sizeof(*parts)); /* [2] stays empty */
	struct bench_histogram *sum = calloc(1, sizeof(*sum));

	(void)state;
	for (int64_t i = 1; i <= 1000; i++) {
		bench_histogram_record(all, i * i * 1000);
		bench_histogram_record(&parts[i % 2], i * i * 1000);
	}
	for (size_t i = 0; i < 3; i++)
		bench_histogram_merge(sum, &parts[i]);
	assert_true(sum->count == 1000 && sum->min_ns == all->min_ns);
	assert_true(sum->max_ns == all->max_ns);
	for (double p = 0; p <= 100; p += 0.5)
		assert_true(bench_histogram_percentile(sum, p) ==
		    bench_histogram_percentile(all, p));
	free(all);
	free(parts);
	free(sum);
}

/* Whoever adds the cells up gets the same percentiles. */
static void
test_cells_are_told_in_order(void **state)
{
	static const int64_t spans[] = { 5, 5, 300, 301, 70000, INT64_MAX };
	static const struct {
		int64_t ns;
		uint64_t n;
	} cells[] = { { 5, 2 }, { 301, 2 }, { 70143, 1 }, { INT64_MAX, 1 } };
	struct bench_histogram *h = calloc(1, sizeof(*h));
	int64_t longest_ns;
	size_t cell = 0;
	uint64_t n;

	(void)state;
	assert_false(bench_histogram_next(h, &cell, &longest_ns, &n));
	for (size_t i = 0; i < ARRAY_LEN(spans); i++)
		bench_histogram_record(h, spans[i]);
	for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
		assert_true(bench_histogram_next(h, &cell, &longest_ns, &n));
		assert_int_equal(longest_ns, cells[i].ns);
		assert_int_equal(n, cells[i].n);
	}
	assert_false(bench_histogram_next(h, &cell, &longest_ns, &n));
	free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_is_bounded),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_negative_is_nothing),
		cmocka_unit_test(test_merge_is_as_if_recorded),
		cmocka_unit_test(test_cells_are_told_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
