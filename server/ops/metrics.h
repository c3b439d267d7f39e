/* SPDX-License-Identifier: ISC */
/* All metrics in the Prometheus text format (version 0.0.4). docs/metrics.md lists them; a
 * unit test compares the two. */
#ifndef OPS_METRICS_H
#define OPS_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/metric.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct process_usage;

struct metrics_input {
	struct metric_cells *const *cells; /* one block per worker */
	size_t n_cells;
	int64_t started_us;     /* clock_real_us() at the process's start */
	int64_t store_counters; /* memory_count() of the embedded store; -1: none */
	const struct process_usage *usage; /* borrowed */
};

void metrics_format(const struct metrics_input *in, struct buf *out);

/* One metric over all blocks: the sum, or the least, as its kind says. */
int64_t metrics_value(const struct metrics_input *in, enum metric id);

/* The names of metrics that have no row in base/metric_table.h, ending with NULL; for the
 * test that compares docs/metrics.md. */
extern const char *const metrics_extra_names[];

#endif
