/* SPDX-License-Identifier: ISC */
#include "ops/decision_log.h"

#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/utf8.h"

/* A turn with more lines hands them over before it ends. */
#define GATHER_MAX 262144
#define HASH_SHOWN 12

struct decision_log {
	struct log_writer *writer;
	struct metric_cells *cells;
	struct buf lines;
	int64_t n_lines; /* lines in it */
	int64_t second;  /* the second whose text is kept */
	char second_text[LOG_TIME_MAX];
	bool behind;         /* lines are being dropped */
	bool told;           /* that was logged */
	int64_t dropped_now; /* how many, since it fell behind */
};

/* --- a line ------------------------------------------------------------------------ */

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void
decision_log_keep(void *arg, const struct check_request *request, struct buf *kept)
{
	/* jansson's iterators lack a const, but change nothing. */
	json_t *args = (json_t *)(uintptr_t)request->call.args;
	const char *names[DECISION_LOG_NAMES_MAX];
	size_t total = args ? json_object_size(args) : 0;
	struct json_text j;
	size_t n = 0;

	(void)arg;
	for (void *at = total ? json_object_iter(args) : NULL;
	     at && n < ARRAY_LEN(names); at = json_object_iter_next(args, at))
		names[n++] = json_object_iter_key(at);
	qsort(names, n, sizeof(names[0]), compare_names);
	json_text_init(&j, kept);
	json_text_open(&j, NULL, '[');
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]);

		if (len > DECISION_LOG_NAME_BYTES)
			len = utf8_cut(names[i], DECISION_LOG_NAME_BYTES);
		json_text_string(&j, NULL, slice_make(names[i], len));
	}
	json_text_close(&j, ']');
	if (total > n)
		buf_printf(kept, ",\"more_args\":%zu", total - n);
}

/* As log_time(), but formats each second only once. */
static struct slice
time_text(struct decision_log *log)
{
	int64_t now_us = clock_real_us();
	int ms = (int)(now_us / 1000 % 1000);
	char *text = log->second_text;
	size_t len;

	if (now_us / 1000000 != log->second)
		log_time(now_us, text);
	log->second = now_us / 1000000;
	len = strlen(text);
	text[len - 4] = (char)('0' + ms / 100);
	text[len - 3] = (char)('0' + ms / 10 % 10);
	text[len - 2] = (char)('0' + ms % 10);
	return slice_make(text, len);
}

static void
add_line(struct decision_log *log, const struct check *check)
{
	static const char *const verdicts[] = {
		[VERDICT_DENY] = "deny",
		[VERDICT_ALLOW] = "allow",
		[VERDICT_APPROVAL] = "require_approval",
	};
	static const char *const modes[] = {
		[MODE_ENFORCE] = "enforce",
		[MODE_PEEK] = "peek",
		[MODE_RESERVE] = "reserve",
	};
	const struct decision *d = check_decision(check);
	const struct policy *policy = check_policy(check);
	struct slice args = check_kept(check);
	struct json_text j;

	json_text_init(&j, &log->lines);
	json_text_open(&j, NULL, '{');
	json_text_string(&j, "time", time_text(log));
	json_text_string(&j, "policy", d->policy);
	json_text_string(&j, "hash",
	    policy ? slice_make(policy_hash(policy), HASH_SHOWN) : slice_str(""));
	json_text_string(&j, "grant", d->grant);
	json_text_string(&j, "tool", d->tool);
	json_text_string(&j, "verdict", slice_str(verdicts[d->verdict]));
	json_text_string(&j, "rule", d->rule);
	json_text_int(&j, "latency_us", clock_mono_us() - check_started_us(check));
	buf_add_str(&log->lines, ",\"args\":");
	buf_add_slice(&log->lines, args.len > 0 ? args : slice_str("[]"));
	json_text_bool(&j, "degraded", d->degraded);
	if (d->degraded)
		json_text_string(
		    &j, "fault", slice_str(store_fault_table[d->fault].name));
	else
		json_text_null(&j, "fault");
	json_text_bool(&j, "replayed", d->replayed);
	json_text_string(&j, "mode", slice_str(modes[check_mode(check)]));
	json_text_close(&j, '}');
	buf_add_char(&log->lines, '\n');
}

void
decision_log_observe(void *arg, const struct check *check)
{
	struct decision_log *log = arg;
	size_t before = log->lines.len;

	add_line(log, check);
	metric_add(log->cells, METRIC_DECISION_LINES, 1);
	if (log->lines.failed) {
		/* Out of memory: leave this line out. */
		log->lines.len = before;
		log->lines.failed = false;
		metric_add(log->cells, METRIC_DECISION_LINES_LOST, 1);
		return;
	}
	log->n_lines++;
	if (log->lines.len > GATHER_MAX)
		decision_log_flush(log);
}

/* --- handing over ------------------------------------------------------------------ */

/* Logs once that lines are being dropped, and once that they no longer are. Never waits:
 * the process's log may be stuck as well. */
static void
tell_behind(struct decision_log *log)
{
	struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (log->behind == log->told || poll(&room, 1, 0) != 1 ||
	    !(room.revents & POLLOUT))
		return;
	log->told = log->behind;
	if (log->behind) {
		log_warn("ops",
		    "decisions come faster than they can be written; some are lost, "
		    "and counted");
		return;
	}
	log_info("ops", "decisions are written again; %lld were lost",
	    (long long)log->dropped_now);
	log->dropped_now = 0;
}

void
decision_log_flush(struct decision_log *log)
{
	int64_t lost = log_writer_take_lost(log->writer);
	int64_t n = log->n_lines;

	log->n_lines = 0;
	if (n > 0) {
		log->behind = !log_writer_put(log->writer, &log->lines);
		log->dropped_now += log->behind ? n : 0;
		lost += log->behind ? n : 0;
	}
	if (lost > 0)
		metric_add(log->cells, METRIC_DECISION_LINES_LOST, lost);
	if (log->behind != log->told)
		tell_behind(log);
}

struct decision_log *
decision_log_new(struct log_writer *writer, struct metric_cells *cells)
{
	struct decision_log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->writer = writer;
	log->cells = cells;
	log->second = -1;
	return log;
}

void
decision_log_free(struct decision_log *log)
{
	if (!log)
		return;
	decision_log_flush(log);
	buf_fini(&log->lines);
	free(log);
}
