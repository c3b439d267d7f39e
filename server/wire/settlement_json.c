/* SPDX-License-Identifier: ISC */
/* The JSON bodies of commits, rollbacks, renewals and resets. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/num.h"
#include "wire/settlement.h"
#include "wire/value.h"

static const struct {
	const char *name, *members;
} bodies[] = {
	[SETTLE_COMMIT] = { "a commit", "reservation, cost and grant" },
	[SETTLE_ROLLBACK] = { "a rollback", "reservation and grant" },
	[SETTLE_RENEW] = { "a renewal", "reservation, ttl and grant" },
};

static int
read_reservation(struct settlement_request *out, const char *field, const json_t *value,
    struct errinfo *ei)
{
	return value_parse_json_name(field, value, &out->reservation, ei);
}

static int
read_grant(struct settlement_request *out, const char *field, const json_t *value,
    struct errinfo *ei)
{
	return value_parse_json_name(field, value, &out->grant, ei);
}

static int
read_cost(struct settlement_request *out, const char *field, const json_t *value,
    struct errinfo *ei)
{
	return value_parse_json_whole(field, value, 0, NUM_MAX, &out->cost, ei);
}

static int
read_ttl(struct settlement_request *out, const char *field, const json_t *value,
    struct errinfo *ei)
{
	return value_parse_json_whole(
	    field, value, 1, REQUEST_TTL_MAX_S, &out->ttl_s, ei);
}

#define OF(action) (1u << (action))

static const struct {
	const char *name;
	unsigned bodies;
	int (*read)(struct settlement_request *out, const char *field,
	    const json_t *value, struct errinfo *ei);
} members[] = {
	{ "reservation", ~0u, read_reservation },
	{ "cost", OF(SETTLE_COMMIT), read_cost },
	{ "ttl", OF(SETTLE_RENEW), read_ttl },
	{ "grant", ~0u, read_grant },
};

static int
unknown_member(const char *name, const char *of, const char *has, struct errinfo *ei)
{
	char excerpt[VALUE_EXCERPT_MAX];

	return err_set(ei, ERR_INVALID, "unknown field \"%s\"; %s has %s",
	    value_excerpt(slice_str(name), excerpt), of, has);
}

static int
read_member(struct settlement_request *out, const char *name, const json_t *value,
    struct errinfo *ei)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if ((members[i].bodies & OF(out->action)) &&
		    strcmp(members[i].name, name) == 0)
			return members[i].read(out, name, value, ei);
	return unknown_member(
	    name, bodies[out->action].name, bodies[out->action].members, ei);
}

/* Reads the body, a JSON object. 0, or an enum err and no body. */
static int
open_body(struct slice body, json_t **root, struct errinfo *ei)
{
	*root = value_parse_json("the body", body, ei);
	if (!*root)
		return ei->code;
	if (json_is_object(*root))
		return 0;
	return value_wrong_type("the body", "a JSON object", *root, ei);
}

static int
close_on_error(int rc, json_t **root)
{
	if (rc < 0) {
		json_decref(*root);
		*root = NULL;
	}
	return rc;
}

int
settlement_json_parse(struct slice body, enum settle_action action,
    struct settlement_request *out, json_t **root, struct errinfo *ei)
{
	const char *name;
	json_t *value;
	int rc;

	memset(out, 0, sizeof(*out));
	out->action = action;
	out->cost = -1;
	rc = open_body(body, root, ei);
	if (rc < 0)
		return close_on_error(rc, root);
	json_object_foreach(*root, name, value)
	{
		rc = read_member(out, name, value, ei);
		if (rc < 0)
			return close_on_error(rc, root);
	}
	if (!out->reservation.ptr)
		rc = err_set(ei, ERR_INVALID, "reservation is missing; %s names it",
		    bodies[action].name);
	return close_on_error(rc, root);
}

static const struct {
	const char *name;
	size_t at; /* offset in struct reset_request */
	size_t max;
} reset_members[] = {
	{ "policy", offsetof(struct reset_request, policy), CALL_NAME_MAX },
	{ "counter", offsetof(struct reset_request, counter), CALL_NAME_MAX },
	{ "window", offsetof(struct reset_request, window), CALL_NAME_MAX },
	{ "scope", offsetof(struct reset_request, scope), RESET_SCOPE_MAX },
};

/* A window may be a number of seconds, as in a policy; it becomes text here. */
static int
window_to_text(json_t *body, struct errinfo *ei)
{
	const json_t *window = json_object_get(body, "window");
	char digits[24];
	int64_t seconds;
	int rc;

	if (!json_is_number(window))
		return 0;
	rc = value_parse_json_whole("window", window, 1, NUM_MAX, &seconds, ei);
	if (rc < 0)
		return rc;
	snprintf(digits, sizeof(digits), "%" PRId64, seconds);
	if (json_object_set_new(body, "window", json_string(digits)) < 0)
		return err_set(ei, ERR_NOMEM, "out of memory");
	return 0;
}

static int
read_reset_member(struct reset_request *out, const char *name, const json_t *value,
    struct errinfo *ei)
{
	for (size_t i = 0; i < ARRAY_LEN(reset_members); i++) {
		void *at = (char *)out + reset_members[i].at;
		struct slice *text = at;
		int rc;

		if (strcmp(reset_members[i].name, name) != 0)
			continue;
		rc = value_parse_json_string(name, value, text, ei);
		return rc < 0
		    ? rc
		    : value_validate_text(name, *text, reset_members[i].max, ei);
	}
	return unknown_member(name, "a reset", "policy, counter, window and scope", ei);
}

static int
validate_reset(const struct reset_request *request, struct errinfo *ei)
{
	if (!request->scope.ptr)
		return err_set(ei, ERR_INVALID,
		    "scope is missing; a reset names it, as in \"grant=alice-laptop\" "
		    "or \"global\"");
	if (!request->counter.ptr != !request->window.ptr)
		return err_set(ei, ERR_INVALID,
		    "%s is missing; a reset names counter and window, or neither for "
		    "all counters of its scope",
		    request->counter.ptr ? "window" : "counter");
	return 0;
}

int
reset_json_parse(
    struct slice body, struct reset_request *out, json_t **root, struct errinfo *ei)
{
	const char *name;
	json_t *value;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = open_body(body, root, ei);
	if (rc == 0)
		rc = window_to_text(*root, ei);
	if (rc < 0)
		return close_on_error(rc, root);
	json_object_foreach(*root, name, value)
	{
		rc = read_reset_member(out, name, value, ei);
		if (rc < 0)
			return close_on_error(rc, root);
	}
	return close_on_error(validate_reset(out, ei), root);
}

void
settlement_json_format(bool done, struct slice reservation, struct buf *out)
{
	struct json_text j;

	json_text_init(&j, out);
	json_text_open(&j, NULL, '{');
	json_text_bool(&j, "done", done);
	json_text_string(&j, "reservation", reservation);
	json_text_close(&j, '}');
}

void
reset_json_format(size_t n, size_t held, struct slice asked, struct buf *out)
{
	struct json_text j;

	json_text_init(&j, out);
	json_text_open(&j, NULL, '{');
	json_text_int(&j, "reset", (int64_t)n);
	json_text_int(&j, "held", (int64_t)held);
	/* Makes one object of two. */
	buf_add_char(out, ',');
	if (asked.len > 1)
		buf_add(out, asked.ptr + 1, asked.len - 1);
}

static void
add_member(struct json_text *j, const char *name, struct slice value)
{
	if (value.ptr)
		json_text_string(j, name, value);
	else
		json_text_null(j, name);
}

void
reset_json_asked(const struct reset_request *request, struct buf *out)
{
	struct json_text j;

	json_text_init(&j, out);
	json_text_open(&j, NULL, '{');
	add_member(&j, "policy", request->policy);
	add_member(&j, "counter", request->counter);
	add_member(&j, "window", request->window);
	add_member(&j, "scope", request->scope);
	json_text_close(&j, '}');
}
