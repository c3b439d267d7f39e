/* SPDX-License-Identifier: ISC */
/* ration check, explain and usage: one question to a daemon, one exit status. */
#include "cli.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "daemon.h"
#include "ration/ration.h"
#include "show.h"
#include "writer.h"

/* The parsed command line. Borrows argv; owns args and attribute names. */
struct ask {
	struct daemon daemon; /* first: its options go into it */
	const struct cli_command *command;
	struct ration_request request;
	struct ration_attribute attributes[RATION_ATTRIBUTES_MAX];
	json_t *args; /* NULL: none were given */
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
set_cost(void *into, const char *value)
{
	struct ask *ask = into;

	ask->request.has_cost = true;
	return cli_set_number(
	    ask->command, "cost", value, 0, RATION_COST_MAX, &ask->request.cost);
}

static int
set_request_id(void *into, const char *value)
{
	((struct ask *)into)->request.request_id = value;
	return 0;
}

static int
set_ttl(void *into, const char *value)
{
	struct ask *ask = into;

	return cli_set_number(
	    ask->command, "ttl", value, 1, RATION_TTL_MAX_S, &ask->request.ttl_s);
}

static int
set_mode(struct ask *ask, enum ration_mode mode)
{
	if (ask->request.mode != RATION_ENFORCE)
		return cli_usage(
		    ask->command, "--peek and --reserve exclude each other");
	ask->request.mode = mode;
	return 0;
}

static int
set_peek(void *into, const char *value)
{
	(void)value;
	return set_mode(into, RATION_PEEK);
}

static int
set_reserve(void *into, const char *value)
{
	(void)value;
	return set_mode(into, RATION_RESERVE);
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
	/* There may have been --arg before --args: both count, a key in both is an error. */
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

/* For the table of usage: what is in both tables has the same words. */
static const struct cli_option usage_options[] = {
	{ "grant", "G", "whose counters (required)", set_grant, false },
	{ "policy", "P", "the policy to ask; default: the daemon's", set_policy,
	    false },
	DAEMON_OPTIONS,
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
	{ "request-id", "ID",
	    "the same on every retry of a call, which is then\n"
	    "                        charged once",
	    set_request_id, false },
	{ "reserve", NULL, "hold the charges until ration commit or rollback",
	    set_reserve, false },
	{ "ttl", "S", "with --reserve: for how many seconds; default: 600", set_ttl,
	    false },
	{ "peek", NULL, "only look, charge nothing", set_peek, false },
	DAEMON_OPTIONS,
};

static int
show_answer(const struct ask *ask, const struct ration_answer *answer)
{
	struct writer w;

	writer_init(&w, ask->daemon.json);
	w.ops->answer(&w, &ask->request, answer);
	if (!writer_end(&w))
		return CLI_NO_ANSWER;
	return answer->verdict == RATION_ALLOW ? CLI_OK : CLI_NO;
}

/* Prints the daemon's JSON as it is, or as text for people. */
static int
show_json(const struct ask *ask, const char *json,
    int (*add_text)(struct buf *out, const json_t *root))
{
	json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	struct writer w;
	int status = CLI_NO_ANSWER;

	writer_init(&w, ask->daemon.json);
	if (root)
		status = add_text(&w.out, root);
	if (status == CLI_NO_ANSWER)
		cli_error("the daemon's answer is not understood");
	if (status != CLI_NO_ANSWER && ask->daemon.json) {
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
ask_json(const struct ask *ask, struct ration *r, int *status)
{
	bool counters = ask->command == &cli_counters;
	const char *json;
	int rc = counters ? ration_usage(r, &ask->request, &json)
			  : ration_explain(r, &ask->request, &json);

	if (rc == 0)
		*status =
		    show_json(ask, json, counters ? show_usage : show_explanation);
	return rc;
}

static int
ask_command(void *arg, struct ration *r, int64_t left_ms, int *status)
{
	struct ask *ask = arg;

	ask->request.timeout_ms = left_ms;
	return ask->command == &cli_check ? ask_check(ask, r, status)
					  : ask_json(ask, r, status);
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
	if (ask->request.ttl_s > 0 && ask->request.mode != RATION_RESERVE)
		return cli_usage(ask->command, "%s: --ttl needs --reserve", name);
	return CLI_GO_ON;
}

static int
run(const struct cli_command *command, int argc, char **argv)
{
	struct ask ask = {
		.daemon.command = command,
		.command = command,
		.request = RATION_REQUEST_INIT,
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
		rc = ask.args && !args_json
		    ? CLI_USAGE
		    : daemon_ask(&ask.daemon, ask_command, &ask);
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
	"object or an array; anything else is a string, quotes included.\n"

const struct cli_command cli_check = {
	.name = "check",
	.usage = "TOOL --grant G [options]",
	.summary = "Asks a daemon whether a call may go ahead, and if so charges it.",
	.notes =
	    ARG_NOTE "\nWith --reserve, an answer that allows has a second line,"
		     " \"reservation ID\", for\n"
		     "ration commit, rollback and renew.\n"
		     "\nExit status: 0 allowed, 1 denied or approval required, 2 usage,"
		     " 3 no answer.\n",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};

const struct cli_command cli_explain = {
	.name = "explain",
	.usage = "TOOL --grant G [options]",
	.summary = "Shows what check would answer, and why. Charges nothing.",
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
