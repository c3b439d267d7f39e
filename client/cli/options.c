/* SPDX-License-Identifier: ISC */
#include "cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "policy/suggest.h"
#include "text.h"

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
	printf("usage: ration %s%s%s\n\n%s\n\n", command->name,
	    command->usage[0] ? " " : "", command->usage, command->summary);
	for (size_t i = 0; i < command->n_options; i++) {
		const struct cli_option *o = &command->options[i];
		int n;

		if (!o->set)
			continue;
		n = printf("  --%s%s%s", o->name, o->value ? " " : "",
		    o->value ? o->value : "");

		printf("%*s%s\n", n < HELP_COLUMN ? HELP_COLUMN - n : 2, "", o->help);
	}
	printf("%*s%s\n", -HELP_COLUMN, "  --help, -h", "this text");
	printf("%s", command->notes);
}

static const char *
guess(const struct cli_command *command, struct slice name)
{
	const char *best = NULL;
	int least = SUGGEST_FAR;

	for (size_t i = 0; i < command->n_options; i++) {
		int d = suggest_distance(name, command->options[i].name);

		if (d < least && command->options[i].set) {
			least = d;
			best = command->options[i].name;
		}
	}
	return best;
}

static int
unknown_option(const struct cli_command *command, const char *arg, struct slice name)
{
	const char *near = name.ptr ? guess(command, name) : NULL;

	if (near)
		return cli_usage(
		    command, "%.60s: unknown option; did you mean --%s?", arg, near);
	return cli_usage(command, "%.60s: unknown option", arg);
}

/* Reads the option at argv[*i], and its value. */
static int
read_option(const struct cli_command *command, int argc, char **argv, int *i,
    void *into, uint64_t *seen)
{
	const char *arg = argv[*i];
	size_t len = strcspn(arg + 2, "=");
	struct slice name = slice_make(arg + 2, len);
	bool has_value = arg[2 + len] == '=';
	const struct cli_option *o = command->options;
	size_t row = 0;

	while (row < command->n_options && !slice_eq_str(name, o[row].name))
		row++;
	if (row == command->n_options)
		return unknown_option(command, arg, name);
	o += row;
	if (!o->set)
		return cli_usage(command, "--%s: not supported yet", o->name);
	if (!o->repeat && (*seen & (UINT64_C(1) << row)))
		return cli_usage(command, "--%s: is given twice", o->name);
	*seen |= UINT64_C(1) << row;
	if (!o->value)
		return has_value ? cli_usage(command, "--%s: takes no value", o->name)
				 : o->set(into, "");
	if (has_value)
		return o->set(into, arg + 2 + len + 1);
	if (*i + 1 == argc)
		return cli_usage(command, "--%s: requires a value", o->name);
	return o->set(into, argv[++*i]);
}

int
cli_set_number(const struct cli_command *command, const char *name, const char *value,
    int64_t min, int64_t max, int64_t *out)
{
	if (num_parse(slice_str(value), out) == 0 && *out >= min && *out <= max)
		return 0;
	return cli_usage(command,
	    "--%s: %s is not a whole number from %" PRId64 " to %" PRId64, name, value,
	    min, max);
}

static bool
is_help(const char *arg)
{
	return strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0;
}

int
cli_options(
    const struct cli_command *command, int argc, char **argv, void *into, int *first)
{
	uint64_t seen = 0; /* rows of command->options */
	int n = 0;         /* operands, gathered from argv[1] on */
	int rc = 0;

	for (int i = 1; i < argc && rc == 0; i++) {
		if (strcmp(argv[i], "--") == 0) {
			while (++i < argc)
				argv[1 + n++] = argv[i];
		} else if (is_help(argv[i])) {
			cli_help(command);
			return CLI_OK;
		} else if (strncmp(argv[i], "--", 2) == 0) {
			rc = read_option(command, argc, argv, &i, into, &seen);
		} else if (argv[i][0] == '-' && argv[i][1]) {
			rc = unknown_option(command, argv[i], slice_make(NULL, 0));
		} else {
			argv[1 + n++] = argv[i];
		}
	}
	if (rc != 0)
		return rc;
	*first = argc - n;
	memmove(&argv[*first], &argv[1], (size_t)n * sizeof(*argv));
	return CLI_GO_ON;
}
