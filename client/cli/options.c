/* SPDX-License-Identifier: ISC */
#include "cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "text.h"

#define OPTIONS_MAX 24
#define HELP_COLUMN 24

static void PRINTF_LIKE(1, 0) complain(const char *fmt, va_list ap)
{
	char text[1024];
	struct buf line = { 0 };

	vsnprintf(text, sizeof(text), fmt, ap);
	text_add_clean(&line, slice_str(text));
	fprintf(stderr, "ration: %.*s\n", SLICE_ARG(buf_slice(&line)));
	buf_fini(&line);
}

void
cli_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
}

static int
point_to_help(const struct cli_command *command)
{
	fprintf(stderr, "Try 'ration %s --help'.\n", command->name);
	return CLI_USAGE;
}

int
cli_usage(const struct cli_command *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
	return point_to_help(command);
}

void
cli_help(const struct cli_command *command)
{
	printf("usage: ration %s %s\n\n%s\n\n", command->name, command->usage,
	    command->summary);
	for (size_t i = 0; i < command->n_options; i++) {
		const struct cli_option *o = &command->options[i];
		int n = printf("  --%s%s%s", o->name, o->value ? " " : "",
		    o->value ? o->value : "");

		printf("%*s%s\n", n < HELP_COLUMN ? HELP_COLUMN - n : 2, "", o->help);
	}
	printf("%*s%s\n", -HELP_COLUMN, "  --help", "this text");
	printf("%s", command->notes);
}

/* getopt's table: the index of each row is its value; the last one is --help. */
static size_t
long_options(const struct cli_command *command, struct option *out)
{
	size_t n = 0;

	for (; n < command->n_options && n < OPTIONS_MAX; n++) {
		out[n].name = command->options[n].name;
		out[n].has_arg =
		    command->options[n].value ? required_argument : no_argument;
		out[n].val = (int)n;
	}
	out[n].name = "help";
	out[n].val = (int)n;
	return n;
}

int
cli_options(
    const struct cli_command *command, int argc, char **argv, void *into, int *first)
{
	struct option table[OPTIONS_MAX + 2] = { { 0 } };
	size_t help = long_options(command, table);
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		int rc;

		if (c == '?')
			return point_to_help(command); /* getopt has said why */
		if ((size_t)c == help) {
			cli_help(command);
			return CLI_OK;
		}
		rc = command->options[c].set(into, optarg ? optarg : "");
		if (rc != 0)
			return rc;
	}
	*first = optind;
	return CLI_GO_ON;
}
