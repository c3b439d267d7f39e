/* SPDX-License-Identifier: ISC */
#include "wire/check_resp.h"

#include <stdbool.h>
#include <string.h>

#include "base/num.h"
#include "wire/value.h"

#define FLAG_DEGRADED 1
#define FLAG_REPLAYED 2

static int
read_policy(struct check_resp *cr, const char *name, const struct slice *value,
    struct errinfo *ei)
{
	cr->request.policy = *value;
	return call_validate_name(name, *value, ei);
}

static int
read_session(struct check_resp *cr, const char *name, const struct slice *value,
    struct errinfo *ei)
{
	cr->request.call.session = *value;
	return call_validate_name(name, *value, ei);
}

static int
read_cost(struct check_resp *cr, const char *name, const struct slice *value,
    struct errinfo *ei)
{
	return value_parse_whole(name, *value, 0, NUM_MAX, &cr->request.call.cost, ei);
}

static int
read_args(struct check_resp *cr, const char *name, const struct slice *value,
    struct errinfo *ei)
{
	cr->args = value_parse_json(name, *value, ei);
	if (!cr->args)
		return ei->code;
	if (!json_is_object(cr->args))
		return value_wrong_type(name, "a JSON object", cr->args, ei);
	cr->request.call.args = cr->args;
	return 0;
}

static int
read_attribute(struct check_resp *cr, const char *name, const struct slice *value,
    struct errinfo *ei)
{
	struct call *call = &cr->request.call;

	if (call->n_attributes == CALL_ATTRIBUTES_MAX)
		return err_set(ei, ERR_TOOBIG, "%s may stand at most %d times", name,
		    CALL_ATTRIBUTES_MAX);
	cr->attributes[call->n_attributes].name = value[0];
	cr->attributes[call->n_attributes].value = value[1];
	call->n_attributes++;
	return 0;
}

static int
read_timeout(struct check_resp *cr, const char *name, const struct slice *value,
    struct errinfo *ei)
{
	return value_parse_whole(
	    name, *value, 1, VALUE_TIMEOUT_MAX_MS, &cr->request.timeout_ms, ei);
}

static int
read_mode(struct check_resp *cr, const char *name, const struct slice *value,
    struct errinfo *ei)
{
	return value_parse_mode(name, *value, true, &cr->request.mode, ei);
}

static int
read_id(struct check_resp *cr, const char *name, const struct slice *value,
    struct errinfo *ei)
{
	cr->request.id = *value;
	return value_validate_text(name, *value, REQUEST_ID_MAX, ei);
}

static int
read_ttl(struct check_resp *cr, const char *name, const struct slice *value,
    struct errinfo *ei)
{
	return value_parse_whole(
	    name, *value, 1, REQUEST_TTL_MAX_S, &cr->request.ttl_s, ei);
}

/* The options of CHECK. So many `words` follow the name. */
struct option {
	const char *name;
	size_t words;
	bool repeats;
	int (*read)(struct check_resp *cr, const char *name, const struct slice *value,
	    struct errinfo *ei);
};

static const struct option options[] = {
	{ "POLICY", 1, false, read_policy },
	{ "SESSION", 1, false, read_session },
	{ "COST", 1, false, read_cost },
	{ "ID", 1, false, read_id },
	{ "ARGS", 1, false, read_args },
	{ "ATTR", 2, true, read_attribute },
	{ "MODE", 1, false, read_mode },
	{ "TTL", 1, false, read_ttl },
	{ "TIMEOUT", 1, false, read_timeout },
};

/* The command's name, for messages: EXPLAIN takes the same words. */
static const char *
name_of(const struct resp_command *cmd)
{
	bool explains = cmd->n > 0 && slice_case_eq_str(cmd->args[0], "EXPLAIN");

	return explains ? "EXPLAIN" : "CHECK";
}

static int
unknown_option(const struct resp_command *cmd, struct slice name, struct errinfo *ei)
{
	char excerpt[VALUE_EXCERPT_MAX];

	return err_set(ei, ERR_INVALID,
	    "unknown option \"%s\" of %s; it has POLICY, "
	    "SESSION, COST, ID, ARGS, ATTR, MODE, TTL and TIMEOUT",
	    value_excerpt(name, excerpt), name_of(cmd));
}

/* Reads the option at args[i]. Returns how many words it takes (> 0), or an enum err. */
static int
read_option(const struct resp_command *cmd, size_t i, struct check_resp *out,
    unsigned *seen, struct errinfo *ei)
{
	const struct option *option = NULL;
	unsigned bit = 1;
	int rc;

	for (size_t k = 0; k < ARRAY_LEN(options) && !option; k++) {
		if (slice_case_eq_str(cmd->args[i], options[k].name)) {
			option = &options[k];
			bit = 1u << k;
		}
	}
	if (!option)
		return unknown_option(cmd, cmd->args[i], ei);
	if (cmd->n - i - 1 < option->words)
		return err_set(ei, ERR_INVALID, "%s needs %s", option->name,
		    option->words == 2 ? "a name and a value" : "a value");
	if ((*seen & bit) && !option->repeats)
		return err_set(ei, ERR_INVALID, "%s is given twice", option->name);
	*seen |= bit;
	rc = option->read(out, option->name, &cmd->args[i + 1], ei);
	return rc < 0 ? rc : (int)option->words + 1;
}

/* What the options did not look at: the tool, the grant, and the attributes, of which
 * only all together tell whether one stands twice. */
static int
validate(const struct call *call, struct errinfo *ei)
{
	int rc = call_validate_name("tool", call->tool, ei);
	struct errinfo found;

	if (rc == 0)
		rc = call_validate_name("grant", call->grant, ei);
	if (rc < 0)
		return rc;
	rc = call_validate(call, &found);
	return rc < 0 ? err_set(ei, rc, "ATTR: %s", found.text) : 0;
}

static int
read_command(const struct resp_command *cmd, struct check_resp *out, struct errinfo *ei)
{
	struct call *call = &out->request.call;
	unsigned seen = 0;
	int rc;

	if (cmd->n < 3)
		return err_set(ei, ERR_INVALID,
		    "%s needs a tool and a grant: %s tool grant [OPTION value]...",
		    name_of(cmd), name_of(cmd));
	call->tool = cmd->args[1];
	call->grant = cmd->args[2];
	call->attributes = out->attributes;
	call->cost = 1;
	for (size_t i = 3; i < cmd->n;) {
		int taken = read_option(cmd, i, out, &seen, ei);

		if (taken < 0)
			return taken;
		i += (size_t)taken;
	}
	rc = value_validate_ttl("TTL", "MODE", &out->request, ei);
	return rc < 0 ? rc : validate(call, ei);
}

int
check_resp_parse(
    const struct resp_command *cmd, struct check_resp *out, struct errinfo *ei)
{
	int rc = read_command(cmd, out, ei);

	if (rc < 0)
		check_resp_fini(out);
	return rc;
}

void
check_resp_fini(struct check_resp *cr)
{
	json_decref(cr->args);
	cr->args = NULL;
	cr->request.call.args = NULL;
}

void
check_resp_format(const struct decision *d, struct buf *out)
{
	static const struct limit_outcome none = { .remaining = -1, .reset_ms = -1 };
	const struct limit_outcome *o = &none;

	if (d->tightest < d->n_limits)
		o = &d->limits[d->tightest].outcome;
	/* Makes room for all eight appends at once: heads and numbers are short. */
	if (!buf_reserve(out, 256 + d->rule.len + d->message.len + d->reservation.len))
		return;
	resp_add_array(out, 8);
	resp_add_int(out, d->verdict);
	resp_add_bulk(out, d->rule);
	resp_add_bulk(out, d->message);
	resp_add_int(out, o->remaining);
	resp_add_int(out, o->reset_ms);
	resp_add_int(out, o->retry_after_ms);
	resp_add_bulk(out, d->reservation);
	resp_add_int(
	    out, (d->degraded ? FLAG_DEGRADED : 0) | (d->replayed ? FLAG_REPLAYED : 0));
}
