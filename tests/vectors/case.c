/* SPDX-License-Identifier: ISC */
#include "case.h"

#include <string.h>

static struct slice
text_of(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	return slice_make(json_string_value(value), json_string_length(value));
}

static int64_t
integer_of(json_t *object, const char *key, int64_t otherwise)
{
	json_t *value = json_object_get(object, key);

	return value ? json_integer_value(value) : otherwise;
}

static enum check_mode
mode_of(json_t *object)
{
	struct slice mode = text_of(object, "mode");

	if (slice_eq(mode, slice_str("peek")))
		return MODE_PEEK;
	return slice_eq(mode, slice_str("reserve")) ? MODE_RESERVE : MODE_ENFORCE;
}

void
request_read(json_t *from, struct check_request *out, struct call_attribute *attributes)
{
	const char *name;
	json_t *value;

	memset(out, 0, sizeof(*out));
	out->call.tool = text_of(from, "tool");
	out->call.grant = json_object_get(from, "grant") ? text_of(from, "grant")
							 : slice_str("alice");
	out->call.session = text_of(from, "session");
	out->policy = text_of(from, "policy");
	out->call.attributes = attributes;
	out->call.args = json_object_get(from, "args");
	out->call.cost = integer_of(from, "cost", 1);
	out->mode = mode_of(from);
	out->id = text_of(from, "request_id");
	out->ttl_s = integer_of(from, "ttl", 0);
	json_object_foreach(json_object_get(from, "attributes"), name, value)
	{
		if (out->call.n_attributes == CALL_ATTRIBUTES_MAX)
			break;
		attributes[out->call.n_attributes++] = (struct call_attribute){
			slice_str(name),
			slice_make(json_string_value(value), json_string_length(value))
		};
	}
}

void
settlement_read(json_t *from, json_t *reservations, struct settlement_request *out)
{
	json_t *id = json_object_get(
	    reservations, json_string_value(json_object_get(from, "reservation")));

	memset(out, 0, sizeof(*out));
	out->reservation = id
	    ? slice_make(json_string_value(id), json_string_length(id))
	    : text_of(from, "reservation");
	out->grant = text_of(from, "grant");
	out->cost = integer_of(from, "cost", -1);
	out->ttl_s = integer_of(from, "ttl", 0);
}

void
reset_read(json_t *from, struct reset_request *out)
{
	memset(out, 0, sizeof(*out));
	out->policy = text_of(from, "policy");
	out->counter = text_of(from, "counter");
	out->window = text_of(from, "window");
	out->scope = text_of(from, "scope");
}

json_t *
json_of_slice(struct slice s)
{
	return json_stringn(s.len ? s.ptr : "", s.len);
}

static json_t *
limit_json(const struct decision_limit *l)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "counter",
	    l->limit->counter, "window", l->limit->limit.window.name, "scope", l->scope,
	    "max", (json_int_t)l->limit->limit.max, "used", (json_int_t)l->outcome.used,
	    "remaining", (json_int_t)l->outcome.remaining, "reset_ms",
	    (json_int_t)l->outcome.reset_ms, "retry_after_ms",
	    (json_int_t)l->outcome.retry_after_ms);

	/* Only of shadow limits, as in the answer. */
	if (l->limit->shadow)
		json_object_set_new(json, "would_deny", json_boolean(l->would_deny));
	return json;
}

json_t *
decision_json(const struct decision *d, json_t *keys)
{
	static const char *const verdicts[] = { "deny", "allow", "require_approval" };
	static const char *const causes[] = { "allowed", "policy", "limit", "store",
		"conflict" };
	json_t *limits = json_array();

	for (size_t i = 0; i < d->n_limits; i++)
		json_array_append_new(limits, limit_json(&d->limits[i]));
	return json_pack(
	    "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:O, s:b, s:b, s:b}",
	    "verdict", verdicts[d->verdict], "cause", causes[d->cause], "rule",
	    json_of_slice(d->rule), "message", json_of_slice(d->message), "policy",
	    json_of_slice(d->policy), "tool", json_of_slice(d->tool), "grant",
	    json_of_slice(d->grant), "limits", limits, "tightest",
	    d->tightest == DECISION_NO_LIMIT
		? json_null()
		: json_string(d->limits[d->tightest].limit->counter),
	    "keys", keys, "degraded", d->degraded, "replayed", d->replayed,
	    "reservation", d->reservation.len > 0);
}
