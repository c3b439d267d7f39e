/* SPDX-License-Identifier: ISC */
/* What each RESP command does, as rows of a table. Nobody but front/ includes this. */
#ifndef FRONT_RESP_COMMANDS_H
#define FRONT_RESP_COMMANDS_H

#include "front/front_inner.h"
#include "wire/resp.h"

enum resp_row_flag {
	ROW_OPEN = 1, /* also before AUTH */
	/* It runs even with too few words, and names the missing one itself. */
	ROW_NAMES_LACK = 2,
	/* Where there are tokens, one must have been shown, whichever the listener. */
	ROW_TOKEN = 4
};

struct resp_row {
	const char *name; /* lower case */
	size_t min, max;  /* words, including the command's own */
	unsigned flags;
	void (*run)(struct front_conn *fc, const struct resp_command *cmd);
	const char *group;
	const char *summary; /* "": COMMAND does not show it */
};

/* Ends with a row without a name. */
extern const struct resp_row resp_rows[];

/* resp_command_info.c: COMMAND, made from resp_rows. */
void resp_run_command(struct front_conn *fc, const struct resp_command *cmd);
/* resp_client.c: what client libraries send when they connect. */
void resp_run_client(struct front_conn *fc, const struct resp_command *cmd);
void resp_run_hello(struct front_conn *fc, const struct resp_command *cmd);
void resp_run_auth(struct front_conn *fc, const struct resp_command *cmd);

/* resp_throttle.c: CL.THROTTLE, and the answer to it. */
void resp_run_throttle(struct front_conn *fc, const struct resp_command *cmd);
void resp_format_throttle(
    struct front_conn *fc, const struct exchange *ex, struct buf *out);
/* resp_settle.c: the ends of reservations, and resets. */
void resp_run_commit(struct front_conn *fc, const struct resp_command *cmd);
void resp_run_rollback(struct front_conn *fc, const struct resp_command *cmd);
void resp_run_renew(struct front_conn *fc, const struct resp_command *cmd);
void resp_run_reset(struct front_conn *fc, const struct resp_command *cmd);
void resp_format_settlement(
    struct front_conn *fc, const struct exchange *ex, struct buf *out);
void resp_format_resetting(
    struct front_conn *fc, const struct exchange *ex, struct buf *out);

/* The row of that name, upper or lower case; or NULL. */
const struct resp_row *resp_find(const struct resp_row *rows, struct slice name);
/* Runs the row that cmd->args[at] names, or answers what is wrong with it. `parent` is
 * the command that it is a subcommand of, or "". */
void resp_dispatch(struct front_conn *fc, const struct resp_row *rows,
    const struct resp_command *cmd, size_t at, const char *parent);

/* Answer the request at hand. */
void resp_error(struct front_conn *fc, const char *code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void resp_ok(struct front_conn *fc);

/* What a client sent, made fit for a message: cut, and without unprintable bytes.
 * Returns out. */
#define RESP_SHOWN_MAX 129
const char *resp_shown(struct slice text, char out[RESP_SHOWN_MAX]);

#endif
