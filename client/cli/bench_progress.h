/* SPDX-License-Identifier: ISC */
/*
 * The line that is shown on standard error, if that is a terminal, while a load is under
 * way: how far it is, how fast at present, and what went wrong so far. It is never wider
 * than the terminal, where it could not be erased.
 *
 * Threads: one. Time: bench_clock_ns().
 */
#ifndef CLI_BENCH_PROGRESS_H
#define CLI_BENCH_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

#include "bench_plan.h"

struct bench_progress {
	const struct bench_plan *plan; /* borrowed */
	int64_t since_ns;
	int64_t shown_ns; /* when `shown` answers were shown */
	uint64_t shown;
};

void bench_progress_init(
    struct bench_progress *p, const struct bench_plan *plan, int64_t now_ns);

/* Writes the current line, as a string. `answers` and `errors` do not include the
 * warm-up. */
void bench_progress_format(struct bench_progress *p, int64_t now_ns, uint64_t answers,
    uint64_t errors, char *out, size_t size);

/* Shows it in place of the one before. */
void bench_progress_show(
    struct bench_progress *p, int64_t now_ns, uint64_t answers, uint64_t errors);

/* Erases it, so that what comes next begins on a clean line. */
void bench_progress_end(void);

#endif
