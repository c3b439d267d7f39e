/* SPDX-License-Identifier: ISC */
#include "bench_histogram.h"

#include <math.h>

#define SUB_CELLS (1 << HISTOGRAM_SUB_BITS)

static size_t
cell_of(uint64_t ns)
{
	int exponent, shift;

	if (ns < SUB_CELLS)
		return (size_t)ns;
	exponent = 63 - __builtin_clzll(ns);
	shift = exponent - HISTOGRAM_SUB_BITS;
	/* The first SUB_CELLS are for spans below 2^SUB_BITS; then SUB_CELLS per power. */
	return (size_t)(shift + 1) * SUB_CELLS + (size_t)(ns >> shift) - SUB_CELLS;
}

/* The longest recorded span that may be in a cell, which must not be empty. */
static int64_t
longest_of(const struct bench_histogram *h, size_t cell)
{
	size_t shift = cell / SUB_CELLS;
	int64_t ns = (int64_t)cell;

	if (cell == HISTOGRAM_CELLS - 1) /* it also has all longer spans */
		return h->max_ns;
	if (shift > 0)
		ns = ((int64_t)(SUB_CELLS + cell % SUB_CELLS + 1) << (shift - 1)) - 1;
	return ns < h->max_ns ? ns : h->max_ns;
}

void
bench_histogram_record(struct bench_histogram *h, int64_t span_ns)
{
	if (span_ns < 0)
		span_ns = 0;
	if (h->count == 0 || span_ns < h->min_ns)
		h->min_ns = span_ns;
	if (span_ns > h->max_ns)
		h->max_ns = span_ns;
	h->count++;
	h->sum_ns += (double)span_ns;
	if (span_ns > HISTOGRAM_LONGEST)
		span_ns = HISTOGRAM_LONGEST;
	h->cells[cell_of((uint64_t)span_ns)]++;
}

void
bench_histogram_merge(struct bench_histogram *into, const struct bench_histogram *h)
{
	if (h->count == 0)
		return;
	if (into->count == 0 || h->min_ns < into->min_ns)
		into->min_ns = h->min_ns;
	if (h->max_ns > into->max_ns)
		into->max_ns = h->max_ns;
	into->count += h->count;
	into->sum_ns += h->sum_ns;
	for (size_t i = 0; i < HISTOGRAM_CELLS; i++)
		into->cells[i] += h->cells[i];
}

int64_t
bench_histogram_percentile(const struct bench_histogram *h, double percent)
{
	uint64_t wanted = (uint64_t)ceil((double)h->count * percent / 100);
	uint64_t seen = 0;

	if (wanted == 0)
		wanted = 1;
	for (size_t i = 0; i < HISTOGRAM_CELLS; i++) {
		seen += h->cells[i];
		if (seen >= wanted)
			return longest_of(h, i);
	}
	return h->max_ns;
}

bool
bench_histogram_next(
    const struct bench_histogram *h, size_t *cell, int64_t *longest_ns, uint64_t *n)
{
	for (size_t i = *cell; i < HISTOGRAM_CELLS; i++) {
		if (h->cells[i] == 0)
			continue;
		*longest_ns = longest_of(h, i);
		*n = h->cells[i];
		*cell = i + 1;
		return true;
	}
	return false;
}

double
bench_histogram_mean(const struct bench_histogram *h)
{
	return h->count ? h->sum_ns / (double)h->count : 0;
}
