/* SPDX-License-Identifier: ISC */
#include "bench_report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* If it uses more than this part of its cores, the tool itself may limit the rate. */
#define BUSY 0.95

static const struct {
	const char *name; /* in text; JSON has '_' instead of the point */
	const char *key;
	double percent;
} percentiles[] = {
	{ "p50", "p50", 50 },
	{ "p90", "p90", 90 },
	{ "p99", "p99", 99 },
	{ "p99.9", "p99_9", 99.9 },
};

/* Appends a span of time in three digits: "840 ns", "41.2 us", "3.07 ms", "12.0 s". */
static void
add_span(struct buf *out, double ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 } };
	size_t i = 0;
	double n;

	/* What would be shown as 1000 is shown as 1.00 of the next unit. */
	while (i + 1 < ARRAY_LEN(units) && ns >= 999.5 * units[i].ns)
		i++;
	n = ns / units[i].ns;
	buf_printf(out, "%.*f %s",
	    i == 0 || n >= 99.95 ? 0
		: n >= 9.995     ? 1
				 : 2,
	    n, units[i].name);
}

static double
per_second(const struct bench_result *result)
{
	return result->seconds > 0
	    ? (double)bench_stats_answers(&result->measured) / result->seconds
	    : 0;
}

static const char *
protocol_of(const struct bench_plan *plan)
{
	return plan->http ? "HTTP" : "RESP";
}

static void
add_clean(struct buf *out, const char *text)
{
	text_add_clean(out, slice_str(text));
}

static void
add_plan(struct buf *out, const struct bench_plan *plan)
{
	add_clean(out, plan->command ? plan->command : plan->tool);
	buf_printf(out, " over %s to ", protocol_of(plan));
	add_clean(out, plan->address);
	buf_printf(out,
	    "\n%" PRId64 " connection%s, pipeline %" PRId64 ", %" PRId64 " thread%s, ",
	    plan->connections, plan->connections == 1 ? "" : "s", plan->pipeline,
	    plan->threads, plan->threads == 1 ? "" : "s");
	if (plan->rate)
		buf_printf(out, "%" PRId64 " a second\n", plan->rate);
	else
		buf_add_str(out, "as fast as possible\n");
	buf_printf(out, "%" PRId64 " grant%s, %s; seed %" PRId64 "\n\n", plan->grants,
	    plan->grants == 1 ? "" : "s", plan->skew_text, plan->seed);
}

static void
add_latency(struct buf *out, const struct bench_histogram *h)
{
	buf_add_str(out, "latency   ");
	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++) {
		buf_printf(out, "%s ", percentiles[i].name);
		add_span(
		    out, (double)bench_histogram_percentile(h, percentiles[i].percent));
		buf_add_str(out, "   ");
	}
	buf_add_str(out, "max ");
	add_span(out, (double)h->max_ns);
	buf_add_char(out, '\n');
}

/* "allow 1200 (80.0 %)  deny 300 (20.0 %)": those outcomes of a range that occurred. */
static void
add_outcomes(struct buf *out, const struct bench_stats *s, const char *title,
    size_t from, size_t to)
{
	uint64_t sent = bench_stats_sent(s);
	bool any = false;

	buf_add_str(out, title);
	for (size_t i = from; i < to; i++) {
		if (s->outcomes[i] == 0)
			continue;
		buf_printf(out, "%s%s %" PRIu64 " (%.1f %%)", any ? "   " : "",
		    bench_outcome_word((enum bench_outcome)i), s->outcomes[i],
		    100 * (double)s->outcomes[i] / (double)sent);
		any = true;
	}
	buf_add_str(out, any ? "\n" : "none\n");
}

/* Warnings: what somebody has to know before trusting the figures above. */
static void
add_notes(
    struct buf *out, const struct bench_plan *plan, const struct bench_result *result)
{
	const struct bench_stats *s = &result->measured;

	if (s->degraded)
		buf_printf(out,
		    "degraded  %" PRIu64 " were decided without the store\n",
		    s->degraded);
	if (s->missed)
		buf_printf(out,
		    "missed    %" PRIu64
		    " were due and not sent: the rate was not held\n",
		    s->missed);
	if (result->trouble.reconnects || result->trouble.connect_failures)
		buf_printf(out,
		    "broken    %" PRIu64 " connections made again, %" PRIu64
		    " tries failed\n",
		    result->trouble.reconnects, result->trouble.connect_failures);
	if (result->trouble.first_error[0])
		buf_printf(out, "error     %s\n", result->trouble.first_error);
	if (result->gave_up)
		buf_add_str(out, "ended     nobody answered any more\n");
	if (result->interrupted)
		buf_add_str(out, "ended     by a signal\n");
	if (plan->rate == 0 && result->seconds > 0 &&
	    result->cpu_seconds >= BUSY * (double)plan->threads *
		    (result->seconds + (double)plan->warmup_s))
		buf_add_str(out,
		    "busy      this tool had no time to spare: more --threads may show"
		    " more\n");
}

void
bench_report_text(
    struct buf *out, const struct bench_plan *plan, const struct bench_result *result)
{
	const struct bench_stats *s = &result->measured;

	add_plan(out, plan);
	buf_printf(out, "%.0f answers a second: %" PRIu64 " in %.2f s\n",
	    per_second(result), bench_stats_answers(s), result->seconds);
	add_latency(out, &s->latency);
	add_outcomes(out, s, "answers   ", 0, BENCH_FIRST_ERROR);
	add_outcomes(out, s, "errors    ", BENCH_FIRST_ERROR, BENCH_N_OUTCOMES);
	buf_printf(out, "bytes     %" PRIu64 " sent, %" PRIu64 " received\n",
	    s->bytes_sent, s->bytes_received);
	add_notes(out, plan, result);
}

static json_t *
json_count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *
json_outcomes(const struct bench_stats *s, size_t from, size_t to)
{
	json_t *object = json_object();

	for (size_t i = from; i < to; i++)
		json_object_set_new(object, bench_outcome_word((enum bench_outcome)i),
		    json_count(s->outcomes[i]));
	return object;
}

static json_t *
json_latency(const struct bench_histogram *h)
{
	json_t *object = json_object();

	json_object_set_new(object, "count", json_count(h->count));
	json_object_set_new(object, "min", json_real((double)h->min_ns / 1e3));
	json_object_set_new(object, "mean", json_real(bench_histogram_mean(h) / 1e3));
	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
		json_object_set_new(object, percentiles[i].key,
		    json_real(
			(double)bench_histogram_percentile(h, percentiles[i].percent) /
			1e3));
	json_object_set_new(object, "max", json_real((double)h->max_ns / 1e3));
	return object;
}

/* [longest, how many] of each cell that has any, so that runs can be merged. */
static json_t *
json_histogram(const struct bench_histogram *h)
{
	json_t *array = json_array();
	size_t cell = 0;
	int64_t longest_ns;
	uint64_t n;

	while (bench_histogram_next(h, &cell, &longest_ns, &n))
		json_array_append_new(
		    array, json_pack("[fI]", (double)longest_ns / 1e3, (json_int_t)n));
	return array;
}

static json_t *
json_counts(const struct bench_stats *s)
{
	json_t *object = json_object();

	json_object_set_new(object, "sent", json_count(bench_stats_sent(s)));
	json_object_set_new(object, "answers", json_count(bench_stats_answers(s)));
	json_object_set_new(object, "mix", json_outcomes(s, 0, BENCH_FIRST_ERROR));
	json_object_set_new(
	    object, "errors", json_outcomes(s, BENCH_FIRST_ERROR, BENCH_N_OUTCOMES));
	json_object_set_new(object, "degraded", json_count(s->degraded));
	json_object_set_new(object, "bytes_sent", json_count(s->bytes_sent));
	json_object_set_new(object, "bytes_received", json_count(s->bytes_received));
	json_object_set_new(object, "latency_us", json_latency(&s->latency));
	return object;
}

static json_t *
json_plan(const struct bench_plan *plan)
{
	return json_pack("{ss ss ss? sI sI sI sI ss sf sI sI sI sI sI}", "protocol",
	    plan->http ? "http" : "resp", "address", plan->address, "command",
	    plan->command, "connections", (json_int_t)plan->connections, "pipeline",
	    (json_int_t)plan->pipeline, "threads", (json_int_t)plan->threads, "grants",
	    (json_int_t)plan->grants, "skew", bench_skew_name(plan->skew),
	    "skew_parameter", plan->skew_parameter, "rate", (json_int_t)plan->rate,
	    "duration_s", (json_int_t)plan->duration_s, "requests",
	    (json_int_t)plan->requests, "warmup_s", (json_int_t)plan->warmup_s, "seed",
	    (json_int_t)plan->seed);
}

void
bench_report_json(
    struct buf *out, const struct bench_plan *plan, const struct bench_result *result)
{
	const struct bench_trouble *t = &result->trouble;
	json_t *root = json_counts(&result->measured);
	char *text;

	json_object_set_new(root, "plan", json_plan(plan));
	json_object_set_new(root, "seconds", json_real(result->seconds));
	json_object_set_new(root, "per_second", json_real(per_second(result)));
	json_object_set_new(root, "cpu_seconds", json_real(result->cpu_seconds));
	json_object_set_new(
	    root, "histogram_us", json_histogram(&result->measured.latency));
	json_object_set_new(root, "missed", json_count(result->measured.missed));
	json_object_set_new(root, "reconnects", json_count(t->reconnects));
	json_object_set_new(root, "connect_failures", json_count(t->connect_failures));
	json_object_set_new(root, "first_error",
	    t->first_error[0] ? json_string(t->first_error) : json_null());
	json_object_set_new(root, "interrupted", json_boolean(result->interrupted));
	json_object_set_new(root, "gave_up", json_boolean(result->gave_up));
	json_object_set_new(root, "warmup", json_counts(&result->warmup));
	text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(10));
	if (text)
		buf_add_str(out, text);
	else
		out->failed = true;
	buf_add_char(out, '\n');
	free(text);
	json_decref(root);
}
