/* SPDX-License-Identifier: ISC */
/* What an explanation says agrees with the ruling; which limits a grant's name tells. */
#include "policy_fixture.h"

#include "policy/explain.h"
#include "policy/regex.h"

static const char text[] =
    "{'version': '1', 'default': 'deny', 'hide': ['h'], 'tools': {"
    "  'no': {'action': 'deny', 'deny_if': [{'conditions': []}]},"
    "  'ask': {'action': 'require_approval', 'require': ["
    "    {'conditions': [{'path': 'args.n', 'op': 'lt', 'value': 5}]}]},"
    "  'all': {'limits': [{'counter': 'a', 'window': 'day', 'max': 1}], 'require': ["
    "    {'conditions': [{'path': 'args.s', 'op': 'regex', 'value': '^(a|a)*$'},"
    "                    {'path': 'args.n', 'op': 'exists', 'value': false}]}],"
    "   'deny_if': ["
    "    {'conditions': [{'path': 'args.l', 'op': 'contains', 'value': 1},"
    "                    {'path': 'args.s', 'op': 'not_in', 'value': ['a', 'aa']}]},"
    "    {'conditions': [{'path': 'org', 'op': 'eq', 'value': true}]}]}}}";

struct asked {
	struct policy *policy;
	struct regex_scratch *scratch;
	struct policy_explanation ex;
	struct ruling ruling;
	json_t *args;
};

static void
ask(struct asked *a, const char *tool, const char *args)
{
	struct call_attribute org = { slice_str("org"), slice_str("acme") };
	struct call call = { .tool = slice_str(tool),
		.grant = slice_str("g"),
		.attributes = &org,
		.n_attributes = 1,
		.cost = 1 };

	policy_explanation_fini(&a->ex);
	json_decref(a->args);
	a->args = json_loads(args, 0, NULL);
	assert_non_null(a->args);
	call.args = a->args;
	policy_rule(a->policy, &call, a->scratch, &a->ruling);
	assert_int_equal(policy_explain(a->policy, &call, a->scratch, &a->ex), 0);
	assert_int_equal(
	    a->ex.decided == STEP_LIMITS, a->ruling.verdict == VERDICT_ALLOW);
	assert_int_equal(a->ex.n_limits, a->ruling.n_limits);
}

/* What the conditions came to, a letter each. */
static const char *
letters(const struct asked *a)
{
	static char out[16];
	size_t n = 0;

	for (size_t i = 0; i < a->ex.n_entries; i++)
		for (size_t k = 0; k < a->ex.entries[i].n_conditions; k++)
			out[n++] = "YMPTVLHN"[a->ex.entries[i].conditions[k].finding];
	out[n] = '\0';
	return out;
}

static void
test_steps(void **state)
{
	static const struct {
		const char *tool, *args;
		enum policy_step decided;
		const char *letters;
	} rows[] = {
		{ "h", "{}", STEP_HIDDEN, "" },
		{ "x", "{}", STEP_DEFAULT, "" },
		{ "no", "{}", STEP_ACTION, "" },
		{ "ask", "{}", STEP_REQUIRE, "M" },
		{ "ask", "{\"n\": null}", STEP_REQUIRE, "M" },
		{ "ask", "{\"n\": 5}", STEP_REQUIRE, "V" },
		{ "ask", "{\"n\": \"1\"}", STEP_REQUIRE, "T" },
		{ "ask", "{\"n\": 4.5}", STEP_APPROVAL, "Y" },
		{ "all", "{}", STEP_REQUIRE, "MNNNN" },
		{ "all", "{\"s\": 1}", STEP_REQUIRE, "TNNNN" },
		{ "all", "{\"s\": \"b\"}", STEP_REQUIRE, "VNNNN" },
		{ "all", "{\"s\": \"a\", \"n\": 0}", STEP_REQUIRE, "YPNNN" },
		{ "all", "{\"s\": \"a\"}", STEP_LIMITS, "YYMNT" },
		{ "all", "{\"s\": \"a\", \"l\": [2]}", STEP_LIMITS, "YYVNT" },
		{ "all", "{\"s\": \"a\", \"l\": \"1\"}", STEP_LIMITS, "YYTNT" },
		{ "all", "{\"s\": \"a\", \"l\": [1]}", STEP_LIMITS, "YYYVT" },
		{ "all", "{\"s\": \"aaa\", \"l\": [1]}", STEP_DENY_IF, "YYYYN" },
		{ "all",
		    "{\"s\": "
		    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"}",
		    STEP_REQUIRE, "HNNNN" },
	};
	struct asked a = { .policy = fixture_policy("p", text),
		.scratch = regex_scratch_new() };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ask(&a, rows[i].tool, rows[i].args);
		assert_int_equal(a.ex.decided, rows[i].decided);
		assert_string_equal(letters(&a), rows[i].letters);
	}
	policy_explanation_fini(&a.ex);
	regex_scratch_free(a.scratch);
	json_decref(a.args);
	policy_free(a.policy);
}

static void
test_entries(void **state)
{
	struct asked a = { .policy = fixture_policy("p", text) };
	const struct entry_finding *e;

	(void)state;
	/* Without a scratch a pattern cannot be matched. */
	ask(&a, "all", "{\"s\": \"a\"}");
	assert_string_equal(letters(&a), "HNNNN");
	assert_int_equal(a.ex.n_entries, 3);
	e = a.ex.entries;
	assert_true(e[0].required && e[0].asked && e[0].denies);
	assert_false(e[1].required || e[1].asked || e[1].denies);
	assert_string_equal(e[0].rule, a.ruling.rule);
	assert_string_equal(e[1].conditions[1].path, "args.s");
	assert_string_equal(e[1].conditions[1].op, "not_in");
	assert_true(slice_eq_str(e[1].conditions[1].value, "[\"a\", \"aa\"]"));
	assert_true(slice_eq_str(e[2].conditions[0].value, "true"));
	policy_explanation_fini(&a.ex);
	json_decref(a.args);
	policy_free(a.policy);
}

static void
test_limits_of_a_grant(void **state)
{
	struct policy *p = fixture_policy("p",
	    "{'version': '1', 'default': 'deny',"
	    " 'all_tools': {'limits': ["
	    "   {'counter': 'n', 'window': 'day', 'max': 1, 'scope': 'global'}]},"
	    " 'tools': {"
	    "  'a': {'limits': [{'counter': 'n', 'window': 'hour', 'max': 1},"
	    "                   {'counter': 'o', 'window': 'hour', 'max': 1,"
	    "                    'scope': 'org'}], 'rate_limit': {'max': 1, 'window': "
	    "60}},"
	    "  'b': {'limits': [{'counter': 'n', 'window': '60m', 'max': 1,"
	    "                    'scope': ['grant']},"
	    "                   {'counter': 's', 'window': 'hour', 'max': 1,"
	    "                    'scope': ['grant', 'session']}]},"
	    "  'c': {'limits': [{'counter': 'n', 'window': 'hour', 'max': 2}]},"
	    "  'd': {'limits': [{'counter': 'n', 'window': 'hour', 'max': 2,"
	    "                    'cost_from': 'args.x', 'overrides': {'g': 7}}]}}}");
	struct call call = { .grant = slice_str("g") };
	const struct policy_limit *const *limits;
	const char *scope;
	struct buf got = { 0 };
	size_t n, others;

	(void)state;
	limits = policy_grant_limits(p, &n, &others);
	for (size_t i = 0; i < n; i++) {
		const struct policy_limit *l =
		    policy_counter(limits[i], &call, &got, &scope);

		buf_printf(&got, " %s %lld\n", scope, (long long)l->limit.max);
	}
	assert_string_equal(buf_cstr(&got),
	    "ration:p:{grant=g}:n:hour grant 1\n"
	    "ration:p:{grant=g}:a_rate_limit:minute grant 1\n"
	    "ration:p:{grant=g}:n:hour grant 2\n"
	    "ration:p:{grant=g}:n:hour grant 7\n"
	    "ration:p:{global}:n:day global 1\n");
	assert_int_equal(others, 2);
	buf_fini(&got);
	policy_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_limits_of_a_grant),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
