/* SPDX-License-Identifier: ISC */
/*
 * The threads of a run: started together, stopped together by time, a signal or a failure,
 * with their counts added up.
 */
#ifndef CLI_BENCH_CREW_H
#define CLI_BENCH_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "bench_plan.h"
#include "bench_stats.h"

struct bench_result {
	struct bench_stats measured, warmup;
	struct bench_trouble trouble;
	double seconds; /* from the beginning of what is measured to its last answer */
	double cpu_seconds; /* of this process, warm-up included */
	bool interrupted;   /* by a signal */
	bool gave_up;       /* no connection for ten times the timeout */
};

/* 0, or the status to exit with after saying why: nothing was measured. Takes SIGINT
 * and SIGTERM while it runs: the first stops the load and waits for what is in flight,
 * the second does not wait. `progress`: a line on stderr. */
int bench_crew_run(
    const struct bench_plan *plan, bool progress, struct bench_result *out);

#endif
