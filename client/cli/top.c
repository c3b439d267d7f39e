/* SPDX-License-Identifier: ISC */
/* ration top: what a daemon does now, again and again, by its INFO. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "daemon.h"
#include "text.h"
#include "writer.h"

#define INTERVAL_MAX_S 3600
#define CLEAR "\033[H\033[2J" /* of a terminal: home, and nothing on it */

/* What is counted since the daemon began, shown by the second and in all. */
enum figure {
	FIGURE_ALLOW,
	FIGURE_DENY_LIMIT,
	FIGURE_DENY_POLICY,
	FIGURE_DENY_STORE,
	FIGURE_APPROVAL,
	FIGURE_INVALID,
	FIGURE_CALLS,
	FIGURE_TAKES,
	FIGURE_LATE,
	FIGURES
};

/* Names as INFO has them, which are those of --json too. */
static const struct {
	const char *name;
	const char *text;
} figures[] = {
	[FIGURE_ALLOW] = { "checks_allow", "allowed" },
	[FIGURE_DENY_LIMIT] = { "checks_deny_limit", "denied by a limit" },
	[FIGURE_DENY_POLICY] = { "checks_deny_policy", "denied by policy" },
	[FIGURE_DENY_STORE] = { "checks_deny_store", "denied, no store" },
	[FIGURE_APPROVAL] = { "checks_require_approval", "approval required" },
	[FIGURE_INVALID] = { "checks_invalid", "malformed" },
	[FIGURE_CALLS] = { "store_batches", "calls to the store" },
	[FIGURE_TAKES] = { "store_takes", "checks in them" },
	[FIGURE_LATE] = { "store_late", "answered late" },
};

/* What is so at the moment. */
enum state {
	STATE_PROCESS,
	STATE_UPTIME,
	STATE_WORKERS,
	STATE_DRAINING,
	STATE_HTTP,
	STATE_RESP,
	STATE_READY,
	STATE_COUNTERS,
	STATE_POLICIES,
	STATES
};

static const char *const states[] = {
	[STATE_PROCESS] = "process_id",
	[STATE_UPTIME] = "uptime_in_seconds",
	[STATE_WORKERS] = "workers",
	[STATE_DRAINING] = "draining",
	[STATE_HTTP] = "http_connections",
	[STATE_RESP] = "resp_connections",
	[STATE_READY] = "store_ready",
	[STATE_COUNTERS] = "store_counters",
	[STATE_POLICIES] = "policies",
};

/* One look. */
struct look {
	int64_t figures[FIGURES];
	int64_t states[STATES];
	int64_t at_us;
	struct slice version, store, fault; /* of the reply */
};

struct top {
	struct daemon daemon;
	int64_t interval_s;
	int64_t count; /* 0: until it is ended */
	bool terminal;
};

/* --- what INFO says ---------------------------------------------------------------- */

static void
read_line(struct look *look, struct slice name, struct slice value)
{
	const struct {
		const char *name;
		struct slice *to;
	} texts[] = { { "ration_version", &look->version }, { "store", &look->store },
		{ "store_fault", &look->fault } };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (slice_eq_str(name, texts[i].name))
			*texts[i].to = value;
	for (size_t i = 0; i < FIGURES; i++)
		if (slice_eq_str(name, figures[i].name) &&
		    num_parse(value, &look->figures[i]) < 0)
			look->figures[i] = 0;
	for (size_t i = 0; i < STATES; i++)
		if (slice_eq_str(name, states[i]) &&
		    num_parse(value, &look->states[i]) < 0)
			look->states[i] = 0;
}

/* Lines of name:value, and others. False: these are not a daemon's. */
static bool
read_info(const char *info, struct look *look)
{
	*look = (struct look){ .at_us = clock_mono_us() };
	while (*info) {
		size_t len = strcspn(info, "\r\n");
		size_t name = strcspn(info, ":\r\n");

		if (name < len)
			read_line(look, slice_make(info, name),
			    slice_make(info + name + 1, len - name - 1));
		info += len;
		info += strspn(info, "\r\n");
	}
	return look->version.len > 0;
}

/* What was counted between two looks; a daemon that began anew counts from nothing. */
static int64_t
grown(const struct look *now, const struct look *before, enum figure i)
{
	bool same = now->states[STATE_PROCESS] == before->states[STATE_PROCESS] &&
	    now->figures[i] >= before->figures[i];

	return now->figures[i] - (same ? before->figures[i] : 0);
}

static double
seconds_between(const struct look *now, const struct look *before)
{
	double s = (double)(now->at_us - before->at_us) / 1e6;

	return s > 0 ? s : 1e-6;
}

/* --- how it is shown --------------------------------------------------------------- */

static void
add_head(struct buf *out, const struct look *now)
{
	const int64_t *s = now->states;

	buf_add_str(out, "rationd ");
	text_add_clean(out, now->version);
	buf_add_str(out, ", up ");
	text_add_span(out, s[STATE_UPTIME] * 1000);
	buf_printf(out, ", %" PRId64 " worker%s, %" PRId64 " polic%s%s\n",
	    s[STATE_WORKERS], s[STATE_WORKERS] == 1 ? "" : "s", s[STATE_POLICIES],
	    s[STATE_POLICIES] == 1 ? "y" : "ies",
	    s[STATE_DRAINING] ? ", draining" : "");
	buf_printf(out,
	    "clients: %" PRId64 " over HTTP, %" PRId64 " over RESP\nstore: ",
	    s[STATE_HTTP], s[STATE_RESP]);
	text_add_clean(out, now->store);
	if (s[STATE_COUNTERS] > 0)
		buf_printf(out, ", %" PRId64 " counters here", s[STATE_COUNTERS]);
	if (!s[STATE_READY]) {
		buf_add_str(out, "; takes no charges");
		buf_add_str(out, now->fault.len > 0 ? ": " : "");
		text_add_clean(out, now->fault);
	}
	buf_add_str(out, "\n\n");
}

/* `before` is NULL for the first look, which has no rates yet. */
static void
add_text(struct buf *out, const struct look *now, const struct look *before)
{
	add_head(out, now);
	buf_printf(out, "%-20s %12s %16s\n", "", "per second", "total");
	for (size_t i = 0; i < FIGURES; i++) {
		buf_printf(out, "%-20s ", figures[i].text);
		if (before)
			buf_printf(out, "%12.1f",
			    (double)grown(now, before, (enum figure)i) /
				seconds_between(now, before));
		else
			buf_printf(out, "%12s", "-");
		buf_printf(out, " %16" PRId64 "\n", now->figures[i]);
	}
}

static json_t *
json_text(struct slice text)
{
	json_t *value = json_stringn(text.ptr ? text.ptr : "", text.len);

	return value ? value : json_null();
}

/* Steals every part; jansson remembers in `root` where one could not be made. */
static json_t *
make_json(const struct look *now, const struct look *before)
{
	double seconds = seconds_between(now, before);
	json_t *rates = json_object();
	json_t *totals = json_object();
	json_t *root = json_pack("{s:o,s:o,s:o,s:f}", "version",
	    json_text(now->version), "store", json_text(now->store), "store_fault",
	    now->fault.len > 0 ? json_text(now->fault) : json_null(), "seconds",
	    seconds);

	for (size_t i = 0; i < STATES; i++)
		json_object_set_new(root, states[i], json_integer(now->states[i]));
	for (size_t i = 0; i < FIGURES; i++) {
		int64_t more = grown(now, before, (enum figure)i);

		json_object_set_new(
		    rates, figures[i].name, json_real((double)more / seconds));
		json_object_set_new(
		    totals, figures[i].name, json_integer(now->figures[i]));
	}
	json_object_set_new(root, "per_second", rates);
	json_object_set_new(root, "total", totals);
	return root;
}

static void
add_json(struct buf *out, const struct look *now, const struct look *before)
{
	json_t *root = make_json(now, before);
	char *text =
	    root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;

	buf_add_str(out, text ? text : "{}");
	buf_add_char(out, '\n');
	free(text);
	json_decref(root);
}

static bool
show(const struct top *top, const struct look *now, const struct look *before)
{
	struct writer w;

	writer_init(&w, top->daemon.json);
	if (top->daemon.json) {
		add_json(&w.out, now, before);
	} else {
		buf_add_str(&w.out, top->terminal ? CLEAR : "");
		add_text(&w.out, now, before);
		buf_add_char(&w.out, '\n');
	}
	return writer_end(&w);
}

/* --- asking ------------------------------------------------------------------------ */

static void
sleep_until(int64_t until_us)
{
	int64_t left_us;

	while ((left_us = until_us - clock_mono_us()) > 0) {
		struct timespec left = { left_us / 1000000, left_us % 1000000 * 1000 };

		nanosleep(&left, NULL);
	}
}

/* The texts of *look live until the next. 0 and *status, or an enum ration_error. */
static int
take_look(struct ration *r, struct look *look, int *status)
{
	const char *info;
	int rc = ration_info(r, &info);

	*status = CLI_OK;
	if (rc == 0 && !read_info(info, look)) {
		cli_error("this is no ration daemon: its INFO has no ration_version");
		*status = CLI_NO_ANSWER;
	}
	return rc;
}

static int
ask_info(void *arg, struct ration *r, int64_t left_ms, int *status)
{
	const struct top *top = arg;
	struct look before, now;
	int rc = take_look(r, &before, status);

	(void)left_ms; /* every look has the whole timeout */
	/* Nobody should sit before an empty screen for the first interval. */
	if (rc == 0 && *status == CLI_OK && top->terminal && !top->daemon.json &&
	    !show(top, &before, NULL))
		*status = CLI_NO_ANSWER;
	for (int64_t i = 0;
	     rc == 0 && *status == CLI_OK && (top->count == 0 || i < top->count); i++) {
		sleep_until(before.at_us + top->interval_s * 1000000);
		rc = take_look(r, &now, status);
		if (rc == 0 && *status == CLI_OK && !show(top, &now, &before))
			*status = CLI_NO_ANSWER;
		before = now;
	}
	return rc;
}

static int
set_interval(void *into, const char *value)
{
	struct top *top = into;

	return cli_set_number(top->daemon.command, "interval", value, 1, INTERVAL_MAX_S,
	    &top->interval_s);
}

static int
set_count(void *into, const char *value)
{
	struct top *top = into;

	return cli_set_number(
	    top->daemon.command, "count", value, 1, NUM_MAX, &top->count);
}

static const struct cli_option options[] = {
	{ "interval", "S", "seconds between updates; default: 2", set_interval, false },
	{ "count", "N", "stop after this many; default: never", set_count, false },
	DAEMON_OPTIONS,
};

static int
run(const struct cli_command *command, int argc, char **argv)
{
	struct top top = { .daemon.command = command,
		.interval_s = 2,
		.terminal = isatty(STDOUT_FILENO) == 1 };
	int first = 0;
	int rc = cli_options(command, argc, argv, &top, &first);

	if (rc != CLI_GO_ON)
		return rc;
	if (first != argc)
		return cli_usage(command, "%s: takes no operand", command->name);
	return daemon_ask(&top.daemon, ask_info, &top);
}

const struct cli_command cli_top = {
	.name = "top",
	.usage = "[options]",
	.summary = "Watches what a daemon decides, in checks per second.",
	.notes = "\nCtrl-C ends it. With --json every update is one object on its own "
		 "line.\n"
		 "Exit status: 0 shown, 2 usage, 3 no answer.\n",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
