/* SPDX-License-Identifier: ISC */
/* What is not one document in tests/policies: names, many faults, great sizes. */
#include "policy_fixture.h"

#include "base/clock.h"

#define HEAD "{\"version\": \"1\", \"default\": \"deny\", "

static void
what_it_tells(void **state)
{
	static const char text[] = "{\"version\": \"1\", \"default\": \"deny\", "
				   "\"description\": \"for agents\"}";
	struct policy *policy = fixture_policy("agents", text);
	char hash[65];

	(void)state;
	hash_sha256_hex(slice_str(text), hash, 64);
	assert_string_equal(policy_name(policy), "agents");
	assert_string_equal(policy_description(policy), "for agents");
	assert_string_equal(policy_hash(policy), hash);
	policy_free(policy);
	policy = fixture_policy("p", "{\"version\": \"1\", \"default\": \"deny\"}");
	assert_string_equal(policy_description(policy), "");
	policy_free(policy);
	policy_free(NULL);
}

static void
names(void **state)
{
	static const char text[] = "{\"version\": \"1\", \"default\": \"deny\"}";
	char long_name[CALL_NAME_MAX + 2];
	struct errlist errors;

	(void)state;
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_null(policy_parse("", "f", text, strlen(text), NULL, &errors));
	assert_non_null(strstr(errors.items[0].text, "the policy's name is empty"));
	errlist_fini(&errors);
	assert_null(policy_parse(long_name, "f", text, strlen(text), NULL, &errors));
	assert_int_equal(errors.items[0].code, ERR_TOOBIG);
	errlist_fini(&errors);
}

static void
codes(void **state)
{
	static const struct {
		const char *text;
		int code;
	} rows[] = {
		{ "", ERR_SYNTAX },
		{ "{", ERR_SYNTAX },
		{ "[]", ERR_INVALID },
		{ HEAD "\"on_store_failure\": \"Local\"}", ERR_INVALID },
		{ HEAD "\"nothing\": 1}", ERR_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errlist errors;

		fixture_faults(rows[i].text, strlen(rows[i].text), &errors);
		assert_int_equal(errors.items[0].code, rows[i].code);
		assert_string_equal(errors.items[0].file, "test.json");
		errlist_fini(&errors);
	}
}

/* Every prefix of a good document is refused, and none is read past its end. */
static void
truncated(void **state)
{
	struct buf text = { 0 };

	(void)state;
	fixture_read("policies/good/names.json", &text);
	while (text.len > 0 && text.data[text.len - 1] == '\n')
		text.len--;
	for (size_t len = 0; len < text.len; len++) {
		char *copy = malloc(len ? len : 1);
		struct errlist errors;

		assert_non_null(copy);
		memcpy(copy, text.data, len);
		fixture_faults(copy, len, &errors);
		assert_true(errors.items[0].line >= 1);
		assert_true(errors.items[0].column >= 1);
		errlist_fini(&errors);
		free(copy);
	}
	buf_fini(&text);
}

static void
too_long(void **state)
{
	size_t len = POLICY_BYTES_MAX + 1;
	char *text = malloc(len);
	struct errlist errors;

	(void)state;
	assert_non_null(text);
	memset(text, ' ', len);
	fixture_faults(text, len, &errors);
	assert_int_equal(errors.items[0].code, ERR_TOOBIG);
	errlist_fini(&errors);
	free(text);
}

/* More faults than a list keeps: the first in the text are kept, the others counted. */
static void
many_faults(void **state)
{
	struct errlist errors;
	struct buf text = { 0 };

	(void)state;
	buf_add_str(&text, HEAD "\"tools\": {\n");
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "\"t%d\": {\"limit\": 1},\n", i);
	buf_add_str(&text, "\"t\": {}}}");
	fixture_faults(text.data, text.len, &errors);
	assert_int_equal(errors.n, ERRLIST_MAX);
	assert_int_equal(errors.more, 1000 - ERRLIST_MAX);
	for (size_t i = 0; i < errors.n; i++)
		assert_int_equal(errors.items[i].line, (int)i + 2);
	errlist_fini(&errors);
	buf_fini(&text);
}

static void
add_tool(struct buf *text, int i, bool with_limit)
{
	buf_printf(text, "%s\n\"tool_%d\": {", i ? "," : "", i);
	if (with_limit)
		buf_printf(text,
		    "\"limits\": [{\"counter\": \"c%d\", \"window\": "
		    "\"hour\", \"max\": %d}]",
		    i, i);
	buf_add_char(text, '}');
}

/* 10,000 tools, 1,000 of them with a limit. Something that grows with the square of
 * these would take minutes here, under a sanitizer. */
static void
big(void **state)
{
	struct buf text = { 0 };
	struct policy *policy;
	struct ruling ruling;
	struct call call = { .tool = slice_str("tool_9990"), .grant = slice_str("g") };
	int64_t start_us;

	(void)state;
	buf_add_str(&text, HEAD "\"hide\": [");
	for (int i = 0; i < 10000; i++)
		buf_printf(&text, "%s\"hidden_%d\"", i ? "," : "", i);
	buf_add_str(&text,
	    "], \"all_tools\": {\"limits\": [{\"counter\": \"all\", "
	    "\"window\": \"day\", \"max\": 1}]}, \"tools\": {");
	for (int i = 0; i < 10000; i++)
		add_tool(&text, i, i % 10 == 0);
	buf_add_str(&text, "}}");
	start_us = clock_mono_us();
	policy = fixture_policy("p", buf_cstr(&text));
	print_message("%zu bytes in %lld us\n", text.len,
	    (long long)(clock_mono_us() - start_us));
	assert_int_equal(policy_tool_count(policy), 10000);
	assert_int_equal(policy_limit_count(policy), 1001);
	policy_rule(policy, &call, NULL, &ruling);
	assert_int_equal(ruling.n_limits, 2);
	assert_string_equal(ruling.limits[0]->rule, "/tools/tool_9990/limits/c9990");
	policy_free(policy);
	buf_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_tells),
		cmocka_unit_test(names),
		cmocka_unit_test(codes),
		cmocka_unit_test(truncated),
		cmocka_unit_test(too_long),
		cmocka_unit_test(many_faults),
		cmocka_unit_test(big),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
