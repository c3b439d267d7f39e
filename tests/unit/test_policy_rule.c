/* SPDX-License-Identifier: ISC */
/* Which verdict and which limits a call gets. */
#include "policy_fixture.h"

#define HEAD "{'version': '1', "

static struct ruling
rule_of(const struct policy *policy, const char *tool)
{
	struct call call = {
		.tool = slice_str(tool), .grant = slice_str("alice"), .cost = 1
	};
	struct ruling ruling;

	policy_rule(policy, &call, NULL, &ruling);
	return ruling;
}

static void
denied(const struct policy *policy, const char *tool, const char *rule,
    const char *message)
{
	struct ruling ruling = rule_of(policy, tool);

	assert_int_equal(ruling.verdict, VERDICT_DENY);
	assert_string_equal(ruling.rule, rule);
	assert_string_equal(ruling.message, message);
	assert_int_equal(ruling.n_limits, 0);
}

/* `rules` are the rules of the limits to charge, with a blank behind each. */
static void
allowed(const struct policy *policy, const char *tool, const char *rules)
{
	struct ruling ruling = rule_of(policy, tool);
	struct buf got = { 0 };

	assert_int_equal(ruling.verdict, VERDICT_ALLOW);
	assert_string_equal(ruling.rule, "");
	assert_string_equal(ruling.message, "");
	for (size_t i = 0; i < ruling.n_limits; i++)
		buf_printf(&got, "%s ", ruling.limits[i]->rule);
	assert_string_equal(buf_cstr(&got), rules);
	buf_fini(&got);
}

static void
default_deny(void **state)
{
	struct policy *p = fixture_policy("p",
	    HEAD "'default': 'deny', 'tools': {"
		 "'a': {}, 'b': {'action': 'allow'}}}");

	(void)state;
	allowed(p, "a", "");
	allowed(p, "b", "");
	denied(p, "c", "(default deny)", "this tool is not listed in the policy");
	denied(p, "A", "(default deny)", "this tool is not listed in the policy");
	policy_free(p);
}

static void
default_allow(void **state)
{
	struct policy *p = fixture_policy("p",
	    HEAD "'default': 'allow',"
		 "'all_tools': {'limits': [{'counter': 'calls', 'window': 'hour',"
		 "'max': 1}]}, 'tools': {'a': {'action': 'deny'}, 'b': {}}}");

	(void)state;
	denied(p, "a", "/tools/a/action", "the policy denies this tool");
	allowed(p, "b", "/all_tools/limits/calls ");
	allowed(p, "unlisted", "/all_tools/limits/calls ");
	policy_free(p);
}

static void
reasons_and_escapes(void **state)
{
	struct policy *p = fixture_policy("p",
	    HEAD "'default': 'allow', 'tools': {"
		 "'a/b~c': {'action': 'deny', 'reason': 'not by an agent'},"
		 "'d~/': {'limits': [{'counter': 'x/~', 'window': 1, 'max': 1}],"
		 "'rate_limit': {'max': 1, 'window': 1}}}}");

	(void)state;
	denied(p, "a/b~c", "/tools/a~1b~0c/action", "not by an agent");
	allowed(p, "d~/", "/tools/d~0~1/limits/x~1~0 /tools/d~0~1/rate_limit ");
	policy_free(p);
}

static void
hidden(void **state)
{
	struct policy *p = fixture_policy("p",
	    HEAD "'default': 'allow',"
		 "'tools': {'a': {}, 'b': {'action': 'deny'}, 'c': {}},"
		 "'hide': ['a', 'b', 'not listed']}");

	(void)state;
	denied(p, "a", "(hidden)", "this tool is hidden");
	denied(p, "b", "(hidden)", "this tool is hidden");
	denied(p, "not listed", "(hidden)", "this tool is hidden");
	allowed(p, "c", "");
	allowed(p, "d", "");
	policy_free(p);
}

static void
hidden_under_default_deny(void **state)
{
	struct policy *p = fixture_policy("p",
	    HEAD "'default': 'deny',"
		 "'hide': ['a', 'b'], 'tools': {'a': {}}}");

	(void)state;
	denied(p, "a", "(hidden)", "this tool is hidden");
	denied(p, "b", "(hidden)", "this tool is hidden");
	denied(p, "c", "(default deny)", "this tool is not listed in the policy");
	policy_free(p);
}

static void
all_hidden(void **state)
{
	struct policy *p = fixture_policy("p",
	    HEAD "'default': 'allow',"
		 "'hide': ['x', '*'], 'tools': {'a': {}}}");

	(void)state;
	denied(p, "a", "(hidden)", "this tool is hidden");
	denied(p, "x", "(hidden)", "this tool is hidden");
	denied(p, "never named", "(hidden)", "this tool is hidden");
	assert_int_equal(policy_tool_count(p), 1);
	policy_free(p);
}

static void
policy_order(void **state)
{
	struct policy *p = fixture_policy("p",
	    HEAD
	    "'default': 'deny',"
	    "'all_tools': {'limits': ["
	    "{'counter': 'z', 'window': 'hour', 'max': 1},"
	    "{'counter': 'y', 'window': 'hour', 'max': 1}]},"
	    "'tools': {'t': {'rate_limit': {'max': 5, 'window': 60}, 'limits': ["
	    "{'counter': 'b', 'window': 'hour', 'max': 1},"
	    "{'counter': 'a', 'window': 'hour', 'max': 1}]},"
	    "'r': {'rate_limit': {'max': 5, 'window': 60}}, 'e': {'limits': []}}}");

	(void)state;
	allowed(p, "t",
	    "/tools/t/limits/b /tools/t/limits/a /tools/t/rate_limit "
	    "/all_tools/limits/z /all_tools/limits/y ");
	allowed(p, "r", "/tools/r/rate_limit /all_tools/limits/z /all_tools/limits/y ");
	allowed(p, "e", "/all_tools/limits/z /all_tools/limits/y ");
	assert_int_equal(policy_limit_count(p), 6);
	policy_free(p);
}

/* The most that one ruling names: two full lists and the short form. */
static void
most_charges(void **state)
{
	struct buf text = { 0 };
	struct ruling ruling;
	struct policy *p;

	(void)state;
	buf_add_str(&text, HEAD "'default': 'deny', 'all_tools': {'limits': [");
	for (int i = 0; i < POLICY_LIMITS_MAX; i++)
		buf_printf(&text, "%s{'counter': 'a%d', 'window': 9, 'max': 1}",
		    i ? "," : "", i);
	buf_add_str(&text, "]}, 'tools': {'t': {'limits': [");
	for (int i = 0; i < POLICY_LIMITS_MAX; i++)
		buf_printf(&text, "%s{'counter': 't%d', 'window': 9, 'max': 1}",
		    i ? "," : "", i);
	buf_add_str(&text, "], 'rate_limit': {'max': 1, 'window': 9}}}}");
	p = fixture_policy("p", buf_cstr(&text));
	ruling = rule_of(p, "t");
	assert_int_equal(ruling.n_limits, POLICY_CHARGES_MAX);
	assert_string_equal(ruling.limits[16]->rule, "/tools/t/rate_limit");
	assert_string_equal(ruling.limits[32]->rule, "/all_tools/limits/a15");
	policy_free(p);
	buf_fini(&text);
}

/* A caller without a scratch loses patterns, never checks of them. */
static void
pattern_without_scratch(void **state)
{
	struct policy *p = fixture_policy("p",
	    HEAD "'default': 'deny', 'tools': {"
		 "'t': {'require': [{'conditions': ["
		 "{'path': 'grant', 'op': 'regex', 'value': 'alice'}]}]},"
		 "'u': {'deny_if': [{'conditions': ["
		 "{'path': 'grant', 'op': 'regex', 'value': 'bob'}]}]}}}");

	(void)state;
	assert_int_equal(rule_of(p, "t").verdict, VERDICT_DENY);
	assert_string_equal(rule_of(p, "t").rule, "/tools/t/require/grant-regex");
	assert_string_equal(rule_of(p, "u").rule, "/tools/u/deny_if/grant-regex");
	policy_free(p);
}

static const struct policy_limit *
limit_of(const struct policy *policy, const char *tool, size_t i)
{
	struct ruling ruling = rule_of(policy, tool);

	assert_true(i < ruling.n_limits);
	return ruling.limits[i];
}

static void
messages(void **state)
{
	struct policy *p = fixture_policy("p",
	    HEAD "'default': 'deny', 'tools': {"
		 "'t': {'rate_limit': {'max': 5, 'window': 90}, 'limits': ["
		 "{'counter': 'charges', 'window': 'hour', 'max': 30},"
		 "{'counter': 'b', 'window': '90s', 'max': 0, 'scope': 'global'},"
		 "{'counter': 'c', 'window': 60, 'max': 1, 'scope': ['org', 'grant']},"
		 "{'counter': 'd', 'window': 'day', 'max': 1, 'scope': 'session'},"
		 "{'counter': 'e', 'window': 'day', 'max': 1, 'on_deny': 'no more'}"
		 "]}}}");
	static const char *const wanted[] = {
		"limit \"charges\" is used up: 30 per hour for each grant",
		"limit \"b\" is used up: 0 per 90s for all callers",
		"limit \"c\" is used up: 1 per minute for each grant and org",
		"limit \"d\" is used up: 1 per day for each session",
		"no more",
		("limit \"t_rate_limit\" is used up: 5 per 90s for each session or "
		 "grant"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		assert_string_equal(limit_of(p, "t", i)->message, wanted[i]);
	assert_string_equal(limit_of(p, "t", 5)->counter, "t_rate_limit");
	assert_string_equal(limit_of(p, "t", 2)->scope.text, "grant&org");
	assert_int_equal(limit_of(p, "t", 0)->limit.max, 30);
	assert_int_equal(limit_of(p, "t", 0)->limit.window.len_ms, 3600000);
	assert_int_equal(limit_of(p, "t", 0)->limit.algorithm, ALGORITHM_FIXED);
	policy_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_deny),
		cmocka_unit_test(default_allow),
		cmocka_unit_test(reasons_and_escapes),
		cmocka_unit_test(hidden),
		cmocka_unit_test(hidden_under_default_deny),
		cmocka_unit_test(all_hidden),
		cmocka_unit_test(policy_order),
		cmocka_unit_test(most_charges),
		cmocka_unit_test(pattern_without_scratch),
		cmocka_unit_test(messages),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
