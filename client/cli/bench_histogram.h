/* SPDX-License-Identifier: ISC */
/*
 * A log-linear histogram of spans of time. Memory is fixed, whatever is recorded, and
 * recording costs a few instructions. Each power of two is divided into 2^7 equal cells,
 * so that what is reported is never below what was recorded, and at most 1/128 (0.8 %)
 * above it; below 128 ns, and for min, max and mean, it is exact. A span longer than
 * HISTOGRAM_LONGEST counts as that long, except in the max. Pure.
 */
#ifndef CLI_BENCH_HISTOGRAM_H
#define CLI_BENCH_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_BITS 47 /* 2^47 ns are 39 hours */
#define HISTOGRAM_LONGEST ((INT64_C(1) << HISTOGRAM_BITS) - 1)
#define HISTOGRAM_CELLS \
	((HISTOGRAM_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

/* A zeroed one is empty. */
struct bench_histogram {
	uint64_t count;
	int64_t min_ns, max_ns; /* 0 when empty */
	double sum_ns;
	uint64_t cells[HISTOGRAM_CELLS];
};

/* A negative span counts as 0. */
void bench_histogram_record(struct bench_histogram *h, int64_t span_ns);

void bench_histogram_merge(
    struct bench_histogram *into, const struct bench_histogram *h);

/* The span that `percent` (0 ... 100) of all recorded ones do not exceed; 0 when empty. */
int64_t bench_histogram_percentile(const struct bench_histogram *h, double percent);

/*
 * The first cell at or after *cell that has any: the longest span it stands for, as
 * bench_histogram_percentile() reports it, and how many there are. Moves *cell on; false
 * when there is none. Begin with 0.
 */
bool bench_histogram_next(
    const struct bench_histogram *h, size_t *cell, int64_t *longest_ns, uint64_t *n);

double bench_histogram_mean(const struct bench_histogram *h);

#endif
