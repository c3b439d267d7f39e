/* SPDX-License-Identifier: ISC */
#include "bench_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_MAX_COLUMNS 99
#define COLUMNS_UNKNOWN 80

void
bench_progress_init(
    struct bench_progress *p, const struct bench_plan *plan, int64_t now_ns)
{
	*p = (struct bench_progress){ plan, now_ns, now_ns, 0 };
}

/* Answers a second since the last line. */
static double
rate_now(struct bench_progress *p, int64_t now_ns, uint64_t answers)
{
	double seconds = (double)(now_ns - p->shown_ns) / 1e9;
	double rate = seconds > 0 ? (double)(answers - p->shown) / seconds : 0;

	p->shown_ns = now_ns;
	p->shown = answers;
	return rate;
}

void
bench_progress_format(struct bench_progress *p, int64_t now_ns, uint64_t answers,
    uint64_t errors, char *out, size_t size)
{
	const struct bench_plan *plan = p->plan;
	double elapsed = (double)(now_ns - p->since_ns) / 1e9;
	double rate = rate_now(p, now_ns, answers);
	char of_time[32] = "", of_answers[32] = "";

	if (plan->duration_s)
		snprintf(of_time, sizeof(of_time), "of %" PRId64 " ",
		    plan->warmup_s + plan->duration_s);
	if (plan->requests)
		snprintf(
		    of_answers, sizeof(of_answers), "of %" PRId64 " ", plan->requests);
	if (answers == 0 && elapsed < (double)plan->warmup_s)
		snprintf(out, size, "%6.1f %ss  warming up", elapsed, of_time);
	else
		snprintf(out, size,
		    "%6.1f %ss %9.0f/s  %" PRIu64 " errors  %" PRIu64 " %sanswers",
		    elapsed, of_time, rate, errors, answers, of_answers);
}

/* One less than the terminal has: the last is for the cursor. */
static int
columns(void)
{
	struct winsize size;
	int n = COLUMNS_UNKNOWN;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		n = size.ws_col;
	return n > LINE_MAX_COLUMNS ? LINE_MAX_COLUMNS : n - 1;
}

void
bench_progress_show(
    struct bench_progress *p, int64_t now_ns, uint64_t answers, uint64_t errors)
{
	char line[LINE_MAX_COLUMNS + 1];
	int n = columns();

	bench_progress_format(p, now_ns, answers, errors, line, sizeof(line));
	fprintf(stderr, "\r%-*.*s", n, n, line);
	fflush(stderr);
}

void
bench_progress_end(void)
{
	fprintf(stderr, "\r%*s\r", columns(), "");
}
