/* SPDX-License-Identifier: ISC */
/*
 * Metric cells: one block per worker, with a cell for each series of
 * base/metric_table.h. Only that worker adds to its block; ops/metrics sums the blocks
 * when it exposes them.
 *
 * Threads: adding is a relaxed atomic on the worker's own cache lines; reading from
 * any thread sees each cell whole.
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/metric_table.h"

enum metric {
#define X(id, name, kind, labels, help) METRIC_##id,
	METRIC_TABLE(X)
#undef X
	    METRIC_COUNT
};

/* The blocks' values are summed; of LEAST, a gauge as well, the least one is shown. */
enum metric_kind { METRIC_KIND_COUNTER, METRIC_KIND_GAUGE, METRIC_KIND_LEAST };

struct metric_desc {
	const char *name;
	enum metric_kind kind;
	const char *labels; /* "" without any */
	const char *help;   /* "" in all but the first series of a name */
};

extern const struct metric_desc metric_table[METRIC_COUNT];

/* Upper bounds of the latency buckets in µs; the last bucket has none. */
#define METRIC_BUCKETS 16
extern const int64_t metric_bucket_us[METRIC_BUCKETS - 1];

struct metric_cells {
	_Atomic int64_t value[METRIC_COUNT];
	/* ration_check_duration_seconds: from a request read to its answer written
	 * into the connection's buffer. */
	_Atomic int64_t latency[METRIC_BUCKETS];
	_Atomic int64_t latency_sum_us;
};

static inline void
metric_add(struct metric_cells *cells, enum metric id, int64_t n)
{
	/* One writer per block: a load and a store are cheaper than a locked add. */
	int64_t now = atomic_load_explicit(&cells->value[id], memory_order_relaxed);

	atomic_store_explicit(&cells->value[id], now + n, memory_order_relaxed);
}

static inline void
metric_set(struct metric_cells *cells, enum metric id, int64_t value)
{
	atomic_store_explicit(&cells->value[id], value, memory_order_relaxed);
}

static inline int64_t
metric_get(const struct metric_cells *cells, enum metric id)
{
	return atomic_load_explicit(&cells->value[id], memory_order_relaxed);
}

/* Adds one latency to its bucket and to the sum. */
void metric_latency(struct metric_cells *cells, int64_t us);

#endif
