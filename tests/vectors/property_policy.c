/* SPDX-License-Identifier: ISC */
/* Random policies and checks: small ones, whose tools share their counters, so that
 * limits run full. */
#include "property.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "limit/limit.h"

#define BIG INT64_C(9007199254740991)
#define TOOLS 6
#define PICK(rng, table) ((table)[rng_below((rng), ARRAY_LEN(table))])

static json_t *
parsed(const char *text)
{
	return json_loads(text, JSON_DECODE_ANY, NULL);
}

static const struct window_row {
	const char *json;
	int64_t seconds; /* 0: not always the same */
	bool named;      /* has a calendar */
} windows[] = {
	{ "\"second\"", 1, true },
	{ "\"minute\"", 60, true },
	{ "\"hour\"", 3600, true },
	{ "\"day\"", 86400, true },
	{ "\"week\"", 604800, true },
	{ "\"month\"", 0, true },
	{ "\"month\"", 0, true },
	{ "\"year\"", 0, true },
	{ "\"2s\"", 2, false },
	{ "\"90s\"", 90, false },
	{ "\"15m\"", 900, false },
	{ "\"7d\"", 604800, false },
	{ "\"3650d\"", 315360000, false },
	{ "60", 60, true },
	{ "45", 45, false },
};

static const int64_t maxima[] = { 0, 1, 2, 3, 5, 5, 5, 7, 10, 10, 10, 20, 40, 300,
	100000, INT64_C(1) << 40, BIG - 50, BIG };

static const char *const zones[] = { "UTC", "Europe/Berlin", "America/New_York",
	"Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "America/Havana",
	"Africa/Casablanca" };

static const char *const scopes[] = { "\"grant\"", "\"session\"", "\"global\"",
	"\"org\"", "[\"grant\", \"org\"]", "[\"team\", \"session\"]" };

static const char *const counters[] = { "c0", "c1", "c2", "\xc3\xa4/:%{}", "~ &" };

/* The most that a limit may admit: a bucket gives out at most one a microsecond. */
static int64_t
random_max(struct rng *rng, const struct window_row *w, bool bucket)
{
	int64_t max = PICK(rng, maxima);

	return bucket && max > w->seconds * 1000000 ? w->seconds * 1000000 : max;
}

static void
add_bucket(struct rng *rng, json_t *limit, const struct window_row *w, int64_t max)
{
	int64_t burst =
	    rng_percent(rng, 50) ? 1 + (int64_t)rng_below(rng, 12) : PICK(rng, maxima);
	int64_t interval_us = max ? (w->seconds * 1000000 + max - 1) / max : 0;

	json_object_set_new(limit, "algorithm", json_string("token_bucket"));
	if (max == 0 || burst == 0 || rng_percent(rng, 40))
		return;
	if (burst > BUCKET_FILL_US_MAX / interval_us)
		burst = BUCKET_FILL_US_MAX / interval_us;
	json_object_set_new(limit, "burst", json_integer(burst));
}

static void
add_calendar(struct rng *rng, json_t *limit, const struct window_row *w)
{
	static const char *const days[] = { "monday", "wednesday", "saturday",
		"sunday" };
	const char *name = json_string_value(json_object_get(limit, "window"));

	if (!w->named || !name)
		return;
	if (rng_percent(rng, 50))
		json_object_set_new(limit, "timezone", json_string(PICK(rng, zones)));
	if (w->seconds == 604800 && rng_percent(rng, 40))
		json_object_set_new(limit, "anchor", json_string(PICK(rng, days)));
	if (w->json[1] == 'm' && w->seconds == 0 && rng_percent(rng, 40))
		json_object_set_new(
		    limit, "anchor", json_integer(1 + (int)rng_below(rng, 28)));
}

static void
add_cost(struct rng *rng, json_t *limit)
{
	static const int64_t costs[] = { 0, 1, 1, 1, 1, 2, 2, 3, 5, BIG };
	bool other_name = rng_percent(rng, 30);

	if (rng_percent(rng, 25))
		json_object_set_new(limit, other_name ? "increment" : "cost",
		    json_integer(PICK(rng, costs)));
	else if (rng_percent(rng, 15))
		json_object_set_new(limit, other_name ? "increment_from" : "cost_from",
		    json_string("args.amount"));
}

static void
add_overrides(struct rng *rng, json_t *limit, const struct window_row *w, bool bucket)
{
	static const char *const values[] = { "a", "b", "s1", "acme" };
	json_t *overrides;
	const char *value;

	if (!json_is_string(json_object_get(limit, "scope")) ||
	    json_object_get(limit, "burst") || rng_percent(rng, 75))
		return;
	overrides = json_object();
	for (int i = 0; i < 2; i++) {
		value = PICK(rng, values);
		json_object_set_new(
		    overrides, value, json_integer(random_max(rng, w, bucket)));
	}
	json_object_set_new(limit, "overrides", overrides);
}

/* Calls in flight: no window, no cost. */
static json_t *
random_slots(struct rng *rng, const char *counter)
{
	const char *scope = PICK(rng, scopes);
	json_t *limit =
	    json_pack("{s:s, s:s, s:i, s:o}", "counter", counter, "algorithm",
		"concurrency", "max", (int)rng_below(rng, 6), "scope", parsed(scope));

	if (rng_percent(rng, 15))
		json_object_set_new(limit, "mode", json_string("shadow"));
	if (scope != scopes[2] && json_is_string(json_object_get(limit, "scope")) &&
	    rng_percent(rng, 20))
		json_object_set_new(limit, "overrides",
		    json_pack("{s:i}", "a", (int)rng_below(rng, 5)));
	return limit;
}

static json_t *
random_limit(struct rng *rng, const char *counter, bool moments)
{
	const struct window_row *w = &PICK(rng, windows);
	bool bucket = rng_percent(rng, 33) && w->seconds && moments;
	const char *scope = PICK(rng, scopes);
	int64_t max = random_max(rng, w, bucket);
	json_t *limit;

	if (moments && rng_percent(rng, 8))
		return random_slots(rng, counter);
	limit = json_pack("{s:s, s:o, s:I, s:o}", "counter", counter, "window",
	    parsed(w->json), "max", (json_int_t)max, "scope", parsed(scope));

	if (bucket)
		add_bucket(rng, limit, w, max);
	else
		add_calendar(rng, limit, w);
	if (!bucket && rng_percent(rng, 50))
		json_object_set_new(limit, "algorithm", json_string("sliding"));
	if (rng_percent(rng, 12))
		json_object_set_new(limit, "mode", json_string("shadow"));
	add_cost(rng, limit);
	if (scope != scopes[2])
		add_overrides(rng, limit, w, bucket);
	if (rng_percent(rng, 10))
		json_object_set_new(limit, "on_deny", json_string("not now"));
	return limit;
}

/* Up to `n` limits of different counters. Those that the tools share are of a pool, so
 * that they meet in their keys. */
static json_t *
random_limits(struct rng *rng, json_t *pool, size_t n, bool moments)
{
	json_t *limits = json_array();
	size_t first = rng_below(rng, ARRAY_LEN(counters));

	for (size_t i = 0; i < n; i++) {
		size_t which = (first + i) % ARRAY_LEN(counters);
		json_t *limit = json_array_get(pool, which);

		limit = limit && rng_percent(rng, 60)
		    ? json_copy(limit)
		    : random_limit(rng, counters[which], moments);
		if (!json_object_get(limit, "burst") &&
		    !json_object_get(limit, "algorithm"))
			json_object_set_new(
			    limit, "max", json_integer(PICK(rng, maxima)));
		json_array_append_new(limits, limit);
	}
	return limits;
}

static json_t *
random_entries(struct rng *rng, bool deny)
{
	static const char *const required[] = {
		"{\"path\": \"args.amount\", \"op\": \"exists\", \"value\": true}",
		"{\"path\": \"grant\", \"op\": \"regex\", \"value\": \"^[abg]\"}",
		"{\"path\": \"args.o.p\", \"op\": \"lte\", \"value\": 5.5}",
		"{\"path\": \"org\", \"op\": \"in\", \"value\": [\"acme\", \"\"]}",
	};
	static const char *const denied[] = {
		"{\"path\": \"args.amount\", \"op\": \"gt\", \"value\": 100}",
		"{\"path\": \"args.tags\", \"op\": \"contains\", \"value\": \"x\"}",
		"{\"path\": \"session\", \"op\": \"exists\", \"value\": false}",
		"{\"path\": \"team\", \"op\": \"not_in\", \"value\": [\"x\", \"y\"]}",
		"{\"path\": \"args.amount\", \"op\": \"eq\", \"value\": 2.01}",
	};
	json_t *conditions = json_array();

	json_array_append_new(
	    conditions, parsed(deny ? PICK(rng, denied) : PICK(rng, required)));
	if (rng_percent(rng, 30))
		json_array_append_new(conditions,
		    parsed("{\"path\": \"args.amount\", \"op\": \"neq\", "
			   "\"value\": 7}"));
	return json_pack("[{s:o}]", "conditions", conditions);
}

static json_t *
random_tool(struct rng *rng, json_t *pool, bool moments)
{
	json_t *tool = json_object();

	if (rng_percent(rng, 90))
		json_object_set_new(tool, "limits",
		    random_limits(
			rng, pool, 1 + rng_below(rng, ARRAY_LEN(counters)), moments));
	if (rng_percent(rng, 20))
		json_object_set_new(tool, "require", random_entries(rng, false));
	if (rng_percent(rng, 20))
		json_object_set_new(tool, "deny_if", random_entries(rng, true));
	if (rng_percent(rng, 4))
		json_object_set_new(tool, "action",
		    json_string(rng_percent(rng, 50) ? "deny" : "require_approval"));
	if (rng_percent(rng, 20))
		json_object_set_new(tool, "rate_limit",
		    json_pack("{s:i, s:i}", "max", 6, "window",
			1 + (int)rng_below(rng, 100)));
	return tool;
}

json_t *
random_policy(struct rng *rng, bool moments)
{
	json_t *pool = json_array();
	json_t *tools = json_object();
	json_t *document;
	char name[8];

	for (size_t i = 0; i < ARRAY_LEN(counters); i++)
		json_array_append_new(pool, random_limit(rng, counters[i], moments));
	for (int i = 0; i < TOOLS; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		json_object_set_new(tools, name, random_tool(rng, pool, moments));
	}
	document = json_pack("{s:s, s:s, s:o}", "version", "1", "default",
	    rng_percent(rng, 70) ? "deny" : "allow", "tools", tools);
	if (rng_percent(rng, 10))
		json_object_set_new(document, "hide", json_pack("[s]", "t5"));
	if (rng_percent(rng, 40)) {
		json_t *limits = json_array();

		json_array_append_new(limits, random_limit(rng, "every call", moments));
		if (rng_percent(rng, 50))
			json_array_append_new(limits, random_limit(rng, "e2", moments));
		json_object_set_new(
		    document, "all_tools", json_pack("{s:o}", "limits", limits));
	}
	json_decref(pool);
	return document;
}

/* Calls `edit` with every list of limits in the policy; a list may be absent. */
static void
each_limits(json_t *policy, void (*edit)(json_t *limits, void *arg), void *arg)
{
	json_t *all_tools = json_object_get(policy, "all_tools");
	const char *name;
	json_t *tool;

	edit(json_object_get(all_tools, "limits"), arg);
	json_object_foreach(json_object_get(policy, "tools"), name, tool)
	    edit(json_object_get(tool, "limits"), arg);
}

static void
suit_limits(json_t *limits, void *arg)
{
	bool one_scope = *(const bool *)arg;
	json_t *limit;
	size_t i;

	json_array_foreach(limits, i, limit)
	{
		const char *algorithm =
		    json_string_value(json_object_get(limit, "algorithm"));

		if (one_scope) {
			json_object_set_new(limit, "scope", json_string("grant"));
		} else if (algorithm && strcmp(algorithm, "token_bucket") == 0) {
			json_object_del(limit, "algorithm");
			json_object_del(limit, "burst");
		}
	}
}

bool
policy_suit_cluster(struct rng *rng, json_t *policy)
{
	bool one_scope = rng_percent(rng, 35);
	const char *name;
	json_t *tool;

	each_limits(policy, suit_limits, &one_scope);
	if (!one_scope)
		return false;
	/* A rate_limit counts by the session, which is another scope. */
	json_object_foreach(json_object_get(policy, "tools"), name, tool)
	    json_object_del(tool, "rate_limit");
	return true;
}

static void
level_limits(json_t *limits, void *arg)
{
	json_t *levels = arg; /* counter -> the max of its first limit */
	json_t *limit;
	size_t i;

	json_array_foreach(limits, i, limit)
	{
		const char *counter =
		    json_string_value(json_object_get(limit, "counter"));

		if (!json_object_get(levels, counter))
			json_object_set(levels, counter, json_object_get(limit, "max"));
		json_object_set(limit, "max", json_object_get(levels, counter));
		json_object_del(limit, "overrides");
		json_object_del(limit, "mode");
	}
}

void
policy_level(json_t *policy)
{
	json_t *levels = json_object();

	each_limits(policy, level_limits, levels);
	json_decref(levels);
}

static void
plain_limits(json_t *limits, void *arg)
{
	static const char *const others[] = { "algorithm", "burst", "mode", "timezone",
		"anchor" };
	json_t *limit;
	size_t i;

	(void)arg;
	json_array_foreach(limits, i, limit)
	{
		for (size_t j = 0; j < ARRAY_LEN(others); j++)
			json_object_del(limit, others[j]);
		if (!json_object_get(limit, "window"))
			json_object_set_new(limit, "window", json_string("minute"));
	}
}

void
policy_plain(json_t *policy)
{
	each_limits(policy, plain_limits, NULL);
}

static json_t *
random_args(struct rng *rng)
{
	static const char *const amounts[] = { "0", "1", "1", "1", "1", "2", "2", "0.5",
		"2.01", "7", "150", "-1", "\"1\"", "null", "1e15", "9007199254740991",
		"1e16" };
	json_t *args = json_object();

	if (rng_percent(rng, 90))
		json_object_set_new(args, "amount", parsed(PICK(rng, amounts)));
	if (rng_percent(rng, 90))
		json_object_set_new(
		    args, "o", json_pack("{s:i}", "p", (int)rng_below(rng, 8)));
	if (rng_percent(rng, 20))
		json_object_set_new(args, "tags",
		    json_pack("[s, i]", rng_percent(rng, 50) ? "x" : "y", 1));
	return args;
}

int64_t
random_cost(struct rng *rng)
{
	static const int64_t costs[] = { 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 5, 7,
		40, 41, 1000, INT64_C(1) << 31, INT64_C(1) << 52, BIG - 50, BIG };

	return PICK(rng, costs);
}

int64_t
random_ttl(struct rng *rng)
{
	static const int64_t ttls[] = { 0, 0, 0, 1, 2, 30, 60, 600, 3600, 86400 };

	return PICK(rng, ttls);
}

void
random_ledger(struct rng *rng, json_t *check)
{
	size_t what = rng_below(rng, 100);
	int64_t ttl = random_ttl(rng);
	char id[8];

	if (what < 55)
		json_object_set_new(check, "mode", json_string("reserve"));
	else if (what < 65)
		json_object_set_new(check, "mode", json_string("peek"));
	if (what < 55 && ttl > 0)
		json_object_set_new(check, "ttl", json_integer(ttl));
	snprintf(id, sizeof(id), "%s%zu", rng_percent(rng, 50) ? "=" : "i\xc3\xa4",
	    rng_below(rng, 20));
	if (rng_percent(rng, 45))
		json_object_set_new(check, "request_id", json_string(id));
}

json_t *
random_check(struct rng *rng)
{
	static const char *const grants[] = { "a", "a", "b", "\xc3\xbc:{}%" };
	static const char *const orgs[] = { "acme", "acme", "", "o&=o" };
	char tool[8];
	json_t *attributes = json_object();
	json_t *check;

	snprintf(tool, sizeof(tool), "t%zu",
	    rng_percent(rng, 98) ? rng_below(rng, TOOLS) : (size_t)TOOLS);
	if (rng_percent(rng, 97))
		json_object_set_new(attributes, "org", json_string(PICK(rng, orgs)));
	if (rng_percent(rng, 97))
		json_object_set_new(
		    attributes, "team", json_string(rng_percent(rng, 70) ? "x" : "y"));
	check = json_pack("{s:s, s:s, s:o}", "tool", tool, "grant", PICK(rng, grants),
	    "attributes", attributes);
	if (rng_percent(rng, 95))
		json_object_set_new(
		    check, "session", json_string(rng_percent(rng, 70) ? "s1" : "s2"));
	if (rng_percent(rng, 50))
		json_object_set_new(check, "cost", json_integer(random_cost(rng)));
	if (rng_percent(rng, 90))
		json_object_set_new(check, "args", random_args(rng));
	return check;
}
