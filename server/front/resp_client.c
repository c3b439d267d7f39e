/* SPDX-License-Identifier: ISC */
/* AUTH, HELLO and CLIENT: what client libraries send when they connect. */
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "front/resp_commands.h"

#define CLIENT_NAME_MAX 128

/* Whether the token is valid; answers when it is not. */
static bool
authorize(struct front_conn *fc, struct slice token)
{
	const struct token_set *tokens = fc->front->options.tokens;

	if (!tokens)
		resp_error(fc, "ERR",
		    "AUTH was sent, but this daemon has no tokens: start it with "
		    "--token-file, or leave AUTH out");
	else if (!token_set_has(tokens, token))
		resp_error(fc, "WRONGPASS", "the token is not one of this daemon's");
	else
		return true;
	return false;
}

/* AUTH [user] token: any user name is accepted, for clients that have to send one. */
void
resp_run_auth(struct front_conn *fc, const struct resp_command *cmd)
{
	if (!authorize(fc, cmd->args[cmd->n - 1]))
		return;
	fc->authorized = fc->proven = true;
	resp_ok(fc);
}

static bool
name_valid(struct slice name)
{
	if (name.len > CLIENT_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] < '!' || name.ptr[i] > '~')
			return false;
	return true;
}

/* Sets the connection's name, an empty one meaning none; answers when it cannot be set. */
static bool
set_name(struct front_conn *fc, struct slice name)
{
	char *copy = NULL;

	if (!name_valid(name)) {
		resp_error(fc, "ERR",
		    "a client's name is at most %d printable ASCII characters without "
		    "spaces",
		    CLIENT_NAME_MAX);
		return false;
	}
	if (name.len > 0) {
		copy = strndup(name.ptr, name.len);
		if (!copy) {
			resp_error(fc, "ERR", "out of memory");
			return false;
		}
	}
	free(fc->state.resp.name);
	fc->state.resp.name = copy;
	return true;
}

static void
add_pair(struct buf *out, const char *name, const char *value)
{
	resp_add_bulk(out, slice_str(name));
	resp_add_bulk(out, slice_str(value));
}

static void
add_hello(struct front_conn *fc)
{
	const struct resp_state *resp = &fc->state.resp;
	struct buf *out = front_reply(fc);

	if (!out)
		return;
	resp_add_map(out, 7, resp->protocol);
	add_pair(out, "server", "ration");
	add_pair(out, "version", RATION_VERSION);
	resp_add_bulk(out, slice_str("proto"));
	resp_add_int(out, resp->protocol);
	resp_add_bulk(out, slice_str("id"));
	resp_add_int(out, resp->id);
	add_pair(out, "mode", "standalone");
	add_pair(out, "role", "master");
	resp_add_bulk(out, slice_str("modules"));
	resp_add_array(out, 0);
}

struct hello {
	int64_t protocol;
	struct slice token; /* absent without AUTH */
	struct slice name;
	bool has_name;
};

/* Reads the options of HELLO; answers when something is wrong with them. */
static bool
parse_hello(struct front_conn *fc, const struct resp_command *cmd, struct hello *out)
{
	char shown[RESP_SHOWN_MAX];
	size_t i = 2;

	if (num_parse(cmd->args[1], &out->protocol) < 0 || out->protocol < 2 ||
	    out->protocol > 3) {
		resp_error(fc, "NOPROTO", "the protocol's version must be 2 or 3");
		return false;
	}
	while (i < cmd->n) {
		if (slice_case_eq_str(cmd->args[i], "AUTH") && i + 2 < cmd->n) {
			out->token = cmd->args[i + 2];
			i += 3;
		} else if (slice_case_eq_str(cmd->args[i], "SETNAME") &&
		    i + 1 < cmd->n) {
			out->name = cmd->args[i + 1];
			out->has_name = true;
			i += 2;
		} else {
			resp_error(fc, "ERR", "syntax error in HELLO at '%s'",
			    resp_shown(cmd->args[i], shown));
			return false;
		}
	}
	return true;
}

/* HELLO [version [AUTH user token] [SETNAME name]] */
void
resp_run_hello(struct front_conn *fc, const struct resp_command *cmd)
{
	struct hello hello = { .protocol = fc->state.resp.protocol };

	if (cmd->n > 1 && !parse_hello(fc, cmd, &hello))
		return;
	if (hello.token.ptr && !authorize(fc, hello.token))
		return;
	if (!fc->authorized && !hello.token.ptr) {
		resp_error(fc, "NOAUTH",
		    "Authentication required: send HELLO %d AUTH default TOKEN",
		    (int)hello.protocol);
		return;
	}
	if (hello.has_name && !set_name(fc, hello.name))
		return;
	fc->authorized = true;
	fc->proven |= hello.token.ptr != NULL;
	fc->state.resp.protocol = (int)hello.protocol;
	add_hello(fc);
}

static void
run_id(struct front_conn *fc, const struct resp_command *cmd)
{
	struct buf *out = front_reply(fc);

	(void)cmd;
	if (out)
		resp_add_int(out, fc->state.resp.id);
}

static void
run_setname(struct front_conn *fc, const struct resp_command *cmd)
{
	if (set_name(fc, cmd->args[2]))
		resp_ok(fc);
}

static void
run_getname(struct front_conn *fc, const struct resp_command *cmd)
{
	const char *name = fc->state.resp.name;
	struct buf *out = front_reply(fc);

	(void)cmd;
	if (!out)
		return;
	if (name)
		resp_add_bulk(out, slice_str(name));
	else
		resp_add_null(out, fc->state.resp.protocol);
}

/* CLIENT SETINFO: libraries tell their name and version; nothing here depends on them. */
static void
run_setinfo(struct front_conn *fc, const struct resp_command *cmd)
{
	char shown[RESP_SHOWN_MAX];

	if (!slice_case_eq_str(cmd->args[2], "LIB-NAME") &&
	    !slice_case_eq_str(cmd->args[2], "LIB-VER"))
		resp_error(fc, "ERR", "unknown option '%s' of 'client|setinfo'",
		    resp_shown(cmd->args[2], shown));
	else
		resp_ok(fc);
}

/* NO-EVICT and NO-TOUCH: no client and no key is ever evicted here. */
static void
run_switch(struct front_conn *fc, const struct resp_command *cmd)
{
	if (!slice_case_eq_str(cmd->args[2], "ON") &&
	    !slice_case_eq_str(cmd->args[2], "OFF"))
		resp_error(fc, "ERR", "syntax error: ON or OFF is expected");
	else
		resp_ok(fc);
}

/* The fields that clients of Redis read as numbers. For what does not exist here they are
 * what Redis shows for a client that does not use it. */
static void
add_line(struct buf *out, const struct front_conn *fc)
{
	const struct resp_state *resp = &fc->state.resp;
	int64_t now_us = loop_now_us(fc->front->loop);

	buf_printf(out,
	    "id=%lld addr=%s name=%s age=%lld idle=%lld flags=N db=0 sub=0 psub=0 "
	    "ssub=0 multi=-1 watch=0 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 obl=%zu "
	    "oll=0 omem=0 tot-mem=%zu events=r cmd=%s user=default redir=-1 resp=%d\n",
	    (long long)resp->id, conn_peer(fc->conn), resp->name ? resp->name : "",
	    (long long)((now_us - resp->opened_us) / 1000000),
	    (long long)((now_us - resp->last_us) / 1000000), conn_out_pending(fc->conn),
	    conn_out_pending(fc->conn), "NULL", resp->protocol);
}

static void
answer_text(struct front_conn *fc, struct buf *text)
{
	struct buf *out = front_reply(fc);

	if (out) {
		resp_add_bulk(out, buf_slice(text));
		out->failed |= text->failed;
	}
	buf_fini(text);
}

/* Also for LIST: a client need not know about the others, of which there may be many. */
static void
run_client_info(struct front_conn *fc, const struct resp_command *cmd)
{
	struct buf text = { 0 };

	(void)cmd;
	add_line(&text, fc);
	answer_text(fc, &text);
}

void
resp_run_client(struct front_conn *fc, const struct resp_command *cmd)
{
	static const struct resp_row parts[] = {
		{ "id", 2, 2, 0, run_id, "", "" },
		{ "setname", 3, 3, 0, run_setname, "", "" },
		{ "getname", 2, 2, 0, run_getname, "", "" },
		{ "setinfo", 4, 4, 0, run_setinfo, "", "" },
		{ "info", 2, 2, 0, run_client_info, "", "" },
		{ "list", 2, 2, 0, run_client_info, "", "" },
		{ "no-evict", 3, 3, 0, run_switch, "", "" },
		{ "no-touch", 3, 3, 0, run_switch, "", "" },
		{ 0 },
	};

	resp_dispatch(fc, parts, cmd, 1, "client");
}
