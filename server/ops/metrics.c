/* SPDX-License-Identifier: ISC */
#include "ops/metrics.h"

#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "ops/process.h"

const char *const metrics_extra_names[] = { "ration_check_duration_seconds",
	"ration_store_counters", "ration_build_info", "ration_log_dropped_total",
	"process_resident_memory_bytes", "process_open_fds",
	"process_start_time_seconds", "process_cpu_seconds_total", NULL };

int64_t
metrics_value(const struct metrics_input *in, enum metric id)
{
	bool is_least = metric_table[id].kind == METRIC_KIND_LEAST;
	int64_t value = metric_get(in->cells[0], id);

	for (size_t i = 1; i < in->n_cells; i++) {
		int64_t next = metric_get(in->cells[i], id);

		if (!is_least)
			value += next;
		else if (next < value)
			value = next;
	}
	return value;
}

static void
add_head(struct buf *out, const char *name, const char *kind, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

/* Microseconds as seconds, without trailing zeros: "0.00005". */
static void
add_seconds(struct buf *out, int64_t us)
{
	size_t end;

	buf_printf(
	    out, "%lld.%06lld", (long long)(us / 1000000), (long long)(us % 1000000));
	if (out->failed)
		return;
	end = out->len;
	while (out->data[end - 1] == '0')
		end--;
	out->len = out->data[end - 1] == '.' ? end - 1 : end;
}

static void
add_cells(const struct metrics_input *in, struct buf *out)
{
	static const char *const kinds[] = { "counter", "gauge", "gauge" };
	const char *last = "";

	for (int id = 0; id < METRIC_COUNT; id++) {
		const struct metric_desc *m = &metric_table[id];

		if (strcmp(m->name, last) != 0)
			add_head(out, m->name, kinds[m->kind], m->help);
		last = m->name;
		buf_add_str(out, m->name);
		if (m->labels[0])
			buf_printf(out, "{%s}", m->labels);
		buf_printf(
		    out, " %lld\n", (long long)metrics_value(in, (enum metric)id));
	}
}

static int64_t
latency_sum(const struct metrics_input *in, int bucket)
{
	int64_t n = 0;

	for (size_t i = 0; i < in->n_cells; i++)
		n += atomic_load_explicit(
		    &in->cells[i]->latency[bucket], memory_order_relaxed);
	return n;
}

static void
add_histogram(const struct metrics_input *in, struct buf *out)
{
	const char *name = metrics_extra_names[0];
	int64_t sum_us = 0;
	int64_t n = 0;

	add_head(out, name, "histogram",
	    "From a check's request read to its answer written, in seconds.");
	for (int i = 0; i < METRIC_BUCKETS - 1; i++) {
		n += latency_sum(in, i);
		buf_printf(out, "%s_bucket{le=\"", name);
		add_seconds(out, metric_bucket_us[i]);
		buf_printf(out, "\"} %lld\n", (long long)n);
	}
	n += latency_sum(in, METRIC_BUCKETS - 1);
	for (size_t i = 0; i < in->n_cells; i++)
		sum_us += atomic_load_explicit(
		    &in->cells[i]->latency_sum_us, memory_order_relaxed);
	buf_printf(
	    out, "%s_bucket{le=\"+Inf\"} %lld\n%s_sum ", name, (long long)n, name);
	add_seconds(out, sum_us);
	buf_printf(out, "\n%s_count %lld\n", name, (long long)n);
}

static void
add_if_known(struct buf *out, const char *name, const char *help, int64_t value)
{
	if (value < 0)
		return;
	add_head(out, name, "gauge", help);
	buf_printf(out, "%s %lld\n", name, (long long)value);
}

static void
add_process(const struct metrics_input *in, struct buf *out)
{
	add_if_known(out, "process_resident_memory_bytes", "Resident memory.",
	    in->usage->resident_bytes);
	add_if_known(
	    out, "process_open_fds", "Open file descriptors.", in->usage->open_fds);
	add_head(out, "process_start_time_seconds", "gauge",
	    "When the process started, in seconds since 1970.");
	buf_add_str(out, "process_start_time_seconds ");
	add_seconds(out, in->started_us);
	buf_add_char(out, '\n');
	add_head(out, "process_cpu_seconds_total", "counter",
	    "Processor time used, user and system.");
	buf_add_str(out, "process_cpu_seconds_total ");
	add_seconds(out, in->usage->cpu_us);
	buf_add_char(out, '\n');
}

void
metrics_format(const struct metrics_input *in, struct buf *out)
{
	add_cells(in, out);
	add_histogram(in, out);
	if (in->store_counters >= 0) {
		add_head(out, "ration_store_counters", "gauge",
		    "Counters in the embedded store, ended ones not yet swept "
		    "included.");
		buf_printf(
		    out, "ration_store_counters %lld\n", (long long)in->store_counters);
	}
	add_head(out, "ration_build_info", "gauge", "The version that runs; always 1.");
	buf_printf(out, "ration_build_info{version=\"%s\"} 1\n", RATION_VERSION);
	add_head(out, "ration_log_dropped_total", "counter",
	    "Lines of the log that stderr did not take.");
	buf_printf(
	    out, "ration_log_dropped_total %llu\n", (unsigned long long)log_dropped());
	add_process(in, out);
}
