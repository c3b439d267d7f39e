/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "base/num.h"
#include "policy/call.h"

static struct call
good_call(void)
{
	struct call call = {
		.tool = slice_str("search"), .grant = slice_str("alice"), .cost = 1
	};

	return call;
}

static void
refused(const struct call *call, int code, const char *piece)
{
	struct errinfo ei;

	assert_int_equal(call_validate(call, &ei), code);
	assert_int_equal(ei.code, code);
	if (!strstr(ei.text, piece))
		fail_msg("wanted \"%s\" in \"%s\"", piece, ei.text);
}

static void
good_calls(void **state)
{
	struct call_attribute attributes[] = { { slice_str("org"), slice_str("") },
		{ slice_str("Grant"), slice_str("\xF0\x9F\x98\x80") } };
	char longest[CALL_NAME_MAX];
	struct call call = good_call();
	struct errinfo ei;

	(void)state;
	assert_int_equal(call_validate(&call, &ei), 0);
	memset(longest, 'x', sizeof(longest));
	call.tool = slice_make(longest, sizeof(longest));
	call.session = slice_str("s\n");
	call.attributes = attributes;
	call.n_attributes = 2;
	call.cost = NUM_MAX;
	call.args = json_object();
	assert_int_equal(call_validate(&call, &ei), 0);
	json_decref((json_t *)(uintptr_t)call.args);
}

static void
bad_names(void **state)
{
	char long_name[CALL_NAME_MAX + 1];
	struct call call = good_call();

	(void)state;
	memset(long_name, 'x', sizeof(long_name));
	call.tool = slice_str("");
	refused(&call, ERR_INVALID, "tool is empty");
	call.tool = slice_make(long_name, sizeof(long_name));
	refused(&call, ERR_TOOBIG, "tool is longer than 1024 bytes");
	call.tool = slice_make("a\0b", 3);
	refused(&call, ERR_INVALID, "tool holds a NUL byte");
	call.tool = slice_str("a\xFF");
	refused(&call, ERR_INVALID, "tool is not valid UTF-8");
	call = good_call();
	call.grant = slice_str(NULL);
	refused(&call, ERR_INVALID, "grant is empty");
	call = good_call();
	call.session = slice_make("\0", 1);
	refused(&call, ERR_INVALID, "session holds a NUL byte");
}

static void
bad_attribute(struct slice name, struct slice value, int code, const char *piece)
{
	struct call_attribute attributes[] = { { slice_str("org"), slice_str("acme") },
		{ name, value } };
	struct call call = good_call();

	call.attributes = attributes;
	call.n_attributes = 2;
	refused(&call, code, piece);
}

static void
bad_attributes(void **state)
{
	static const char *const reserved[] = { "grant", "session", "global", "tool",
		"policy" };
	struct call_attribute many[CALL_ATTRIBUTES_MAX + 1] = { 0 };
	struct call call = good_call();
	char long_value[CALL_NAME_MAX + 1] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		bad_attribute(slice_str(reserved[i]), slice_str("x"), ERR_INVALID,
		    "may not be named");
	bad_attribute(slice_str("org"), slice_str("x"), ERR_INVALID,
	    "the attribute \"org\" is given twice");
	bad_attribute(
	    slice_str(""), slice_str("x"), ERR_INVALID, "an attribute's name is empty");
	bad_attribute(slice_str("a"), slice_str("\xC0"), ERR_INVALID,
	    "an attribute's value is not valid UTF-8");
	bad_attribute(slice_str("a"), slice_make(long_value, sizeof(long_value)),
	    ERR_TOOBIG, "an attribute's value is longer");
	call.attributes = many;
	call.n_attributes = ARRAY_LEN(many);
	refused(&call, ERR_TOOBIG, "more than 32 attributes");
}

static void
bad_cost_and_args(void **state)
{
	struct call call = good_call();
	json_t *list = json_array();

	(void)state;
	call.cost = -1;
	refused(&call, ERR_INVALID, "cost is not a whole number");
	call.cost = NUM_MAX + 1;
	refused(&call, ERR_INVALID, "cost is not a whole number");
	call.cost = 0;
	call.args = list;
	refused(&call, ERR_INVALID, "args is not an object");
	json_decref(list);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_calls),
		cmocka_unit_test(bad_names),
		cmocka_unit_test(bad_attributes),
		cmocka_unit_test(bad_cost_and_args),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
