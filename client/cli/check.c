/* SPDX-License-Identifier: ISC */
/* ration check, explain and usage: one question to a daemon, one exit status. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/slice.h"
#include "ration/ration.h"
#include "show.h"
#include "writer.h"

#define TOKEN_FILE_MAX 65536 /* bytes */
#define BLANKS " \t\r"

/* The command line, read. Borrows argv; owns args and attribute names. */
struct ask {
	const struct cli_command *command;
	struct ration_request request;
	struct ration_attribute attributes[RATION_ATTRIBUTES_MAX];
	json_t *args; /* NULL without any */
	const char *server;
	const char *token_file;
	bool json;
};

static int
set_grant(void *into, const char *value)
{
	((struct ask *)into)->request.grant = value;
	return 0;
}

static int
set_policy(void *into, const char *value)
{
	((struct ask *)into)->request.policy = value;
	return 0;
}

static int
set_session(void *into, const char *value)
{
	((struct ask *)into)->request.session = value;
	return 0;
}

static int
set_server(void *into, const char *value)
{
	((struct ask *)into)->server = value;
	return 0;
}

static int
set_token_file(void *into, const char *value)
{
	((struct ask *)into)->token_file = value;
	return 0;
}

static int
set_json(void *into, const char *value)
{
	(void)value;
	((struct ask *)into)->json = true;
	return 0;
}

static int
set_number(const struct ask *ask, const char *name, const char *value, int64_t min,
    int64_t max, int64_t *out)
{
	if (num_parse(slice_str(value), out) == 0 && *out >= min && *out <= max)
		return 0;
	return cli_usage(ask->command,
	    "--%s: %s is not a whole number from %" PRId64 " to %" PRId64, name, value,
	    min, max);
}

static int
set_cost(void *into, const char *value)
{
	struct ask *ask = into;

	ask->request.has_cost = true;
	return set_number(ask, "cost", value, 0, RATION_COST_MAX, &ask->request.cost);
}

static int
set_timeout(void *into, const char *value)
{
	struct ask *ask = into;

	return set_number(ask, "timeout-ms", value, 1, RATION_TIMEOUT_MAX_MS,
	    &ask->request.timeout_ms);
}

static int
set_args(void *into, const char *value)
{
	struct ask *ask = into;
	struct errinfo ei;
	json_t *object;
	int rc = 0;

	object = args_parse_object(value, &ei);
	if (!object)
		return cli_usage(ask->command, "%s", ei.text);
	/* --arg before --args: both count, and a key in both is a mistake. */
	for (void *i = json_object_iter(ask->args); i && rc == 0;
	     i = json_object_iter_next(ask->args, i)) {
		const char *key = json_object_iter_key(i);

		if (json_object_get(object, key))
			rc =
			    cli_usage(ask->command, "--arg: %.60s is given twice", key);
	}
	if (rc == 0 && json_object_update(object, ask->args) != 0 && ask->args)
		rc = cli_usage(ask->command, "out of memory");
	if (rc != 0) {
		json_decref(object);
		return rc;
	}
	json_decref(ask->args);
	ask->args = object;
	return 0;
}

static int
set_arg(void *into, const char *value)
{
	struct ask *ask = into;
	struct errinfo ei;

	if (!ask->args && !(ask->args = json_object()))
		return cli_usage(ask->command, "out of memory");
	if (args_add_pair(ask->args, value, &ei) != 0)
		return cli_usage(ask->command, "%s", ei.text);
	return 0;
}

static int
set_attr(void *into, const char *value)
{
	struct ask *ask = into;
	struct ration_attribute *a = &ask->attributes[ask->request.n_attributes];
	const char *equals = strchr(value, '=');

	if (!equals || equals == value)
		return cli_usage(
		    ask->command, "--attr: %.60s is not NAME=VALUE", value);
	if (ask->request.n_attributes == RATION_ATTRIBUTES_MAX)
		return cli_usage(ask->command, "--attr: more than %d attributes",
		    RATION_ATTRIBUTES_MAX);
	a->name = strndup(value, (size_t)(equals - value));
	a->value = equals + 1;
	if (!a->name)
		return cli_usage(ask->command, "out of memory");
	ask->request.n_attributes++;
	return 0;
}

/* Of usage: what stands in both tables is said in the same words. */
static const struct cli_option usage_options[] = {
	{ "grant", "G", "whose counters (required)", set_grant, false },
	{ "policy", "P", "the policy to ask; default: the daemon's", set_policy,
	    false },
	{ "timeout-ms", "N", "wait at most so long; default: 1000", set_timeout,
	    false },
	{ "token-file", "FILE",
	    "the daemon's token, the first line of a file;\n"
	    "                        default: $RATION_TOKEN",
	    set_token_file, false },
	{ "json", NULL, "one JSON object in the place of text", set_json, false },
	{ "server", "ADDR",
	    "host:port, [IPv6]:port or unix:/path; default:\n"
	    "                        $RATION_SERVER, or " RATION_DEFAULT_ADDRESS,
	    set_server, false },
};

static const struct cli_option options[] = {
	{ "grant", "G", "whose quota (required)", set_grant, false },
	{ "policy", "P", "the policy to ask; default: the daemon's", set_policy,
	    false },
	{ "session", "S", "the session the call belongs to", set_session, false },
	{ "cost", "N", "what to charge; default: 1", set_cost, false },
	{ "arg", "KEY=VALUE", "one argument of the call; may repeat", set_arg, true },
	{ "args", "JSON", "arguments of the call as a JSON object", set_args, false },
	{ "attr", "NAME=VALUE", "one attribute of the request; may repeat", set_attr,
	    true },
	{ "timeout-ms", "N", "wait at most so long; default: 1000", set_timeout,
	    false },
	{ "token-file", "FILE",
	    "the daemon's token, the first line of a file;\n"
	    "                        default: $RATION_TOKEN",
	    set_token_file, false },
	{ "json", NULL, "one JSON object in the place of text", set_json, false },
	{ "server", "ADDR",
	    "host:port, [IPv6]:port or unix:/path; default:\n"
	    "                        $RATION_SERVER, or " RATION_DEFAULT_ADDRESS,
	    set_server, false },
	{ .name = "request-id", .value = "ID" },
	{ .name = "id", .value = "ID" },
	{ .name = "mode", .value = "MODE" },
	{ .name = "ttl", .value = "S" },
	{ .name = "peek" },
	{ .name = "reserve" },
};

/* The first line of the text that is neither empty nor a comment, without the white
 * space around it, as rationd reads its file; NULL: there is none. Ends it with a
 * NUL. */
static char *
first_line(char *text)
{
	char *save = NULL;
	char *line = strtok_r(text, "\n", &save);

	for (; line; line = strtok_r(NULL, "\n", &save)) {
		size_t len;

		line += strspn(line, BLANKS);
		len = strlen(line);
		while (len > 0 && strchr(BLANKS, line[len - 1]))
			line[--len] = '\0';
		if (len > 0 && line[0] != '#')
			return line;
	}
	return NULL;
}

/* Reads at most `size` - 1 bytes. False: errno says why. */
static bool
read_small(const char *file, char *out, size_t size)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = fd < 0 ? -1 : 1;
	int error;

	while (n > 0 && len < size - 1) {
		n = read(fd, out + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	error = errno;
	if (fd >= 0)
		close(fd);
	out[len] = '\0';
	errno = error;
	return n >= 0;
}

static int
status_of(int rc)
{
	return rc == RATION_ERR_ARGUMENT || rc == RATION_ERR_REFUSED ? CLI_USAGE
								     : CLI_NO_ANSWER;
}

/* The time left of --timeout-ms after connecting, which it covers too. */
static void
spend(struct ration_request *q, int64_t since_us)
{
	int64_t spent_ms = (clock_mono_us() - since_us) / 1000;

	if (q->timeout_ms > 0)
		q->timeout_ms = q->timeout_ms > spent_ms ? q->timeout_ms - spent_ms : 1;
}

static int
show_answer(const struct ask *ask, const struct ration_answer *answer)
{
	struct writer w;

	writer_init(&w, ask->json);
	w.ops->answer(&w, &ask->request, answer);
	if (!writer_end(&w))
		return CLI_NO_ANSWER;
	return answer->verdict == RATION_ALLOW ? CLI_OK : CLI_NO;
}

/* The daemon's JSON as it is, or told to people. */
static int
show_json(const struct ask *ask, const char *json,
    int (*add_text)(struct buf *out, const json_t *root))
{
	json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	struct writer w;
	int status = CLI_NO_ANSWER;

	writer_init(&w, ask->json);
	if (root)
		status = add_text(&w.out, root);
	if (status == CLI_NO_ANSWER)
		cli_error("the daemon's answer is not understood");
	if (status != CLI_NO_ANSWER && ask->json) {
		buf_clear(&w.out);
		buf_add_str(&w.out, json);
		buf_add_char(&w.out, '\n');
	}
	json_decref(root);
	return writer_end(&w) ? status : CLI_NO_ANSWER;
}

/* What each command asks. 0 and *status to exit with, or an enum ration_error. */
static int
ask_check(const struct ask *ask, struct ration *r, int *status)
{
	struct ration_answer answer = RATION_ANSWER_INIT;
	int rc = ration_check(r, &ask->request, &answer);

	if (rc == 0)
		*status = show_answer(ask, &answer);
	return rc;
}

static int
ask_explain(const struct ask *ask, struct ration *r, int *status)
{
	const char *json;
	int rc = ration_explain(r, &ask->request, &json);

	if (rc == 0)
		*status = show_json(ask, json, show_explanation);
	return rc;
}

static int
ask_usage(const struct ask *ask, struct ration *r, int *status)
{
	const char *json;
	int rc = ration_usage(r, &ask->request, &json);

	if (rc == 0)
		*status = show_json(ask, json, show_usage);
	return rc;
}

static int
ask_command(const struct ask *ask, struct ration *r, int *status)
{
	if (ask->command == &cli_explain)
		return ask_explain(ask, r, status);
	if (ask->command == &cli_counters)
		return ask_usage(ask, r, status);
	return ask_check(ask, r, status);
}

static int
ask_daemon(struct ask *ask, const char *token)
{
	struct ration_options with = RATION_OPTIONS_INIT;
	int64_t since_us = clock_mono_us();
	struct ration *r;
	char why[256];
	int status;
	int rc;

	with.timeout_ms = ask->request.timeout_ms;
	with.token = token;
	rc = ration_connect(&r, ask->server, &with, why, sizeof(why));
	if (rc != 0) {
		cli_error("%s", why);
		return status_of(rc);
	}
	spend(&ask->request, since_us);
	rc = ask_command(ask, r, &status);
	if (rc != 0) {
		cli_error("%s: %s", ration_error_text(rc), ration_detail(r));
		status = status_of(rc);
	}
	ration_close(r);
	return status;
}

/* An empty variable counts as not set. */
static const char *
env_or_null(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

/* With the token of the file, else of the environment. */
static int
ask_with_token(struct ask *ask)
{
	char *text = ask->token_file ? malloc(TOKEN_FILE_MAX) : NULL;
	const char *token = env_or_null("RATION_TOKEN");
	int rc = CLI_USAGE;

	if (ask->token_file && !text)
		cli_error("out of memory");
	else if (text && !read_small(ask->token_file, text, TOKEN_FILE_MAX))
		cli_error("%s: %s", ask->token_file, strerror(errno));
	else if (text && !(token = first_line(text)))
		cli_error("%s: there is no token in it", ask->token_file);
	else
		rc = ask_daemon(ask, token);
	if (text)
		explicit_bzero(text, TOKEN_FILE_MAX);
	free(text);
	return rc;
}

static int
check_operands(struct ask *ask, int argc, char **argv, int first)
{
	const char *name = ask->command->name;
	bool wants_tool = ask->command != &cli_counters;

	if (!wants_tool && argc != first)
		return cli_usage(ask->command, "%s: takes no operand", name);
	if (wants_tool && argc - first != 1)
		return cli_usage(ask->command, "%s: one TOOL is needed", name);
	if (wants_tool)
		ask->request.tool = argv[first];
	if (wants_tool && !ask->request.tool[0])
		return cli_usage(ask->command, "%s: TOOL is empty", name);
	if (!ask->request.grant)
		return cli_usage(ask->command, "%s: --grant is needed", name);
	if (!ask->request.grant[0])
		return cli_usage(ask->command, "%s: --grant is empty", name);
	return CLI_GO_ON;
}

static int
run(const struct cli_command *command, int argc, char **argv)
{
	struct ask ask = {
		.command = command,
		.request = RATION_REQUEST_INIT,
		.server = env_or_null("RATION_SERVER"),
	};
	char *args_json = NULL;
	int first = 0;
	int rc;

	rc = cli_options(command, argc, argv, &ask, &first);
	if (rc == CLI_GO_ON)
		rc = check_operands(&ask, argc, argv, first);
	if (rc == CLI_GO_ON) {
		args_json = ask.args ? json_dumps(ask.args, JSON_COMPACT) : NULL;
		ask.request.args_json = args_json;
		ask.request.attributes = ask.attributes;
		rc = ask.args && !args_json ? CLI_USAGE : ask_with_token(&ask);
	}
	for (size_t i = 0; i < ask.request.n_attributes; i++)
		free((void *)(uintptr_t)ask.attributes[i].name);
	json_decref(ask.args);
	free(args_json);
	return rc;
}

#define ARG_NOTE                                                                      \
	"\nA VALUE of --arg counts as JSON where it is a number, true, false, null, " \
	"an\n"                                                                        \
	"object or an array; everything else is a string, quotes included.\n"

const struct cli_command cli_check = {
	.name = "check",
	.usage = "TOOL --grant G [options]",
	.summary = "Asks a daemon whether a call may go ahead, and if so charges it.",
	.notes =
	    ARG_NOTE "\nExit status: 0 allowed, 1 denied or approval required, 2 usage,"
		     " 3 no answer.\n",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};

const struct cli_command cli_explain = {
	.name = "explain",
	.usage = "TOOL --grant G [options]",
	.summary = "Tells what check would say, and why. Charges nothing.",
	.notes =
	    ARG_NOTE "\nExit status: 0 a check would be allowed, 1 denied or approval"
		     " required, 2 usage,\n3 no answer.\n",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};

const struct cli_command cli_counters = {
	.name = "usage",
	.usage = "--grant G [options]",
	.summary = "Shows how a grant's counters stand. Charges nothing.",
	.notes = "\nExit status: 0 shown, 2 usage, 3 no answer.\n",
	.options = usage_options,
	.n_options = ARRAY_LEN(usage_options),
	.run = run,
};
