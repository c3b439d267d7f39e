/* SPDX-License-Identifier: ISC */
/* RESP: reads commands, looks them up, answers. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "front/resp_commands.h"
#include "wire/check_resp.h"
#include "wire/explain_json.h"

const char *
resp_shown(struct slice text, char out[RESP_SHOWN_MAX])
{
	size_t n = text.len < RESP_SHOWN_MAX - 1 ? text.len : RESP_SHOWN_MAX - 1;

	for (size_t i = 0; i < n; i++) {
		char c = text.ptr[i];

		out[i] = c >= ' ' && c <= '~' ? c : '?';
	}
	out[n] = '\0';
	return out;
}

void
resp_error(struct front_conn *fc, const char *code, const char *fmt, ...)
{
	struct buf *out = front_reply(fc);
	char text[1024];
	va_list ap;

	if (!out)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	resp_add_error(out, code, slice_str(text));
}

void
resp_ok(struct front_conn *fc)
{
	struct buf *out = front_reply(fc);

	if (out)
		resp_add_simple(out, "OK");
}

static void
run_words(struct front_conn *fc, const struct resp_command *cmd, enum check_kind kind)
{
	struct front *front = fc->front;
	const struct answer_style style = { 0 };
	struct check_resp cr;
	struct errinfo ei;

	/* n_attributes is 0: clearing the kilobyte of attributes would be for nothing. */
	memset(&cr, 0, offsetof(struct check_resp, attributes));
	if (check_resp_parse(cmd, &cr, &ei) < 0) {
		metric_add(front->options.cells, METRIC_CHECKS_INVALID, 1);
		resp_error(fc, "ERR", "%s", ei.text);
		return;
	}
	cr.request.kind = kind;
	if (front_check(fc, &cr.request, style) < 0)
		resp_error(fc, "ERR", "out of memory");
	check_resp_fini(&cr);
}

static void
run_check(struct front_conn *fc, const struct resp_command *cmd)
{
	run_words(fc, cmd, CHECK_ASK);
}

static void
run_explain(struct front_conn *fc, const struct resp_command *cmd)
{
	run_words(fc, cmd, CHECK_EXPLAIN);
}

static void
run_usage(struct front_conn *fc, const struct resp_command *cmd)
{
	const struct answer_style style = { 0 };
	struct check_request request;
	struct errinfo ei;

	if (usage_resp_parse(cmd, &request, &ei) < 0)
		resp_error(fc, "ERR", "%s", ei.text);
	else if (front_check(fc, &request, style) < 0)
		resp_error(fc, "ERR", "out of memory");
}

static void
run_ping(struct front_conn *fc, const struct resp_command *cmd)
{
	struct buf *out = front_reply(fc);

	if (!out)
		return;
	if (cmd->n == 1)
		resp_add_simple(out, "PONG");
	else
		resp_add_bulk(out, cmd->args[1]);
}

static void
run_echo(struct front_conn *fc, const struct resp_command *cmd)
{
	struct buf *out = front_reply(fc);

	if (out)
		resp_add_bulk(out, cmd->args[1]);
}

static void
run_info(struct front_conn *fc, const struct resp_command *cmd)
{
	const struct front_options *o = &fc->front->options;
	struct slice section = cmd->n > 1 ? cmd->args[1] : slice_make(NULL, 0);
	struct buf *out = front_reply(fc);
	struct buf text = { 0 };

	if (!out)
		return;
	fc->spent += FRONT_ENDPOINT_COST;
	if (o->info)
		o->info(o->info_arg, section, &text);
	resp_add_bulk(out, buf_slice(&text));
	out->failed |= text.failed;
	buf_fini(&text);
}

static void
run_select(struct front_conn *fc, const struct resp_command *cmd)
{
	int64_t db;

	if (num_parse(cmd->args[1], &db) < 0)
		resp_error(
		    fc, "ERR", "the number of a database must be a whole number");
	else if (db != 0)
		resp_error(fc, "ERR", "there is only database 0");
	else
		resp_ok(fc);
}

static void
run_quit(struct front_conn *fc, const struct resp_command *cmd)
{
	(void)cmd;
	front_finish(fc);
	resp_ok(fc);
}

static void
run_config_get(struct front_conn *fc, const struct resp_command *cmd)
{
	struct buf *out = front_reply(fc);

	(void)cmd;
	/* None of Redis's parameters exists here; an empty map says so. */
	if (out)
		resp_add_map(out, 0, fc->state.resp.protocol);
}

static void
run_config(struct front_conn *fc, const struct resp_command *cmd)
{
	static const struct resp_row parts[] = {
		{ "get", 3, RESP_ARGS_MAX, 0, run_config_get, "", "" },
		{ 0 },
	};

	resp_dispatch(fc, parts, cmd, 1, "config");
}

/* A client that wants a transaction sends MULTI, the commands and EXEC at once. If the
 * commands were run although MULTI was refused, they would charge, and the client would
 * throw their answers away with the error. So they are not run. */
static void
run_multi(struct front_conn *fc, const struct resp_command *cmd)
{
	(void)cmd;
	fc->state.resp.in_multi = true;
	resp_error(fc, "ERR",
	    "there are no transactions here: pipeline without MULTI, in redis-py "
	    "pipeline(transaction=False)");
}

static void
run_exec(struct front_conn *fc, const struct resp_command *cmd)
{
	char shown[RESP_SHOWN_MAX];

	if (!fc->state.resp.in_multi) {
		resp_error(
		    fc, "ERR", "%s without MULTI", resp_shown(cmd->args[0], shown));
		return;
	}
	fc->state.resp.in_multi = false;
	if (slice_case_eq_str(cmd->args[0], "discard"))
		resp_ok(fc);
	else
		resp_error(fc, "EXECABORT",
		    "MULTI was refused, so nothing was run; see its error");
}

/* Whether the command is inside a refused MULTI; if so, answers it. */
static bool
refused_in_multi(struct front_conn *fc, const struct resp_command *cmd)
{
	static const char *const pass[] = { "multi", "exec", "discard", "quit" };

	if (!fc->state.resp.in_multi)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(pass); i++)
		if (slice_case_eq_str(cmd->args[0], pass[i]))
			return false;
	resp_error(fc, "ERR",
	    "not run: MULTI was refused on this connection; EXEC or DISCARD ends it");
	return true;
}

#define ANY RESP_ARGS_MAX
#define SETTLES (ROW_TOKEN | ROW_NAMES_LACK)

const struct resp_row resp_rows[] = {
	{ "check", 3, ANY, ROW_NAMES_LACK, run_check, "ration",
	    "May this call go ahead? If so, charges it." },
	{ "cl.throttle", 5, 6, ROW_NAMES_LACK, resp_run_throttle, "ration",
	    "Takes from a token bucket, as redis-cell does." },
	{ "commit", 2, ANY, SETTLES, resp_run_commit, "ration",
	    "Lets what a reservation holds stand, at its true cost." },
	{ "rollback", 2, ANY, SETTLES, resp_run_rollback, "ration",
	    "Gives back what a reservation holds." },
	{ "renew", 4, ANY, SETTLES, resp_run_renew, "ration",
	    "Prolongs a reservation." },
	{ "reset", 3, 5, SETTLES, resp_run_reset, "ration",
	    "Lets counters begin again at nothing." },
	{ "explain", 1, ANY, 0, run_explain, "ration",
	    "What would CHECK say, and why? Charges nothing." },
	{ "usage", 1, ANY, 0, run_usage, "ration", "How do a grant's counters stand?" },
	{ "ping", 1, 2, 0, run_ping, "connection", "Answers PONG, or its argument." },
	{ "echo", 2, 2, 0, run_echo, "connection", "Answers its argument." },
	{ "auth", 2, 3, ROW_OPEN, resp_run_auth, "connection",
	    "Opens the door with a token." },
	{ "hello", 1, ANY, ROW_OPEN, resp_run_hello, "connection",
	    "Agrees on the protocol's version." },
	{ "client", 2, ANY, 0, resp_run_client, "connection",
	    "Names this connection, or tells about it." },
	{ "command", 1, ANY, 0, resp_run_command, "server",
	    "Tells which commands there are." },
	{ "config", 2, ANY, 0, run_config, "server",
	    "CONFIG GET answers an empty map: no parameter of Redis's exists here." },
	{ "info", 1, ANY, 0, run_info, "server", "Tells how the daemon is doing." },
	{ "select", 2, 2, 0, run_select, "connection", "Accepts database 0." },
	{ "quit", 1, ANY, ROW_OPEN, run_quit, "connection", "Closes the connection." },
	{ "multi", 1, ANY, 0, run_multi, "transactions", "" },
	{ "exec", 1, ANY, 0, run_exec, "transactions", "" },
	{ "discard", 1, ANY, 0, run_exec, "transactions", "" },
	{ 0 },
};

const struct resp_row *
resp_find(const struct resp_row *rows, struct slice name)
{
	for (const struct resp_row *row = rows; row->name; row++)
		if (slice_case_eq_str(name, row->name))
			return row;
	return NULL;
}

static void
say_unknown(struct front_conn *fc, const struct resp_command *cmd, size_t at,
    const char *parent)
{
	char shown[RESP_SHOWN_MAX];
	char text[512];
	int n;

	if (parent[0]) {
		resp_error(fc, "ERR", "unknown subcommand '%s' of '%s'",
		    resp_shown(cmd->args[at], shown), parent);
		return;
	}
	n = snprintf(text, sizeof(text), "unknown command '%s'",
	    resp_shown(cmd->args[at], shown));
	for (size_t i = at + 1; i < cmd->n && n < 200; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s '%s'",
		    i == at + 1 ? ", with arguments beginning with" : "",
		    resp_shown(cmd->args[i], shown));
	resp_error(fc, "ERR", "%s", text);
}

/* Whether the connection has shown the token that the row asks for. */
static bool
may_run(const struct front_conn *fc, const struct resp_row *row)
{
	unsigned flags = row ? row->flags : 0;

	if (UNLIKELY(flags & ROW_TOKEN))
		return fc->proven || !fc->front->options.tokens;
	return fc->authorized || (flags & ROW_OPEN);
}

void
resp_dispatch(struct front_conn *fc, const struct resp_row *rows,
    const struct resp_command *cmd, size_t at, const char *parent)
{
	const struct resp_row *row = resp_find(rows, cmd->args[at]);
	bool part = parent[0] != '\0';

	if (UNLIKELY(!part && !may_run(fc, row)))
		resp_error(
		    fc, "NOAUTH", "Authentication required: send AUTH with a token");
	else if (UNLIKELY(!row))
		say_unknown(fc, cmd, at, parent);
	else if (UNLIKELY((cmd->n < row->min && !(row->flags & ROW_NAMES_LACK)) ||
		     cmd->n > row->max))
		resp_error(fc, "ERR", "wrong number of arguments for '%s%s%s' command",
		    parent, part ? "|" : "", row->name);
	else
		row->run(fc, cmd);
}

static size_t
resp_in_max(size_t request_max)
{
	/* Not reached: resp_parse() refuses such input first. */
	return request_max + 1;
}

static size_t
request_max(const struct front_conn *fc)
{
	size_t max = fc->front->options.request_max;

	return fc->authorized || max < FRONT_STRANGER_MAX ? max : FRONT_STRANGER_MAX;
}

static void
resp_open(struct front_conn *fc)
{
	fc->state.resp.opened_us = loop_now_us(fc->front->loop);
	fc->state.resp.last_us = fc->state.resp.opened_us;
	fc->state.resp.protocol = 2;
	fc->state.resp.id =
	    atomic_fetch_add_explicit(
		&fc->front->options.quota->last_id, 1, memory_order_relaxed) +
	    1;
}

static void
resp_close(struct front_conn *fc)
{
	free(fc->state.resp.name);
}

static size_t
resp_take(struct front_conn *fc, const char *data, size_t len)
{
	struct front *front = fc->front;
	struct resp_state *resp = &fc->state.resp;
	struct resp_command cmd;
	struct errinfo ei;
	ptrdiff_t n;

	if (len < resp->need)
		return 0;
	n = resp_parse(data, len, request_max(fc), &cmd, &resp->need, &ei);
	if (n == ERR_AGAIN)
		return 0;
	resp->need = 0;
	if (n < 0) {
		metric_add(front->options.cells, METRIC_CLOSED_PROTOCOL, 1);
		front_finish(fc);
		resp_error(fc, "ERR", "%s", ei.text);
		return len;
	}
	if (cmd.n > 0) {
		metric_add(front->options.cells, METRIC_RESP_REQUESTS, 1);
		resp->last_us = loop_now_us(front->loop);
		if (!refused_in_multi(fc, &cmd))
			resp_dispatch(fc, resp_rows, &cmd, 0, "");
	}
	return (size_t)n;
}

/* Appends one bulk string, or an error. */
static void
format_usage(const struct decision *d, const struct usage *usage, struct buf *out)
{
	struct buf json = { 0 };
	char text[FRONT_FAULT_MAX];

	if (!usage->known) {
		resp_add_error(out, "ERR", d->message);
	} else if (usage->fault != FAULT_NONE) {
		resp_add_error(
		    out, "UNAVAILABLE", slice_str(front_fault(usage->fault, "", text)));
	} else {
		usage_json_format(d, usage, &json);
		resp_add_bulk(out, buf_slice(&json));
		out->failed |= json.failed;
		buf_fini(&json);
	}
}

static void
format_explanation(
    const struct decision *d, const struct explanation *ex, struct buf *out)
{
	struct buf json = { 0 };

	explain_json_format(d, ex, &json);
	resp_add_bulk(out, buf_slice(&json));
	out->failed |= json.failed;
	buf_fini(&json);
}

static void
format_conflict(const struct decision *d, struct buf *out)
{
	char text[512];

	snprintf(text, sizeof(text), "ID: %.*s", SLICE_ARG(d->message));
	resp_add_error(out, "ERR", slice_str(text));
}

static void
format_check(struct front_conn *fc, const struct exchange *ex, struct buf *out)
{
	const struct check *check = ex->work.check;
	const struct decision *d = check_decision(check);
	const struct explanation *explanation = check_explanation(check);
	const struct usage *usage = check_usage(check);

	(void)fc;
	if (UNLIKELY(d->cause == CAUSE_CONFLICT))
		format_conflict(d, out);
	else if (UNLIKELY(usage))
		format_usage(d, usage, out);
	else if (UNLIKELY(explanation))
		format_explanation(d, explanation, out);
	else
		check_resp_format(d, out);
}

static void
resp_refuse(struct front *front, struct buf *out)
{
	(void)front;
	resp_add_error(out, "ERR", slice_str("max number of clients reached"));
}

static void
resp_farewell(struct front_conn *fc, enum conn_end end, struct buf *out)
{
	static const char *const words[] = {
		[CONN_END_SLOW] = "Protocol error: the command took too long to arrive",
		[CONN_END_TOOBIG] = "Protocol error: the command is too long",
		[CONN_END_CROWDED] = "too many unfinished commands are kept already",
	};

	(void)fc;
	resp_add_error(out, "ERR", slice_str(words[end]));
}

const struct front_protocol front_resp = {
	.connections = METRIC_RESP_CONNECTIONS,
	.in_max = resp_in_max,
	.open = resp_open,
	.close = resp_close,
	.take = resp_take,
	.format = {
	    [JOB_CHECK] = format_check,
	    [JOB_THROTTLE] = resp_format_throttle,
	    [JOB_SETTLEMENT] = resp_format_settlement,
	    [JOB_RESETTING] = resp_format_resetting,
	},
	.refuse = resp_refuse,
	.farewell = resp_farewell,
};
