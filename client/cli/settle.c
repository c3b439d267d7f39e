/* SPDX-License-Identifier: ISC */
/* ration commit, rollback, renew: how a reservation ends. ration reset: counters begin
 * again at nothing. */
#include <inttypes.h>
#include <stdio.h>

#include "daemon.h"
#include "writer.h"

/* The command line, read. Borrows argv. */
struct act {
	struct daemon daemon; /* first: its options go into it */
	const char *operand;  /* the reservation, or the scope */
	struct ration_settle how;
	struct ration_counters what;
};

static int
set_grant(void *into, const char *value)
{
	((struct act *)into)->how.grant = value;
	return 0;
}

static int
set_cost(void *into, const char *value)
{
	struct act *act = into;

	act->how.has_cost = true;
	return cli_set_number(
	    act->daemon.command, "cost", value, 0, RATION_COST_MAX, &act->how.cost);
}

static int
set_ttl(void *into, const char *value)
{
	struct act *act = into;

	return cli_set_number(
	    act->daemon.command, "ttl", value, 1, RATION_TTL_MAX_S, &act->how.ttl_s);
}

static int
set_policy(void *into, const char *value)
{
	((struct act *)into)->what.policy = value;
	return 0;
}

static int
set_counter(void *into, const char *value)
{
	((struct act *)into)->what.counter = value;
	return 0;
}

static int
set_window(void *into, const char *value)
{
	((struct act *)into)->what.window = value;
	return 0;
}

#define GRANT_OPTION                                                          \
	{                                                                     \
		"grant", "G", "refuse if the reservation is another grant's", \
		    set_grant, false                                          \
	}

static const struct cli_option commit_options[] = {
	GRANT_OPTION,
	{ "cost", "N", "what was really used; default: as charged", set_cost, false },
	DAEMON_OPTIONS,
};

static const struct cli_option rollback_options[] = {
	GRANT_OPTION,
	DAEMON_OPTIONS,
};

static const struct cli_option renew_options[] = {
	GRANT_OPTION,
	{ "ttl", "S", "seconds from now; default: 600", set_ttl, false },
	DAEMON_OPTIONS,
};

static const struct cli_option reset_options[] = {
	{ "policy", "P", "whose counters (required)", set_policy, false },
	{ "counter", "C", "only this counter; needs --window", set_counter, false },
	{ "window", "W", "that counter's window: minute, 30d, 60, slots ...",
	    set_window, false },
	DAEMON_OPTIONS,
};

/* One row a command: how to ask, and what to say. */
struct settling {
	const struct cli_command *command;
	int (*ask)(struct ration *r, const char *reservation,
	    const struct ration_settle *how, bool *done);
	const char *done;
};

static const struct settling settlings[] = {
	{ &cli_commit, ration_commit, "committed" },
	{ &cli_rollback, ration_rollback, "rolled back" },
	{ &cli_renew, ration_renew, "renewed" },
};

static const struct settling *
settling_of(const struct act *act)
{
	const struct settling *s = settlings;

	while (s->command != act->daemon.command)
		s++;
	return s;
}

static int
show(struct writer *w)
{
	return writer_end(w) ? CLI_OK : CLI_NO_ANSWER;
}

static int
show_settled(const struct act *act, bool done)
{
	struct writer w;

	writer_init(&w, act->daemon.json);
	if (act->daemon.json) {
		json_text_open(&w.json, NULL, '{');
		json_text_bool(&w.json, "done", done);
		json_text_close(&w.json, '}');
	} else {
		buf_add_str(&w.out,
		    done ? settling_of(act)->done
			 : "was settled before; nothing changed");
	}
	buf_add_char(&w.out, '\n');
	return show(&w);
}

static int
ask_settle(void *arg, struct ration *r, int64_t left_ms, int *status)
{
	struct act *act = arg;
	bool done;
	int rc;

	act->how.timeout_ms = left_ms;
	rc = settling_of(act)->ask(r, act->operand, &act->how, &done);
	if (rc == 0)
		*status = show_settled(act, done);
	return rc;
}

static int
show_reset(const struct act *act, int64_t counters)
{
	struct writer w;

	writer_init(&w, act->daemon.json);
	if (act->daemon.json) {
		json_text_open(&w.json, NULL, '{');
		json_text_int(&w.json, "reset", counters);
		json_text_close(&w.json, '}');
	} else {
		buf_printf(&w.out, "%" PRId64 " counter%s reset", counters,
		    counters == 1 ? "" : "s");
	}
	buf_add_char(&w.out, '\n');
	return show(&w);
}

static int
ask_reset(void *arg, struct ration *r, int64_t left_ms, int *status)
{
	struct act *act = arg;
	int64_t counters;
	int rc;

	act->what.scope = act->operand;
	act->what.timeout_ms = left_ms;
	rc = ration_reset(r, &act->what, &counters);
	if (rc == 0)
		*status = show_reset(act, counters);
	return rc;
}

static int
check_line(const struct act *act, int operands)
{
	const struct cli_command *command = act->daemon.command;

	if (operands != 1)
		return cli_usage(command, "%s: one %s is needed", command->name,
		    command == &cli_reset ? "SCOPE" : "RESERVATION");
	if (command != &cli_reset)
		return CLI_GO_ON;
	if (!act->what.policy)
		return cli_usage(command, "%s: --policy is needed", command->name);
	if (!act->what.counter != !act->what.window)
		return cli_usage(command, "%s: --counter and --window belong together",
		    command->name);
	return CLI_GO_ON;
}

static int
run(const struct cli_command *command, int argc, char **argv)
{
	struct act act = { .daemon.command = command,
		.how = RATION_SETTLE_INIT,
		.what = RATION_COUNTERS_INIT };
	int first = 0;
	int rc = cli_options(command, argc, argv, &act, &first);

	if (rc == CLI_GO_ON)
		rc = check_line(&act, argc - first);
	if (rc != CLI_GO_ON)
		return rc;
	act.operand = argv[first];
	return daemon_ask(
	    &act.daemon, command == &cli_reset ? ask_reset : ask_settle, &act);
}

#define SETTLE_NOTE                                                                  \
	"\nSafe to repeat.\n"                                                        \
	"Exit status: 0 done, or settled before, 1 there is no such reservation or " \
	"it\n"                                                                       \
	"has expired, 2 usage, 3 no answer.\n"

const struct cli_command cli_commit = {
	.name = "commit",
	.usage = "RESERVATION [options]",
	.summary = "Keeps what a reservation charged; --cost corrects it.",
	.notes = SETTLE_NOTE,
	.options = commit_options,
	.n_options = ARRAY_LEN(commit_options),
	.run = run,
};

const struct cli_command cli_rollback = {
	.name = "rollback",
	.usage = "RESERVATION [options]",
	.summary = "Gives back what a reservation charged.",
	.notes = SETTLE_NOTE,
	.options = rollback_options,
	.n_options = ARRAY_LEN(rollback_options),
	.run = run,
};

const struct cli_command cli_renew = {
	.name = "renew",
	.usage = "RESERVATION [options]",
	.summary = "Extends a reservation.",
	.notes = SETTLE_NOTE,
	.options = renew_options,
	.n_options = ARRAY_LEN(renew_options),
	.run = run,
};

const struct cli_command cli_reset = {
	.name = "reset",
	.usage = "SCOPE --policy P [--counter C --window W] [options]",
	.summary = "Sets counters back to zero.",
	.notes =
	    "\nSCOPE says whose: grant=alice-laptop, global, or several names joined by"
	    " '&'.\n"
	    "Without --counter and --window all counters of the scope are reset.\n"
	    "Exit status: 0 done, 2 usage or no such counter, 3 no answer.\n",
	.options = reset_options,
	.n_options = ARRAY_LEN(reset_options),
	.run = run,
};
