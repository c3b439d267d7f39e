/* SPDX-License-Identifier: ISC */
/* The Prometheus text format (version 0.0.4) of all metrics. docs/metrics.md lists
 * them; a unit test compares. */
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
	int64_t store_counters; /* of the embedded store; -1: another store */
	const struct process_usage *usage; /* borrowed */
};

void metrics_format(const struct metrics_input *in, struct buf *out);

/* The sum of one cell over all blocks, or what its kind makes of them. */
int64_t metrics_value(const struct metrics_input *in, enum metric id);

/* The metrics that have no cell in base/metric_table.h, for the documents' test; ends with
 * NULL. */
extern const char *const metrics_extra_names[];

#endif
