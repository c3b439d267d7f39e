/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "wire/check_resp.h"
#include "wire_decision.h"

static struct check_resp cr;
static struct errinfo ei;

/* The words of `line` as a command; '_' stands for an empty word. */
static int
parse(const char *line)
{
	static struct resp_command cmd;
	size_t need;

	assert_true(resp_parse(line, strlen(line), 1 << 20, &cmd, &need, &ei) > 0);
	for (size_t i = 0; i < cmd.n; i++)
		if (slice_eq_str(cmd.args[i], "_"))
			cmd.args[i].len = 0;
	check_resp_fini(&cr);
	memset(&cr, 0, sizeof(cr));
	return check_resp_parse(&cmd, &cr, &ei);
}

static void
test_least(void **state)
{
	(void)state;
	assert_int_equal(parse("CHECK t g\r\n"), 0);
	assert_true(slice_eq_str(cr.request.call.tool, "t"));
	assert_true(slice_eq_str(cr.request.call.grant, "g"));
	assert_int_equal(cr.request.call.cost, 1);
	assert_null(cr.request.policy.ptr);
	assert_int_equal(cr.request.call.session.len, 0);
	assert_int_equal(cr.request.timeout_ms, 0);
	assert_null(cr.request.call.args);
	assert_int_equal(cr.request.mode, MODE_ENFORCE);
	assert_null(cr.request.id.ptr);
	assert_int_equal(cr.request.ttl_s, 0);
}

static void
test_reservations(void **state)
{
	struct buf line = { 0 };

	(void)state;
	assert_int_equal(parse("CHECK t g ttl 86400 id r-1 MODE reserve\r\n"), 0);
	assert_int_equal(cr.request.mode, MODE_RESERVE);
	assert_int_equal(cr.request.ttl_s, 86400);
	assert_true(slice_eq_str(cr.request.id, "r-1"));
	assert_int_equal(parse("CHECK t g MODE peek\r\n"), 0);
	assert_int_equal(cr.request.mode, MODE_PEEK);
	assert_int_equal(parse("CHECK t g MODE Reserve\r\n"), 0);
	assert_int_equal(cr.request.mode, MODE_RESERVE);
	buf_printf(&line, "CHECK t g ID %0128d\r\n", 7);
	assert_int_equal(parse(buf_cstr(&line)), 0);
	assert_int_equal(cr.request.id.len, REQUEST_ID_MAX);
	buf_clear(&line);
	buf_printf(&line, "CHECK t g ID %0129d\r\n", 7);
	assert_int_equal(parse(buf_cstr(&line)), ERR_TOOBIG);
	assert_string_equal(ei.text, "ID is longer than 128 bytes");
	buf_fini(&line);
}

static void
test_all_options(void **state)
{
	const struct call *call = &cr.request.call;

	(void)state;
	assert_int_equal(parse("check t g timeout 60000 Policy p SESSION s cost 0 "
			       "ATTR org acme ATTR team _ MODE enforce "
			       "ARGS {\"a\":{\"b\":[1,null]}}\r\n"),
	    0);
	assert_true(slice_eq_str(cr.request.policy, "p"));
	assert_true(slice_eq_str(call->session, "s"));
	assert_int_equal(call->cost, 0);
	assert_int_equal(cr.request.timeout_ms, 60000);
	assert_int_equal(call->n_attributes, 2);
	assert_true(slice_eq_str(call->attributes[0].name, "org"));
	assert_true(slice_eq_str(call->attributes[0].value, "acme"));
	assert_true(slice_eq_str(call->attributes[1].name, "team"));
	assert_int_equal(call->attributes[1].value.len, 0);
	assert_true(json_is_object(json_object_get(call->args, "a")));
	check_resp_fini(&cr);
	check_resp_fini(&cr);
	assert_int_equal(parse("CHECK t g COST 9007199254740991\r\n"), 0);
	assert_int_equal(cr.request.call.cost, NUM_MAX);
}

static const struct {
	const char *line;
	int code;
	const char *text;
} bad[] = {
	{ "CHECK\r\n", ERR_INVALID, "CHECK needs a tool and a grant" },
	{ "CHECK t\r\n", ERR_INVALID, "CHECK needs a tool and a grant" },
	{ "CHECK _ g\r\n", ERR_INVALID, "tool" },
	{ "CHECK t _\r\n", ERR_INVALID, "grant" },
	{ "CHECK t g COST abc\r\n", ERR_INVALID,
	    "COST must be a whole number from 0 to 9007199254740991, not \"abc\"" },
	{ "CHECK t g COST 5.0\r\n", ERR_INVALID, "COST must be" },
	{ "CHECK t g COST -1\r\n", ERR_INVALID, "COST must be" },
	{ "CHECK t g COST 9007199254740992\r\n", ERR_INVALID, "COST must be" },
	{ "CHECK t g COST\r\n", ERR_INVALID, "COST needs a value" },
	{ "CHECK t g ATTR org\r\n", ERR_INVALID, "ATTR needs a name and a value" },
	{ "CHECK t g COST 1 cost 1\r\n", ERR_INVALID, "COST is given twice" },
	{ "CHECK t g POLICY _\r\n", ERR_INVALID, "POLICY" },
	{ "CHECK t g SESSION _\r\n", ERR_INVALID, "SESSION" },
	{ "CHECK t g SESION s\r\n", ERR_INVALID, "unknown option \"SESION\"" },
	{ "CHECK t g _ s\r\n", ERR_INVALID, "unknown option \"\"" },
	{ "CHECK t g TIMEOUT 0\r\n", ERR_INVALID,
	    "TIMEOUT must be a whole number from 1 to 60000, not \"0\"" },
	{ "CHECK t g TIMEOUT 60001\r\n", ERR_INVALID, "TIMEOUT must be" },
	{ "CHECK t g ARGS []\r\n", ERR_INVALID,
	    "ARGS must be a JSON object, not an array" },
	{ "CHECK t g ARGS {\"a\":1,\"a\":1}\r\n", ERR_INVALID,
	    "ARGS is not valid JSON" },
	{ "CHECK t g ARGS {\r\n", ERR_SYNTAX, "ARGS is not valid JSON: line 1" },
	{ "CHECK t g ARGS {} COST x\r\n", ERR_INVALID, "COST must be" },
	{ "CHECK t g ATTR org a ATTR org b\r\n", ERR_INVALID,
	    "ATTR: the attribute \"org\" is given twice" },
	{ "CHECK t g ATTR grant a\r\n", ERR_INVALID,
	    "ATTR: an attribute may not be named \"grant\"" },
	{ "CHECK t g ATTR _ a\r\n", ERR_INVALID, "ATTR: an attribute's name is empty" },
	{ "CHECK t\xFF g\r\n", ERR_INVALID, "tool" },
	{ "CHECK t g ID _\r\n", ERR_INVALID, "ID is empty" },
	{ "CHECK t g ID 1 ID 1\r\n", ERR_INVALID, "ID is given twice" },
	{ "CHECK t g ID \xFF\r\n", ERR_INVALID, "ID is not valid UTF-8" },
	{ "CHECK t g TTL 1\r\n", ERR_INVALID,
	    "TTL says how long a reservation lasts; it needs MODE \"reserve\"" },
	{ "CHECK t g TTL 1 MODE peek\r\n", ERR_INVALID, "TTL says" },
	{ "CHECK t g MODE reserve TTL 0\r\n", ERR_INVALID,
	    "TTL must be a whole number from 1 to 86400, not \"0\"" },
	{ "CHECK t g MODE reserve TTL 86401\r\n", ERR_INVALID, "TTL must be" },
	{ "CHECK t g MODE x\r\n", ERR_INVALID, "MODE must be \"enforce\"" },
};

static void
test_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int rc = parse(bad[i].line);

		if (rc != bad[i].code || ei.code != rc || !strstr(ei.text, bad[i].text))
			fail_msg("%s -> %d %s", bad[i].line, rc, ei.text);
		assert_null(cr.args);
	}
}

static void
test_many_attributes(void **state)
{
	struct buf line = { 0 };

	(void)state;
	buf_add_str(&line, "CHECK t g");
	for (int i = 0; i < CALL_ATTRIBUTES_MAX; i++)
		buf_printf(&line, " ATTR a%d v", i);
	buf_add_str(&line, "\r\n");
	assert_int_equal(parse(buf_cstr(&line)), 0);
	assert_int_equal(cr.request.call.n_attributes, CALL_ATTRIBUTES_MAX);
	line.len -= 2;
	buf_add_str(&line, " ATTR more v\r\n");
	assert_int_equal(parse(buf_cstr(&line)), ERR_TOOBIG);
	assert_non_null(strstr(ei.text, "ATTR may stand at most 32 times"));
	buf_fini(&line);
}

static void
assert_formats(const struct decision *d, const char *text)
{
	struct buf out = { 0 };

	check_resp_format(d, &out);
	assert_string_equal(buf_cstr(&out), text);
	buf_fini(&out);
}

static void
test_format(void **state)
{
	struct decision d = decision_allowed();

	(void)state;
	assert_formats(&d,
	    "*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n:9007199254740986\r\n:90000\r\n"
	    ":0\r\n$0\r\n\r\n:0\r\n");
	d.degraded = d.replayed = true;
	d.reservation = slice_str("res");
	assert_formats(&d,
	    "*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n:9007199254740986\r\n:90000\r\n"
	    ":0\r\n$3\r\nres\r\n:3\r\n");
	d = decision_limited();
	d.replayed = true;
	assert_formats(&d,
	    "*8\r\n:0\r\n$23\r\n/tools/t/limits/charges\r\n"
	    "$12\r\ntoo \"much\"\r\n\r\n:0\r\n:1234\r\n:1234\r\n"
	    "$0\r\n\r\n:2\r\n");
	d = decision_approval();
	d.degraded = true;
	assert_formats(&d,
	    "*8\r\n:2\r\n$15\r\n/tools/t/action\r\n$3\r\nask\r\n:-1\r\n"
	    ":-1\r\n:0\r\n$0\r\n\r\n:1\r\n");
}

static int
drop(void **state)
{
	(void)state;
	check_resp_fini(&cr);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_all_options),
		cmocka_unit_test(test_reservations),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_many_attributes),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, drop);
}
