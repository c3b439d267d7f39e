/* SPDX-License-Identifier: ISC */
/* What was counted. Pure. */
#ifndef CLI_BENCH_STATS_H
#define CLI_BENCH_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "bench_histogram.h"
#include "bench_outcome.h"

#define STATS_WORDS_MAX 200                       /* bytes of an error that are kept */
#define STATS_ERROR_MAX (4 * STATS_WORDS_MAX + 1) /* each may become \xNN */

/* A zeroed one is empty. */
struct bench_stats {
	uint64_t outcomes[BENCH_N_OUTCOMES];
	uint64_t degraded; /* those of them that were decided without the store */
	uint64_t missed;   /* due by the rate, but never sent */
	uint64_t bytes_sent, bytes_received;
	/* How long answers took, and requests that got none in time. */
	struct bench_histogram latency;
};

/* What concerns connections, and belongs to no request. */
struct bench_trouble {
	uint64_t connect_failures;
	uint64_t reconnects;
	char first_error[STATS_ERROR_MAX]; /* its words; "" without one */
};

/* Of requests. */
uint64_t bench_stats_sent(const struct bench_stats *s);
uint64_t bench_stats_answers(const struct bench_stats *s);
uint64_t bench_stats_errors(const struct bench_stats *s);

void bench_stats_merge(struct bench_stats *into, const struct bench_stats *s);
void bench_trouble_merge(struct bench_trouble *into, const struct bench_trouble *t);

/* Keeps the words if they are the first, on one line, cut if they are long. */
void bench_trouble_note(struct bench_trouble *t, struct slice words);

/* A key of JSON and a word of text; never NULL. */
const char *bench_outcome_word(enum bench_outcome outcome);

#endif
