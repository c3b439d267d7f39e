/* SPDX-License-Identifier: ISC */
/* COMMIT, ROLLBACK, RENEW and RESET over RESP. */
#include <string.h>

#include "base/num.h"
#include "wire/settlement.h"
#include "wire/value.h"

static const struct {
	const char *name, *usage, *options;
} commands[] = {
	[SETTLE_COMMIT] = { "COMMIT",
	    "COMMIT reservation [COST n] [GRANT g] [TIMEOUT ms]",
	    "COST, GRANT and TIMEOUT" },
	[SETTLE_ROLLBACK] = { "ROLLBACK", "ROLLBACK reservation [GRANT g] [TIMEOUT ms]",
	    "GRANT and TIMEOUT" },
	[SETTLE_RENEW] = { "RENEW",
	    "RENEW reservation TTL seconds [GRANT g] [TIMEOUT ms]",
	    "TTL, GRANT and TIMEOUT" },
};

static int
read_cost(struct settlement_request *out, const char *name, struct slice value,
    struct errinfo *ei)
{
	return value_parse_whole(name, value, 0, NUM_MAX, &out->cost, ei);
}

static int
read_ttl(struct settlement_request *out, const char *name, struct slice value,
    struct errinfo *ei)
{
	return value_parse_whole(name, value, 1, REQUEST_TTL_MAX_S, &out->ttl_s, ei);
}

static int
read_grant(struct settlement_request *out, const char *name, struct slice value,
    struct errinfo *ei)
{
	out->grant = value;
	return call_validate_name(name, value, ei);
}

static int
read_timeout(struct settlement_request *out, const char *name, struct slice value,
    struct errinfo *ei)
{
	return value_parse_whole(
	    name, value, 1, VALUE_TIMEOUT_MAX_MS, &out->timeout_ms, ei);
}

#define OF(action) (1u << (action))

/* The options; one word follows the name of each. */
static const struct {
	const char *name;
	unsigned commands;
	int (*read)(struct settlement_request *out, const char *name,
	    struct slice value, struct errinfo *ei);
} options[] = {
	{ "COST", OF(SETTLE_COMMIT), read_cost },
	{ "TTL", OF(SETTLE_RENEW), read_ttl },
	{ "GRANT", ~0u, read_grant },
	{ "TIMEOUT", ~0u, read_timeout },
};

static int
read_option(const struct resp_command *cmd, size_t i, struct settlement_request *out,
    unsigned *seen, struct errinfo *ei)
{
	char excerpt[VALUE_EXCERPT_MAX];
	size_t k = 0;

	while (k < ARRAY_LEN(options) &&
	    !((options[k].commands & OF(out->action)) &&
		slice_case_eq_str(cmd->args[i], options[k].name)))
		k++;
	if (k == ARRAY_LEN(options))
		return err_set(ei, ERR_INVALID,
		    "unknown option \"%s\" of %s; it has %s",
		    value_excerpt(cmd->args[i], excerpt), commands[out->action].name,
		    commands[out->action].options);
	if (i + 1 == cmd->n)
		return err_set(ei, ERR_INVALID, "%s needs a value", options[k].name);
	if (*seen & (1u << k))
		return err_set(ei, ERR_INVALID, "%s is given twice", options[k].name);
	*seen |= 1u << k;
	return options[k].read(out, options[k].name, cmd->args[i + 1], ei);
}

int
settlement_resp_parse(const struct resp_command *cmd, enum settle_action action,
    struct settlement_request *out, struct errinfo *ei)
{
	unsigned seen = 0;
	int rc;

	memset(out, 0, sizeof(*out));
	out->action = action;
	out->cost = -1;
	if (cmd->n < 2)
		return err_set(ei, ERR_INVALID, "%s needs a reservation: %s",
		    commands[action].name, commands[action].usage);
	out->reservation = cmd->args[1];
	rc = call_validate_name("reservation", out->reservation, ei);
	for (size_t i = 2; i < cmd->n && rc == 0; i += 2)
		rc = read_option(cmd, i, out, &seen, ei);
	if (rc == 0 && action == SETTLE_RENEW && out->ttl_s == 0)
		rc = err_set(
		    ei, ERR_INVALID, "RENEW needs TTL: %s", commands[action].usage);
	return rc;
}

int
reset_resp_parse(
    const struct resp_command *cmd, struct reset_request *out, struct errinfo *ei)
{
	int rc;

	memset(out, 0, sizeof(*out));
	if (cmd->n != 3 && cmd->n != 5)
		return err_set(ei, ERR_INVALID,
		    "RESET needs a policy, a counter, a window and a scope, or a "
		    "policy and a scope: RESET policy [counter window] scope");
	out->policy = cmd->args[1];
	out->scope = cmd->args[cmd->n - 1];
	rc = call_validate_name("policy", out->policy, ei);
	if (rc == 0 && cmd->n == 5) {
		out->counter = cmd->args[2];
		out->window = cmd->args[3];
		rc = call_validate_name("counter", out->counter, ei);
		if (rc == 0)
			rc = call_validate_name("window", out->window, ei);
	}
	return rc < 0 ? rc
		      : value_validate_text("scope", out->scope, RESET_SCOPE_MAX, ei);
}
