/* SPDX-License-Identifier: ISC */
#include "base/metric.h"

const struct metric_desc metric_table[METRIC_COUNT] = {
#define X(id, name, kind, labels, help) \
	[METRIC_##id] = { name, METRIC_KIND_##kind, labels, help },
	METRIC_TABLE(X)
#undef X
};

const int64_t metric_bucket_us[METRIC_BUCKETS - 1] = { 50, 100, 200, 400, 800, 1500,
	3000, 6000, 12500, 25000, 50000, 75000, 100000, 250000, 1000000 };

void
metric_latency(struct metric_cells *cells, int64_t us)
{
	int i = 0;

	while (i < METRIC_BUCKETS - 1 && us > metric_bucket_us[i])
		i++;
	atomic_store_explicit(&cells->latency[i],
	    atomic_load_explicit(&cells->latency[i], memory_order_relaxed) + 1,
	    memory_order_relaxed);
	atomic_store_explicit(&cells->latency_sum_us,
	    atomic_load_explicit(&cells->latency_sum_us, memory_order_relaxed) + us,
	    memory_order_relaxed);
}
