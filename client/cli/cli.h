/* SPDX-License-Identifier: ISC */
/*
 * What the commands of `ration` share: exit statuses, one table of commands, one way
 * to read options. To add a command, write its file and add a row in main.c.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Exit statuses, in every command. */
enum cli_exit {
	CLI_OK = 0,       /* allowed; settled, reset; every policy is good; a whole load
			     was answered */
	CLI_NO = 1,       /* denied, or approval required; no such reservation; a policy
			     has faults; a load met errors */
	CLI_USAGE = 2,    /* the command line, or a file that cannot be read */
	CLI_NO_ANSWER = 3 /* no daemon answered */
};

struct cli_option {
	const char *name;  /* without the dashes */
	const char *value; /* what help calls the value; NULL: a plain flag */
	const char *help;
	/* `value` is "" for a flag. 0, or CLI_USAGE after saying why. NULL: the documents
	 * name the option, but it is not built yet. */
	int (*set)(void *into, const char *value);
	bool repeat; /* may be given more than once */
};

struct cli_command {
	const char *name;
	const char *usage;   /* what follows the name: "FILE... [--json]" */
	const char *summary; /* one line */
	const char *notes;   /* the rest of its help, or "" */
	const struct cli_option *options;
	size_t n_options;
	/* argv[0] is the command's full name. NULL: not built yet. */
	int (*run)(const struct cli_command *command, int argc, char **argv);
};

extern const struct cli_command cli_check;
extern const struct cli_command cli_explain;
extern const struct cli_command cli_lint;
extern const struct cli_command cli_counters; /* ration usage */
extern const struct cli_command cli_commit;
extern const struct cli_command cli_rollback;
extern const struct cli_command cli_renew;
extern const struct cli_command cli_reset;
extern const struct cli_command cli_bench;
extern const struct cli_command cli_top;

#define CLI_GO_ON (-1)

/* Reads all options, by their full names, each once unless it may repeat, and moves them
 * before the operands; *first is then the index of the first operand. CLI_GO_ON, or the
 * status to exit with, when --help was answered or an option was wrong (and this was
 * said). */
int cli_options(const struct cli_command *command, int argc, char **argv, void *into,
    int *first) MUST_CHECK;

/* Reads the whole number that --`name` gives. 0, or CLI_USAGE after saying why. */
int cli_set_number(const struct cli_command *command, const char *name,
    const char *value, int64_t min, int64_t max, int64_t *out) MUST_CHECK;

void cli_help(const struct cli_command *command);

/* "ration: TEXT" on stderr, without control characters. */
void cli_error(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* cli_error() plus where to find help; returns CLI_USAGE. */
int cli_usage(const struct cli_command *command, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

#endif
