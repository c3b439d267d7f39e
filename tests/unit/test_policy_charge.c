/* SPDX-License-Identifier: ISC */
/* What charging a limit takes: the counter's key, the cost, the scope shown. */
#include "policy_fixture.h"

#include "base/num.h"
#include "policy/regex.h"

static struct call_attribute attributes[] = {
	{ { "org", 3 }, { "acme", 4 } },
	{ { "a&b", 3 }, { "1=2", 3 } },
	{ { "empty", 5 }, { "", 0 } },
};

static struct call
a_call(void)
{
	/* A session of length 0 is absent, wherever its pointer points. */
	struct call call = { .tool = slice_str("t"),
		.grant = slice_str("alice-laptop"),
		.session = slice_str(""),
		.attributes = attributes,
		.n_attributes = ARRAY_LEN(attributes),
		.cost = 7 };

	return call;
}

/* A policy whose tool "t" has the one limit; `keys` follow counter and max. */
static struct policy *
policy_with(const char *name, const char *counter, const char *keys)
{
	struct buf text = { 0 };
	struct policy *policy;

	buf_printf(&text,
	    "{'version': '1', 'default': 'deny', 'tools': {'t': "
	    "{'limits': [{'counter': '%s', 'max': 3, %s}]}}}",
	    counter, keys);
	policy = fixture_policy(name, buf_cstr(&text));
	buf_fini(&text);
	return policy;
}

static const struct policy_limit *
limit_at(const struct policy *policy, const struct call *call, size_t i)
{
	struct ruling ruling;

	policy_rule(policy, call, NULL, &ruling);
	assert_true(i < ruling.n_limits);
	return ruling.limits[i];
}

/* The first limit of tool t must charge this key, shown as this scope. */
static void
check_key(const struct policy *policy, const struct call *call, const char *wanted,
    const char *shown)
{
	struct policy_charge charge;
	struct errinfo ei;
	struct buf key = { 0 };

	buf_add_str(&key, "before ");
	assert_int_equal(
	    policy_charge(limit_at(policy, call, 0), call, &key, &charge, &ei), 0);
	assert_memory_equal(key.data, "before ", 7);
	assert_string_equal(buf_cstr(&key) + 7, wanted);
	assert_string_equal(charge.scope, shown);
	buf_fini(&key);
}

static void
key_of(const char *name, const char *counter, const char *keys, const char *wanted,
    const char *shown)
{
	struct policy *policy = policy_with(name, counter, keys);
	struct call call = a_call();

	check_key(policy, &call, wanted, shown);
	policy_free(policy);
}

static void
keys_of_scopes(void **state)
{
	(void)state;
	key_of("p", "c", "'window': 'minute'", "ration:p:{grant=alice-laptop}:c:minute",
	    "grant");
	key_of("p", "c", "'window': 'hour', 'scope': 'global'",
	    "ration:p:{global}:c:hour", "global");
	key_of("p", "c", "'window': '90s', 'scope': 'org'", "ration:p:{org=acme}:c:90s",
	    "org");
	key_of("p", "c", "'window': 'week', 'scope': ['org', 'grant']",
	    "ration:p:{grant=alice-laptop&org=acme}:c:week", "grant&org");
	key_of("p", "c", "'window': 'day', 'scope': ['grant']",
	    "ration:p:{grant=alice-laptop}:c:day", "grant");
	key_of("p", "c", "'window': 'day', 'scope': 'empty'", "ration:p:{empty=}:c:day",
	    "empty");
}

static void
windows_have_one_spelling(void **state)
{
	(void)state;
	key_of("p", "c", "'window': 60", "ration:p:{grant=alice-laptop}:c:minute",
	    "grant");
	key_of("p", "c", "'window': '1m'", "ration:p:{grant=alice-laptop}:c:minute",
	    "grant");
	key_of("p", "c", "'window': '24h'", "ration:p:{grant=alice-laptop}:c:day",
	    "grant");
	key_of("p", "c", "'window': '7d'", "ration:p:{grant=alice-laptop}:c:604800s",
	    "grant");
}

static void
names_are_encoded(void **state)
{
	(void)state;
	key_of("a:b", "x{y}", "'window': 'day', 'scope': 'a&b'",
	    "ration:a%3Ab:{a%26b=1%3D2}:x%7By%7D:day", "a&b");
	key_of("%", "\xF0\x9F\x98\x80", "'window': 'day', 'scope': 'global'",
	    "ration:%25:{global}:%F0%9F%98%80:day", "global");
}

static void
long_names_are_digests(void **state)
{
	char counter[130];
	struct policy *policy;
	struct call call = a_call();
	struct policy_charge charge;
	struct errinfo ei;
	struct buf key = { 0 };

	(void)state;
	memset(counter, 'c', sizeof(counter) - 1);
	counter[sizeof(counter) - 1] = '\0';
	policy = policy_with("p", counter, "'window': 'day', 'scope': 'global'");
	assert_int_equal(
	    policy_charge(limit_at(policy, &call, 0), &call, &key, &charge, &ei), 0);
	assert_int_equal(key.len, strlen("ration:p:{global}:~:day") + 32);
	assert_memory_equal(key.data, "ration:p:{global}:~", 19);
	buf_fini(&key);
	policy_free(policy);
}

static void
key_prefix(void **state)
{
	static const char text[] =
	    "{\"version\": \"1\", \"default\": \"allow\", "
	    "\"all_tools\": {\"limits\": [{\"counter\": \"c\", \"window\": \"day\", "
	    "\"max\": 1, \"scope\": \"global\"}]}}";
	struct policy_options options = { .key_prefix = "team-a" };
	struct call call = a_call();
	struct errlist errors;
	struct policy *policy =
	    policy_parse("p", NULL, text, strlen(text), &options, &errors);

	(void)state;
	assert_non_null(policy);
	check_key(policy, &call, "team-a:p:{global}:c:day", "global");
	errlist_fini(&errors);
	policy_free(policy);
}

static void
rate_limit(void **state)
{
	struct policy *policy = fixture_policy("p",
	    "{'version': '1', 'default': "
	    "'deny', 'tools': {'t': {'rate_limit': {'max': 10, 'window': 60}}}}");
	struct call call = a_call();

	(void)state;
	check_key(policy, &call, "ration:p:{grant=alice-laptop}:t_rate_limit:minute",
	    "grant");
	call.session = slice_str("s:1");
	check_key(
	    policy, &call, "ration:p:{session=s%3A1}:t_rate_limit:minute", "session");
	assert_int_equal(limit_at(policy, &call, 0)->limit.max, 10);
	policy_free(policy);
}

/* One slot, whatever the call costs, in a counter that knows no time. */
static void
slots(void **state)
{
	static const char keys[] = "'algorithm': 'concurrency', 'overrides': {'ci': 9}";
	struct policy *policy = policy_with("p", "jobs", keys);
	struct call call = a_call();
	const struct policy_limit *limit = limit_at(policy, &call, 0);
	struct policy_charge charge;
	struct errinfo ei;
	struct buf key = { 0 };

	(void)state;
	check_key(policy, &call, "ration:p:{grant=alice-laptop}:jobs:slots", "grant");
	assert_string_equal(limit->limit.window.name, "slots");
	assert_string_equal(
	    limit->message, "limit \"jobs\" is used up: 3 at once for each grant");
	call.grant = slice_str("ci");
	assert_int_equal(policy_charge(limit, &call, &key, &charge, &ei), 0);
	assert_int_equal(charge.cost, 1);
	assert_false(charge.corrects);
	assert_int_equal(charge.limit->limit.max, 9);
	assert_int_equal(charge.limit->limit.algorithm, ALGORITHM_CONCURRENCY);
	assert_string_equal(charge.limit->message,
	    "limit \"jobs\" is used up: 9 at once for each grant");
	buf_fini(&key);
	policy_free(policy);
}

/* Only a cost that the call brought is put right once the true one is known. */
static void
corrections(void **state)
{
	static const struct {
		const char *keys;
		bool corrects;
	} rows[] = {
		{ "'window': 'day'", true },
		{ "'window': 'day', 'algorithm': 'token_bucket'", true },
		{ "'window': 'day', 'cost_from': 'args.n'", true },
		{ "'window': 'day', 'increment_from': 'args.n'", true },
		{ "'window': 'day', 'cost': 7", false },
		{ "'window': 'day', 'increment': 0", false },
	};
	json_t *args = json_pack("{s:i}", "n", 4);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy *policy = policy_with("p", "c", rows[i].keys);
		struct call call = a_call();
		struct policy_charge charge;
		struct errinfo ei;
		struct buf key = { 0 };

		call.args = args;
		assert_int_equal(policy_charge(limit_at(policy, &call, 0), &call, &key,
				     &charge, &ei),
		    0);
		assert_int_equal(charge.corrects, rows[i].corrects);
		buf_fini(&key);
		policy_free(policy);
	}
	json_decref(args);
}

static void
lacking(const char *keys, const char *piece)
{
	struct policy *policy = policy_with("p", "c", keys);
	struct call call = a_call();
	struct policy_charge charge;
	struct errinfo ei;
	struct buf key = { 0 };

	buf_add_str(&key, "kept");
	assert_int_equal(
	    policy_charge(limit_at(policy, &call, 0), &call, &key, &charge, &ei),
	    ERR_NOTFOUND);
	assert_non_null(strstr(ei.text, piece));
	assert_int_equal(key.len, 4);
	buf_fini(&key);
	policy_free(policy);
}

static void
lacking_parts(void **state)
{
	(void)state;
	lacking("'window': 1, 'scope': 'team'", "the attribute \"team\"");
	lacking("'window': 1, 'scope': ['grant', 'team']", "the attribute \"team\"");
	lacking("'window': 1, 'scope': 'session'", "counts by session");
	lacking("'window': 1, 'scope': ['org', 'session']", "counts by session");
}

static void
cost_is(const char *keys, int64_t wanted)
{
	struct policy *policy = policy_with("p", "c", keys);
	struct call call = a_call();
	struct policy_charge charge;
	struct errinfo ei;
	struct buf key = { 0 };

	assert_int_equal(
	    policy_charge(limit_at(policy, &call, 0), &call, &key, &charge, &ei), 0);
	assert_int_equal(charge.cost, wanted);
	buf_fini(&key);
	policy_free(policy);
}

static void
costs(void **state)
{
	(void)state;
	cost_is("'window': 1", 7);
	cost_is("'window': 1, 'cost': 0", 0);
	cost_is("'window': 1, 'cost': 3", 3);
	cost_is("'window': 1, 'increment': 4", 4);
	cost_is("'window': 1, 'cost': 9007199254740991", NUM_MAX);
}

/* What args say the cost is; wanted -1: none, for the reason. */
static void
cost_from_args(const char *args, int64_t wanted, const char *reason)
{
	struct policy *policy =
	    policy_with("p", "c", "'window': 1, 'cost_from': 'args.a.n'");
	json_t *json = json_loads(args, 0, NULL);
	struct call call = a_call();
	struct policy_charge charge;
	struct errinfo ei = { 0 };
	struct buf key = { 0 };
	int rc;

	assert_non_null(json);
	call.args = json;
	buf_add_str(&key, "kept");
	rc = policy_charge(limit_at(policy, &call, 0), &call, &key, &charge, &ei);
	assert_int_equal(rc, wanted < 0 ? ERR_INVALID : 0);
	if (wanted < 0) {
		assert_non_null(strstr(ei.text, reason));
		assert_int_equal(key.len, 4);
	} else {
		assert_int_equal(charge.cost, wanted);
	}
	buf_fini(&key);
	json_decref(json);
	policy_free(policy);
}

static void
costs_of_arguments(void **state)
{
	(void)state;
	cost_from_args("{\"a\":{\"n\":3}}", 3, NULL);
	cost_from_args("{\"a\":{\"n\":2.01}}", 3, NULL);
	cost_from_args("{\"a\":{\"n\":1e-300}}", 1, NULL);
	cost_from_args("{\"a\":{\"n\":-0.0}}", 0, NULL);
	cost_from_args("{\"a\":{\"n\":9007199254740991}}", NUM_MAX, NULL);
	cost_from_args("{\"a\":{\"n\":9007199254740992}}", -1, "is over");
	cost_from_args("{\"a\":{\"n\":1e308}}", -1, "is over");
	cost_from_args("{\"a\":{\"n\":-1e-300}}", -1, "is negative");
	cost_from_args("{\"a\":{\"n\":\"3\"}}", -1, "is not a number");
	cost_from_args("{\"a\":{\"n\":null}}", -1, "is missing");
	cost_from_args("{\"a\":[3]}", -1, "is missing");
	cost_from_args("{}", -1, "is missing");
}

static void
override_is(
    const struct policy *policy, const char *grant, int64_t max, const char *message)
{
	struct call call = a_call();
	struct policy_charge charge;
	struct errinfo ei;
	struct buf key = { 0 };

	call.grant = slice_str(grant);
	assert_int_equal(
	    policy_charge(limit_at(policy, &call, 0), &call, &key, &charge, &ei), 0);
	assert_int_equal(charge.limit->limit.max, max);
	assert_string_equal(charge.limit->message, message);
	assert_string_equal(charge.limit->rule, "/tools/t/limits/c");
	buf_fini(&key);
}

static void
overrides(void **state)
{
	struct policy *policy = policy_with("p", "c",
	    "'window': 'hour', 'overrides': {'b': 5, 'ab': 6, 'a': 0, 'abc': 7}");

	(void)state;
	override_is(
	    policy, "a", 0, "limit \"c\" is used up: 0 per hour for each grant");
	override_is(
	    policy, "ab", 6, "limit \"c\" is used up: 6 per hour for each grant");
	override_is(
	    policy, "abc", 7, "limit \"c\" is used up: 7 per hour for each grant");
	override_is(
	    policy, "b", 5, "limit \"c\" is used up: 5 per hour for each grant");
	override_is(
	    policy, "abcd", 3, "limit \"c\" is used up: 3 per hour for each grant");
	override_is(
	    policy, "0", 3, "limit \"c\" is used up: 3 per hour for each grant");
	override_is(
	    policy, "z", 3, "limit \"c\" is used up: 3 per hour for each grant");
	policy_free(policy);
}

/* Under a sanitizer every allocation can be seen. */
extern int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void *, size_t),
    void (*on_free)(const volatile void *)) __attribute__((weak));

static size_t allocations;

static void
on_malloc(const volatile void *at, size_t len)
{
	(void)at;
	(void)len;
	allocations++;
}

static void
on_free(const volatile void *at)
{
	(void)at;
}

static void
costs_no_malloc(void **state)
{
	struct policy *policy =
	    policy_with("p", "c", "'window': 1, 'scope': ['org', 'grant', 'a&b']");
	struct call call = a_call();
	struct policy_charge charge;
	struct errinfo ei;
	struct buf key = { 0 };
	size_t before;

	(void)state;
	if (!__sanitizer_install_malloc_and_free_hooks) {
		policy_free(policy);
		skip();
	}
	assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
	assert_non_null(buf_reserve(&key, 1024));
	before = allocations;
	assert_true(before > 0);
	for (int i = 0; i < 100; i++) {
		const struct policy_limit *limit = limit_at(policy, &call, 0);

		buf_clear(&key);
		if (policy_charge(limit, &call, &key, &charge, &ei) < 0)
			fail();
	}
	assert_int_equal(allocations, before);
	buf_fini(&key);
	policy_free(policy);
}

static void
conditions_cost_no_malloc(void **state)
{
	struct policy *policy = fixture_policy("p",
	    "{'version': '1', 'default': 'deny', 'tools': {'t': {"
	    "'require': [{'conditions': ["
	    "{'path': 'org', 'op': 'regex', 'value': '^(a|c)+'},"
	    "{'path': 'grant', 'op': 'in', 'value': ['x', 'alice-laptop']},"
	    "{'path': 'args.x', 'op': 'exists', 'value': false}]}],"
	    "'deny_if': [{'conditions': ["
	    "{'path': 'empty', 'op': 'contains', 'value': 'a'}]}]}}}");
	struct regex_scratch *scratch = regex_scratch_new();
	struct call call = a_call();
	struct ruling ruling;
	size_t before = 0;

	(void)state;
	assert_non_null(scratch);
	for (int i = 0; i < 100; i++) {
		policy_rule(policy, &call, scratch, &ruling);
		assert_int_equal(ruling.verdict, VERDICT_ALLOW);
		/* The first match may put something by in the scratch. */
		if (i == 0)
			before = allocations;
	}
	assert_int_equal(allocations, before);
	regex_scratch_free(scratch);
	policy_free(policy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_scopes),
		cmocka_unit_test(windows_have_one_spelling),
		cmocka_unit_test(names_are_encoded),
		cmocka_unit_test(long_names_are_digests),
		cmocka_unit_test(key_prefix),
		cmocka_unit_test(rate_limit),
		cmocka_unit_test(slots),
		cmocka_unit_test(corrections),
		cmocka_unit_test(lacking_parts),
		cmocka_unit_test(costs),
		cmocka_unit_test(costs_of_arguments),
		cmocka_unit_test(overrides),
		cmocka_unit_test(costs_no_malloc),
		cmocka_unit_test(conditions_cost_no_malloc),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
