/* SPDX-License-Identifier: ISC */
/* COMMAND: what redis-cli and client libraries want to know about the commands. */
#include <string.h>

#include "front/resp_commands.h"

static bool
is_shown(const struct resp_row *row)
{
	return row->summary[0] != '\0';
}

static size_t
count_shown(void)
{
	size_t n = 0;

	for (const struct resp_row *row = resp_rows; row->name; row++)
		n += is_shown(row);
	return n;
}

static int64_t
arity(const struct resp_row *row)
{
	return row->min == row->max ? (int64_t)row->min : -(int64_t)row->min;
}

/* name, arity, flags, first key, last key, step, categories, tips, key specifications,
 * subcommands: no command here has keys. */
static void
add_entry(struct buf *out, const struct resp_row *row)
{
	resp_add_array(out, 10);
	resp_add_bulk(out, slice_str(row->name));
	resp_add_int(out, arity(row));
	resp_add_array(out, row->flags & ROW_OPEN ? 2 : 1);
	resp_add_simple(out, "fast");
	if (row->flags & ROW_OPEN)
		resp_add_simple(out, "no_auth");
	for (int i = 0; i < 3; i++)
		resp_add_int(out, 0);
	for (int i = 0; i < 4; i++)
		resp_add_array(out, 0);
}

static void
add_doc(struct buf *out, const struct resp_row *row, int protocol)
{
	resp_add_bulk(out, slice_str(row->name));
	resp_add_map(out, 3, protocol);
	resp_add_bulk(out, slice_str("summary"));
	resp_add_bulk(out, slice_str(row->summary));
	resp_add_bulk(out, slice_str("since"));
	resp_add_bulk(out, slice_str("0.1.0"));
	resp_add_bulk(out, slice_str("group"));
	resp_add_bulk(out, slice_str(row->group));
}

static void
add_all(struct front_conn *fc)
{
	struct buf *out = front_reply(fc);

	if (!out)
		return;
	resp_add_array(out, count_shown());
	for (const struct resp_row *row = resp_rows; row->name; row++)
		if (is_shown(row))
			add_entry(out, row);
}

static void
run_count(struct front_conn *fc, const struct resp_command *cmd)
{
	struct buf *out = front_reply(fc);

	(void)cmd;
	if (out)
		resp_add_int(out, (int64_t)count_shown());
}

static void
run_list(struct front_conn *fc, const struct resp_command *cmd)
{
	struct buf *out = front_reply(fc);

	(void)cmd;
	if (!out)
		return;
	resp_add_array(out, count_shown());
	for (const struct resp_row *row = resp_rows; row->name; row++)
		if (is_shown(row))
			resp_add_bulk(out, slice_str(row->name));
}

static void
run_info_part(struct front_conn *fc, const struct resp_command *cmd)
{
	struct buf *out;

	if (cmd->n == 2) {
		add_all(fc);
		return;
	}
	out = front_reply(fc);
	if (!out)
		return;
	resp_add_array(out, cmd->n - 2);
	for (size_t i = 2; i < cmd->n; i++) {
		const struct resp_row *row = resp_find(resp_rows, cmd->args[i]);

		if (row && is_shown(row))
			add_entry(out, row);
		else
			resp_add_null(out, fc->state.resp.protocol);
	}
}

static void
run_docs(struct front_conn *fc, const struct resp_command *cmd)
{
	int protocol = fc->state.resp.protocol;
	const struct resp_row *named[RESP_ARGS_MAX];
	struct buf *out = front_reply(fc);
	size_t n = 0;

	if (!out)
		return;
	for (const struct resp_row *row = resp_rows; cmd->n == 2 && row->name; row++)
		if (is_shown(row) && n < ARRAY_LEN(named))
			named[n++] = row;
	for (size_t i = 2; i < cmd->n; i++) {
		const struct resp_row *row = resp_find(resp_rows, cmd->args[i]);

		if (row && is_shown(row))
			named[n++] = row;
	}
	resp_add_map(out, n, protocol);
	for (size_t i = 0; i < n; i++)
		add_doc(out, named[i], protocol);
}

static const struct resp_row parts[] = {
	{ "count", 2, 2, 0, run_count, "", "" },
	{ "list", 2, 2, 0, run_list, "", "" },
	{ "info", 2, RESP_ARGS_MAX, 0, run_info_part, "", "" },
	{ "docs", 2, RESP_ARGS_MAX, 0, run_docs, "", "" },
	{ 0 },
};

void
resp_run_command(struct front_conn *fc, const struct resp_command *cmd)
{
	if (cmd->n == 1)
		add_all(fc);
	else
		resp_dispatch(fc, parts, cmd, 1, "command");
}
