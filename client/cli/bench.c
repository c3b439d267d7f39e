/* SPDX-License-Identifier: ISC */
/* ration bench: puts a load on a daemon, and reports how it did. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "bench_crew.h"
#include "bench_plan.h"
#include "bench_report.h"
#include "cli.h"
#include "daemon.h"
#include "writer.h"

#define CONNECTIONS 50
#define GRANTS 10000
#define DURATION_S 10
#define TIMEOUT_MS 5000

/* One word of text, which is kept. */
#define SET_TEXT(member)                                       \
	static int set_##member(void *into, const char *value) \
	{                                                      \
		((struct bench_plan *)into)->member = value;   \
		return 0;                                      \
	}

/* A whole number from `min` to `max`. */
#define SET_NUMBER(member, name, min, max)                                       \
	static int set_##member(void *into, const char *value)                   \
	{                                                                        \
		struct bench_plan *plan = into;                                  \
                                                                                 \
		return cli_set_number(                                           \
		    plan->daemon.command, name, value, min, max, &plan->member); \
	}

SET_TEXT(http)
SET_TEXT(command)
SET_TEXT(tool)
SET_TEXT(policy)
SET_TEXT(grant_prefix)
SET_NUMBER(cost, "cost", 0, NUM_MAX)
SET_NUMBER(grants, "grants", 1, 1000000000)
SET_NUMBER(connections, "connections", 1, 20000)
SET_NUMBER(pipeline, "pipeline", 1, 1024)
SET_NUMBER(threads, "threads", 1, 64)
SET_NUMBER(rate, "rate", 1, 100000000)
SET_NUMBER(duration_s, "duration", 1, 86400)
SET_NUMBER(requests, "requests", 1, NUM_MAX)
SET_NUMBER(warmup_s, "warmup", 0, 3600)
SET_NUMBER(seed, "seed", 0, NUM_MAX)

static int
set_skew(void *into, const char *value)
{
	struct bench_plan *plan = into;

	plan->skew_text = value;
	if (bench_skew_parse(value, &plan->skew, &plan->skew_parameter) == 0)
		return 0;
	return cli_usage(plan->daemon.command,
	    "--skew: %.60s is not uniform, zipf[:0.01 ... 10], hot[:0 ... 1] or turn",
	    value);
}

static const struct cli_option options[] = {
	{ "tool", "T", "the tool to check (required, unless --command is given)",
	    set_tool, false },
	{ "policy", "P", "the policy to ask; default: the daemon's", set_policy,
	    false },
	{ "cost", "N", "what to charge; default: 1, and not sent", set_cost, false },
	{ "grants", "N", "spread the checks over this many grants; default: 10000",
	    set_grants, false },
	{ "grant-prefix", "P", "their names are this and 12 digits; default: g",
	    set_grant_prefix, false },
	{ "skew", "HOW",
	    "which grant is drawn: uniform (default),\n"
	    "                        zipf[:EXPONENT], hot[:SHARE] (one grant gets "
	    "that\n"
	    "                        share, default: 1); or turn: one after the other",
	    set_skew, false },
	{ "connections", "N", "default: 50", set_connections, false },
	{ "pipeline", "N", "requests in flight on each connection; default: 1",
	    set_pipeline, false },
	{ "threads", "N", "default: 1", set_threads, false },
	{ "rate", "N",
	    "requests a second in total, with latency counted from\n"
	    "                        when each was due; default: as fast as possible",
	    set_rate, false },
	{ "duration", "S", "how many seconds; default: 10", set_duration_s, false },
	{ "requests", "N", "stop after this many instead", set_requests, false },
	{ "warmup", "S", "seconds of load first, not measured; default: 0",
	    set_warmup_s, false },
	{ "seed", "N", "repeats the grants of an earlier run; default: random",
	    set_seed, false },
	{ "http", "ADDR", "use this HTTP listener instead of RESP at --server",
	    set_http, false },
	{ "command", "WORDS",
	    "send this instead of a check, for example to a Redis;\n"
	    "                        " REQUEST_GRANT " stands for the grant",
	    set_command, false },
	{ "timeout-ms", "N",
	    "give up a connection that is silent for this long;\n"
	    "                        default: 5000",
	    daemon_set_timeout, false },
	DAEMON_OPTIONS_TOKEN,
};

/* Which options go together. CLI_GO_ON, or CLI_USAGE. */
static int
check_options(struct bench_plan *plan)
{
	const struct cli_command *command = plan->daemon.command;
	const char *texts[] = { plan->tool, plan->policy, plan->grant_prefix,
		plan->http };

	if (!plan->tool && !plan->command)
		return cli_usage(command, "bench: --tool or --command is needed");
	if (plan->command &&
	    (plan->tool || plan->policy || plan->cost >= 0 || plan->http))
		return cli_usage(
		    command, "--command: excludes --tool, --policy, --cost and --http");
	if (plan->http && plan->daemon.server)
		return cli_usage(command, "--http and --server exclude each other");
	if (plan->requests && plan->duration_s)
		return cli_usage(
		    command, "--duration and --requests exclude each other");
	if (plan->threads > plan->connections)
		return cli_usage(command, "--threads: more than --connections");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i] && !texts[i][0] && texts[i] != plan->grant_prefix)
			return cli_usage(command, "bench: an option's value is empty");
	return CLI_GO_ON;
}

static void
set_defaults(struct bench_plan *plan)
{
	const char *variable = getenv("RATION_SERVER");

	if (!plan->requests && !plan->duration_s)
		plan->duration_s = DURATION_S;
	if (plan->daemon.timeout_ms == 0)
		plan->daemon.timeout_ms = TIMEOUT_MS;
	plan->address = plan->http ? plan->http : plan->daemon.server;
	if (!plan->address)
		plan->address =
		    variable && variable[0] ? variable : RATION_DEFAULT_ADDRESS;
}

/* A run without any answer is CLI_NO_ANSWER; one with errors is CLI_NO. */
static int
status_of(const struct bench_result *result)
{
	if (bench_stats_answers(&result->measured) == 0 && !result->interrupted)
		return CLI_NO_ANSWER;
	if (bench_stats_errors(&result->measured) > 0 ||
	    result->trouble.connect_failures > 0 || result->gave_up)
		return CLI_NO;
	return CLI_OK;
}

static int
run_plan(const struct bench_plan *plan)
{
	struct bench_result *result = malloc(sizeof(*result)); /* has histograms */
	struct writer w;
	int rc;

	if (!result) {
		cli_error("out of memory");
		return CLI_USAGE;
	}
	rc = bench_crew_run(plan, isatty(STDERR_FILENO), result);
	if (rc == 0) {
		rc = status_of(result);
		writer_init(&w, plan->daemon.json);
		if (plan->daemon.json)
			bench_report_json(&w.out, plan, result);
		else
			bench_report_text(&w.out, plan, result);
		if (!writer_end(&w))
			rc = CLI_NO_ANSWER;
	}
	free(result);
	return rc;
}

static int
run_with(void *arg, const char *token)
{
	struct bench_plan *plan = arg;
	int rc = bench_plan_make(plan, token);

	if (rc == 0)
		rc = run_plan(plan);
	bench_plan_fini(plan);
	return rc;
}

static int
run(const struct cli_command *command, int argc, char **argv)
{
	struct bench_plan plan = {
		.daemon.command = command,
		.cost = -1,
		.grant_prefix = "g",
		.grants = GRANTS,
		.skew_text = "uniform",
		.connections = CONNECTIONS,
		.pipeline = 1,
		.threads = 1,
		.seed = -1,
	};
	int first = 0;
	int rc = cli_options(command, argc, argv, &plan, &first);

	if (rc == CLI_GO_ON && first != argc)
		rc = cli_usage(command, "bench: takes no operand");
	if (rc == CLI_GO_ON)
		rc = check_options(&plan);
	if (rc != CLI_GO_ON)
		return rc;
	set_defaults(&plan);
	return daemon_with_token(&plan.daemon, run_with, &plan);
}

const struct cli_command cli_bench = {
	.name = "bench",
	.usage = "--tool T | --command WORDS [options]",
	.summary = "Puts a load on a daemon and shows throughput, latency and answers.",
	.notes =
	    "\nEvery check is charged like any other: use a policy and a store meant "
	    "for"
	    " it.\n"
	    "Without --rate each connection sends --pipeline requests at once, and the"
	    " next\nwhen all of them are answered. Ctrl-C ends the run early, with the"
	    " report; a\nsecond one does not wait for outstanding answers.\n"
	    "\nExit status: 0 everything was answered, allowed or not; 1 there were"
	    " errors;\n2 usage; 3 no answer.\n",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
