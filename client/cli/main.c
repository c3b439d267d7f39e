/* SPDX-License-Identifier: ISC */
/* ration: the command-line client of a ration daemon. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/std_fds.h"
#include "policy/suggest.h"
#include "ration/ration.h"

#define COMMAND_NAME_MAX 32

static int run_version(const struct cli_command *command, int argc, char **argv);
static int run_help(const struct cli_command *command, int argc, char **argv);

static const struct cli_command version_command = {
	.name = "version",
	.usage = "",
	.summary = "Shows the version.",
	.notes = "",
	.run = run_version,
};

static const struct cli_command help_command = {
	.name = "help",
	.usage = "[COMMAND]",
	.summary = "Shows what a command does.",
	.notes = "",
	.run = run_help,
};

static const struct cli_command *const commands[] = {
	&cli_check,
	&cli_explain,
	&cli_counters,
	&cli_commit,
	&cli_rollback,
	&cli_renew,
	&cli_reset,
	&cli_bench,
	&cli_top,
	&cli_lint,
	&version_command,
	&help_command,
};

static void
show_commands(FILE *out)
{
	fprintf(out, "usage: ration COMMAND [options]\n\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out, "\n'ration COMMAND --help' has the options of one.\n");
}

/* The command that was most likely meant, or NULL. */
static const char *
guess(const char *name)
{
	const char *best = NULL;
	int least = SUGGEST_FAR;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		int d = suggest_distance(slice_str(name), commands[i]->name);

		if (d < least) {
			least = d;
			best = commands[i]->name;
		}
	}
	return best;
}

/* The command of that name; NULL, after saying so, when there is none. */
static const struct cli_command *
find_command(const char *name)
{
	const char *near;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	near = guess(name);
	if (near)
		cli_error(
		    "%s: there is no such command; did you mean '%s'?", name, near);
	else
		cli_error("%s: there is no such command", name);
	fprintf(stderr, "Try 'ration help'.\n");
	return NULL;
}

static int
run_version(const struct cli_command *command, int argc, char **argv)
{
	int first;
	int rc = cli_options(command, argc, argv, NULL, &first);

	if (rc != CLI_GO_ON)
		return rc;
	if (first != argc)
		return cli_usage(command, "version: takes no operand");
	printf("ration %s\n", ration_version());
	return CLI_OK;
}

static int
run_help(const struct cli_command *command, int argc, char **argv)
{
	const struct cli_command *about;
	int first;
	int rc = cli_options(command, argc, argv, NULL, &first);

	if (rc != CLI_GO_ON)
		return rc;
	if (first == argc) {
		show_commands(stdout);
		return CLI_OK;
	}
	about = find_command(argv[first]);
	if (!about)
		return CLI_USAGE;
	cli_help(about);
	return CLI_OK;
}

/* Runs a command with its full name as argv[0], which is what --help shows. */
static int
run_command(const struct cli_command *command, int argc, char **argv)
{
	char name[COMMAND_NAME_MAX];

	snprintf(name, sizeof(name), "ration %s", command->name);
	argv[0] = name;
	return command->run(command, argc, argv);
}

/* "--version", "--help" and "-h" before any command are the commands of that name. */
static const char *
command_name(const char *word)
{
	if (strcmp(word, "--version") == 0 || strcmp(word, "--help") == 0)
		return word + 2;
	return strcmp(word, "-h") == 0 ? "help" : word;
}

/* Help and version that could not be printed; what else is printed says so itself. */
static int
end_output(int status)
{
	if (fflush(stdout) == 0 || status != CLI_OK)
		return status;
	cli_error("cannot write the result: %s", strerror(errno));
	return CLI_USAGE;
}

int
main(int argc, char **argv)
{
	const struct cli_command *command;
	int status;

	std_fds_fill();
	if (hash_start() != 0) {
		cli_error("no randomness");
		return CLI_USAGE;
	}
	if (argc < 2) {
		show_commands(stderr);
		return CLI_USAGE;
	}
	command = find_command(command_name(argv[1]));
	status = command ? run_command(command, argc - 1, argv + 1) : CLI_USAGE;
	return end_output(status);
}
