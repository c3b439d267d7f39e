/* SPDX-License-Identifier: ISC */
#include "wire/check_json.h"

#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/num.h"
#include "wire/value.h"

static int
read_tool(struct check_json *cj, const char *field, json_t *value, struct errinfo *ei)
{
	return value_parse_json_name(field, value, &cj->request.call.tool, ei);
}

static int
read_grant(struct check_json *cj, const char *field, json_t *value, struct errinfo *ei)
{
	return value_parse_json_name(field, value, &cj->request.call.grant, ei);
}

static int
read_policy(struct check_json *cj, const char *field, json_t *value, struct errinfo *ei)
{
	return value_parse_json_name(field, value, &cj->request.policy, ei);
}

static int
read_session(
    struct check_json *cj, const char *field, json_t *value, struct errinfo *ei)
{
	return value_parse_json_name(field, value, &cj->request.call.session, ei);
}

static int
read_args(struct check_json *cj, const char *field, json_t *value, struct errinfo *ei)
{
	if (!json_is_object(value))
		return value_wrong_type(field, "an object", value, ei);
	cj->request.call.args = value;
	return 0;
}

static int
read_attributes(
    struct check_json *cj, const char *field, json_t *value, struct errinfo *ei)
{
	struct call *call = &cj->request.call;
	const char *name;
	json_t *one;

	if (!json_is_object(value))
		return value_wrong_type(field, "an object of strings", value, ei);
	if (json_object_size(value) > CALL_ATTRIBUTES_MAX)
		return err_set(ei, ERR_TOOBIG,
		    "%s may have at most %d members, "
		    "not %zu",
		    field, CALL_ATTRIBUTES_MAX, json_object_size(value));
	json_object_foreach(value, name, one)
	{
		struct call_attribute *a = &cj->attributes[call->n_attributes++];
		char excerpt[VALUE_EXCERPT_MAX];
		char member[VALUE_EXCERPT_MAX + 16];
		int rc;

		a->name = slice_str(name);
		snprintf(member, sizeof(member), "%s.%s", field,
		    value_excerpt(a->name, excerpt));
		rc = value_parse_json_string(member, one, &a->value, ei);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
read_cost(struct check_json *cj, const char *field, json_t *value, struct errinfo *ei)
{
	return value_parse_json_whole(
	    field, value, 0, NUM_MAX, &cj->request.call.cost, ei);
}

static int
read_mode(struct check_json *cj, const char *field, json_t *value, struct errinfo *ei)
{
	struct slice mode;
	int rc = value_parse_json_string(field, value, &mode, ei);

	return rc < 0 ? rc
		      : value_parse_mode(field, mode, false, &cj->request.mode, ei);
}

static int
read_id(struct check_json *cj, const char *field, json_t *value, struct errinfo *ei)
{
	struct slice *id = &cj->request.id;
	int rc = value_parse_json_string(field, value, id, ei);

	return rc < 0 ? rc : value_validate_text(field, *id, REQUEST_ID_MAX, ei);
}

static int
read_ttl(struct check_json *cj, const char *field, json_t *value, struct errinfo *ei)
{
	return value_parse_json_whole(
	    field, value, 1, REQUEST_TTL_MAX_S, &cj->request.ttl_s, ei);
}

/* The members of a check's body. */
static const struct {
	const char *name;
	int (*read)(struct check_json *cj, const char *field, json_t *value,
	    struct errinfo *ei);
} members[] = {
	{ "tool", read_tool },
	{ "grant", read_grant },
	{ "policy", read_policy },
	{ "session", read_session },
	{ "args", read_args },
	{ "attributes", read_attributes },
	{ "cost", read_cost },
	{ "request_id", read_id },
	{ "mode", read_mode },
	{ "ttl", read_ttl },
};

static int
unknown_member(const char *name, struct errinfo *ei)
{
	char excerpt[VALUE_EXCERPT_MAX];

	return err_set(ei, ERR_INVALID,
	    "unknown field \"%s\"; a check has tool, grant, "
	    "policy, session, args, attributes, cost, request_id, mode and ttl",
	    value_excerpt(slice_str(name), excerpt));
}

static int
read_member(struct check_json *cj, const char *name, json_t *value, struct errinfo *ei)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (strcmp(members[i].name, name) == 0)
			return members[i].read(cj, name, value, ei);
	return unknown_member(name, ei);
}

static int
read_body(struct slice body, struct check_json *cj, struct errinfo *ei)
{
	struct call *call = &cj->request.call;
	const char *name;
	json_t *value;
	int rc = 0;

	cj->root = value_parse_json("the body", body, ei);
	if (!cj->root)
		return ei->code;
	if (!json_is_object(cj->root))
		return value_wrong_type("the body", "a JSON object", cj->root, ei);
	call->attributes = cj->attributes;
	call->cost = 1;
	json_object_foreach(cj->root, name, value)
	{
		rc = read_member(cj, name, value, ei);
		if (rc < 0)
			return rc;
	}
	if (!call->tool.ptr || !call->grant.ptr)
		return err_set(ei, ERR_INVALID,
		    "%s is missing; a check names at least tool "
		    "and grant",
		    call->tool.ptr ? "grant" : "tool");
	rc = value_validate_ttl("ttl", "mode", &cj->request, ei);
	return rc < 0 ? rc : call_validate(call, ei);
}

int
check_json_parse(struct slice body, struct check_json *out, struct errinfo *ei)
{
	int rc = read_body(body, out, ei);

	if (rc < 0)
		check_json_fini(out);
	return rc;
}

void
check_json_fini(struct check_json *cj)
{
	json_decref(cj->root);
	cj->root = NULL;
	cj->request.call.args = NULL;
}

static void
format_limit(struct json_text *j, const struct decision_limit *dl)
{
	const struct policy_limit *pl = dl->limit;

	json_text_open(j, NULL, '{');
	json_text_string(j, "counter", slice_str(pl->counter));
	json_text_string(j, "window", slice_str(pl->limit.window.name));
	json_text_string(j, "scope", slice_str(dl->scope));
	json_text_int(j, "max", pl->limit.max);
	if (pl->limit.algorithm == ALGORITHM_TOKEN_BUCKET)
		json_text_int(j, "burst", pl->limit.capacity);
	json_text_int(j, "used", dl->outcome.used);
	json_text_int(j, "remaining", dl->outcome.remaining);
	json_text_int(j, "reset_ms", dl->outcome.reset_ms);
	json_text_int(j, "retry_after_ms", dl->outcome.retry_after_ms);
	if (pl->shadow)
		json_text_bool(j, "would_deny", dl->would_deny);
	json_text_close(j, '}');
}

static void
format_limits(struct json_text *j, const struct decision *d)
{
	static const struct limit_outcome none = { .reset_ms = -1 };
	const struct limit_outcome *tightest = &none;

	json_text_open(j, "limits", '[');
	for (size_t i = 0; i < d->n_limits; i++)
		format_limit(j, &d->limits[i]);
	json_text_close(j, ']');
	if (d->tightest < d->n_limits)
		tightest = &d->limits[d->tightest].outcome;
	json_text_int(j, "reset_ms", tightest->reset_ms);
	json_text_int(j, "retry_after_ms", tightest->retry_after_ms);
}

void
check_json_format(const struct decision *d, struct buf *out)
{
	static const char *const verdicts[] = {
		[VERDICT_DENY] = "deny",
		[VERDICT_ALLOW] = "allow",
		[VERDICT_APPROVAL] = "require_approval",
	};
	struct json_text j;

	json_text_init(&j, out);
	json_text_open(&j, NULL, '{');
	json_text_string(&j, "verdict", slice_str(verdicts[d->verdict]));
	json_text_string(&j, "rule", d->rule);
	json_text_string(&j, "message", d->message);
	json_text_string(&j, "policy", d->policy);
	json_text_string(&j, "tool", d->tool);
	json_text_string(&j, "grant", d->grant);
	format_limits(&j, d);
	json_text_bool(&j, "degraded", d->degraded);
	json_text_bool(&j, "replayed", d->replayed);
	if (d->reservation.len > 0)
		json_text_string(&j, "reservation", d->reservation);
	else
		json_text_null(&j, "reservation");
	json_text_close(&j, '}');
}
