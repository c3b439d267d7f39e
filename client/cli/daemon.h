/* SPDX-License-Identifier: ISC */
/* What all commands that ask a daemon share: where it is, its token, how long to wait,
 * how to show the answer. */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"
#include "ration/ration.h"

/* Borrows argv. The first member of what a command's options are read into. */
struct daemon {
	const struct cli_command *command;
	const char *server; /* NULL: $RATION_SERVER, or the default */
	const char *token_file;
	int64_t timeout_ms; /* 0: the library's */
	bool json;
};

int daemon_set_timeout(void *into, const char *value);
int daemon_set_token_file(void *into, const char *value);
int daemon_set_json(void *into, const char *value);
int daemon_set_server(void *into, const char *value);

/* Their rows in a command's table. */
#define DAEMON_OPTIONS                                                             \
	{ "timeout-ms", "N", "milliseconds to wait for the answer; default: 1000", \
		daemon_set_timeout, false },                                       \
	    DAEMON_OPTIONS_TOKEN

/* The same, for a command with a timeout of its own. */
#define DAEMON_OPTIONS_TOKEN                                                          \
	{ "token-file", "FILE",                                                       \
		"the daemon's token, the first line of a file;\n"                     \
		"                        default: $RATION_TOKEN",                     \
		daemon_set_token_file, false },                                       \
	    { "json", NULL, "print one JSON object instead of text", daemon_set_json, \
		    false },                                                          \
	{                                                                             \
		"server", "ADDR",                                                     \
		    "host:port, [IPv6]:port or unix:/path; default:\n"                \
		    "                        $RATION_SERVER, "                        \
		    "or " RATION_DEFAULT_ADDRESS,                                     \
		    daemon_set_server, false                                          \
	}

/* Calls `go` with the token from the file, else from the environment, else NULL, and wipes
 * the token afterwards. Returns what `go` returned, or CLI_USAGE after saying why. */
int daemon_with_token(
    const struct daemon *d, int (*go)(void *arg, const char *token), void *arg);

/*
 * Connects, calls `ask`, and says what went wrong. Returns the status to exit with. `ask`
 * returns 0 and sets *status, or returns an enum ration_error; it has left_ms left of the
 * timeout (0: the library's).
 */
int daemon_ask(const struct daemon *d,
    int (*ask)(void *arg, struct ration *r, int64_t left_ms, int *status), void *arg);

#endif
