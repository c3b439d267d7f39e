/* SPDX-License-Identifier: ISC */
/* ration lint: reads policies as rationd does, and shows every fault. */
#include "cli.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "policy/policy.h"
#include "writer.h"

struct lint {
	bool json;
	struct writer writer;
	struct lint_total total;
};

static int
set_json(void *into, const char *value)
{
	(void)value;
	((struct lint *)into)->json = true;
	return 0;
}

static const struct cli_option options[] = {
	{ "json", NULL, "print one JSON object instead of text", set_json, false },
};

/* The file's name without folder and ".json", as rationd names its policies. */
static char *
policy_name_of(const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;
	size_t len = strlen(base);

	if (len > 5 && strcmp(base + len - 5, ".json") == 0)
		len -= 5;
	return strndup(base, len);
}

/* Reads to the end, or to one byte more than a policy may have: then the parser says that
 * it is too long. 0, or an errno. */
static int
read_stream(FILE *in, struct buf *text)
{
	size_t n = 1;

	while (n > 0 && text->len <= POLICY_BYTES_MAX) {
		char *at = buf_reserve(text, 65536);

		if (!at)
			return ENOMEM;
		errno = 0;
		n = fread(at, 1, 65536, in);
		buf_commit(text, n);
	}
	return ferror(in) ? errno : 0;
}

static int
read_file(const char *file, struct buf *text)
{
	FILE *in;
	int error;

	if (strcmp(file, "-") == 0)
		return read_stream(stdin, text);
	in = fopen(file, "re");
	if (!in)
		return errno;
	error = read_stream(in, text);
	fclose(in);
	return error;
}

static void
judge(struct lint *lint, const char *file, const char *name, const struct buf *text)
{
	struct errlist errors;
	struct policy *policy = policy_parse(
	    name, file, text->data ? text->data : "", text->len, NULL, &errors);
	struct lint_result result = { .file = file, .errors = &errors };

	if (policy) {
		result.tools = policy_tool_count(policy);
		result.limits = policy_limit_count(policy);
	}
	lint->total.errors += errors.n + errors.more;
	lint->writer.ops->lint_file(&lint->writer, &result);
	policy_free(policy);
	errlist_fini(&errors);
}

static void
lint_file(struct lint *lint, const char *file)
{
	const char *shown = strcmp(file, "-") == 0 ? "<stdin>" : file;
	char *name = policy_name_of(file);
	struct buf text = { 0 };
	int error = name ? read_file(file, &text) : ENOMEM;

	if (error == 0) {
		judge(lint, shown, name, &text);
		lint->total.files++;
	} else {
		const struct lint_result result = { .file = shown,
			.failure = strerror(error) };

		lint->writer.ops->lint_file(&lint->writer, &result);
		lint->total.unreadable++;
	}
	buf_fini(&text);
	free(name);
}

static int
run(const struct cli_command *command, int argc, char **argv)
{
	struct lint lint = { 0 };
	int first = 0;
	int rc = cli_options(command, argc, argv, &lint, &first);

	if (rc != CLI_GO_ON)
		return rc;
	if (first == argc)
		return cli_usage(command, "lint: a FILE is needed");
	writer_init(&lint.writer, lint.json);
	lint.writer.ops->lint_begin(&lint.writer);
	for (int i = first; i < argc; i++)
		lint_file(&lint, argv[i]);
	lint.writer.ops->lint_end(&lint.writer, &lint.total);
	if (!writer_end(&lint.writer) || lint.total.unreadable > 0)
		return CLI_USAGE;
	return lint.total.errors > 0 ? CLI_NO : CLI_OK;
}

const struct cli_command cli_lint = {
	.name = "lint",
	.usage = "FILE... [--json]",
	.summary = "Reads policy files as rationd does and lists every mistake.",
	.notes =
	    "\nFILE - is standard input."
	    "\nExit status: 0 all files are good, 1 there are mistakes, 2 usage, or a"
	    " file that\ncannot be read.\n",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
