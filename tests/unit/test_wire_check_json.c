/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "wire/check_json.h"
#include "wire_decision.h"

static struct check_json cj;
static struct errinfo ei;

static int
parse(const char *body)
{
	check_json_fini(&cj);
	memset(&cj, 0, sizeof(cj));
	return check_json_parse(slice_str(body), &cj, &ei);
}

static void
test_least(void **state)
{
	(void)state;
	assert_int_equal(parse(" {\"tool\":\"t\",\"grant\":\"g\"}\n"), 0);
	assert_true(slice_eq_str(cj.request.call.tool, "t"));
	assert_true(slice_eq_str(cj.request.call.grant, "g"));
	assert_int_equal(cj.request.call.cost, 1);
	assert_null(cj.request.policy.ptr);
	assert_int_equal(cj.request.call.session.len, 0);
	assert_int_equal(cj.request.call.n_attributes, 0);
	assert_null(cj.request.call.args);
}

static void
test_all_members(void **state)
{
	const struct call *call = &cj.request.call;

	(void)state;
	assert_int_equal(parse("{\"cost\":7.0,\"mode\":\"enforce\",\"policy\":\"p\","
			       "\"session\":\"s\",\"args\":{\"a\":[{}]},"
			       "\"attributes\":{\"org\":\"acme\",\"team\":\"\"},"
			       "\"grant\":\"\\ud83d\\ude00\",\"tool\":\"t\"}"),
	    0);
	assert_int_equal(call->cost, 7);
	assert_true(slice_eq_str(cj.request.policy, "p"));
	assert_true(slice_eq_str(call->session, "s"));
	assert_true(slice_eq_str(call->grant, "\xF0\x9F\x98\x80"));
	assert_int_equal(call->n_attributes, 2);
	assert_true(slice_eq_str(call->attributes[0].name, "org"));
	assert_true(slice_eq_str(call->attributes[0].value, "acme"));
	assert_true(slice_eq_str(call->attributes[1].name, "team"));
	assert_int_equal(call->attributes[1].value.len, 0);
	assert_true(json_is_array(json_object_get(call->args, "a")));
	assert_null(cj.request.id.ptr);
	assert_int_equal(parse("{\"ttl\":86400,\"mode\":\"reserve\",\"tool\":\"t\","
			       "\"request_id\":\"r \\u00e9\",\"grant\":\"g\"}"),
	    0);
	assert_int_equal(cj.request.mode, MODE_RESERVE);
	assert_int_equal(cj.request.ttl_s, 86400);
	assert_true(slice_eq_str(cj.request.id, "r \xC3\xA9"));
	assert_int_equal(
	    parse("{\"mode\":\"peek\",\"tool\":\"t\",\"grant\":\"g\"}"), 0);
	assert_int_equal(cj.request.mode, MODE_PEEK);
	check_json_fini(&cj);
	check_json_fini(&cj);
}

#define TG "\"tool\":\"t\",\"grant\":\"g\""

static const struct {
	const char *body;
	int code;
	const char *text;
} bad[] = {
	{ "", ERR_SYNTAX, "the body is empty" },
	{ "[]", ERR_INVALID, "the body must be a JSON object, not an array" },
	{ "\"x\"", ERR_INVALID, "the body must be a JSON object, not \"x\"" },
	{ "{\"tool\":\"t\",\n\"grant\"}", ERR_SYNTAX, "line 2, column 8" },
	{ "{" TG "} x", ERR_SYNTAX, "more text" },
	{ "{" TG ",\"tool\":\"u\"}", ERR_INVALID, "twice" },
	{ "{\"grant\":\"g\"}", ERR_INVALID, "tool is missing" },
	{ "{\"tool\":\"t\"}", ERR_INVALID, "grant is missing" },
	{ "{}", ERR_INVALID, "tool is missing" },
	{ "{\"tool\":5,\"grant\":\"g\"}", ERR_INVALID, "tool must be a string, not 5" },
	{ "{\"tool\":null,\"grant\":\"g\"}", ERR_INVALID,
	    "tool must be a string, not null" },
	{ "{\"tool\":\"\",\"grant\":\"g\"}", ERR_INVALID, "tool" },
	{ "{\"tool\":\"t\",\"grant\":\"\"}", ERR_INVALID, "grant" },
	{ "{\"tool\":\"a\\u0000b\",\"grant\":\"g\"}", ERR_INVALID, "NUL" },
	{ "{\"tool\":\"\xFF\",\"grant\":\"g\"}", ERR_SYNTAX, "UTF-8" },
	{ "{\"tool\":\"\\ud800\",\"grant\":\"g\"}", ERR_SYNTAX, "the body" },
	{ "{" TG ",\"policy\":\"\"}", ERR_INVALID, "policy" },
	{ "{" TG ",\"session\":\"\"}", ERR_INVALID, "session" },
	{ "{" TG ",\"session\":[]}", ERR_INVALID, "session must be a string" },
	{ "{" TG ",\"sesion\":\"s\"}", ERR_INVALID,
	    "unknown field \"sesion\"; a check has tool, grant, policy, session, args, "
	    "attributes, cost, request_id, mode and ttl" },
	{ "{" TG ",\"a\\u001b[1m\":1}", ERR_INVALID, "unknown field \"a?[1m\"" },
	{ "{" TG ",\"args\":[]}", ERR_INVALID, "args must be an object, not an array" },
	{ "{" TG ",\"args\":null}", ERR_INVALID, "args must be an object, not null" },
	{ "{" TG ",\"attributes\":[]}", ERR_INVALID,
	    "attributes must be an object of strings" },
	{ "{" TG ",\"attributes\":{\"org\":1}}", ERR_INVALID,
	    "attributes.org must be a string, not 1" },
	{ "{" TG ",\"attributes\":{\"global\":\"x\"}}", ERR_INVALID, "global" },
	{ "{" TG ",\"attributes\":{\"\":\"x\"}}", ERR_INVALID, "attribute" },
	{ "{" TG ",\"cost\":\"5\"}", ERR_INVALID, "cost must be a whole number" },
	{ "{" TG ",\"cost\":1.5}", ERR_INVALID,
	    "cost must be a whole number from 0 to 9007199254740991, not 1.5" },
	{ "{" TG ",\"cost\":-1}", ERR_INVALID, "cost must be" },
	{ "{" TG ",\"cost\":9007199254740992}", ERR_INVALID, "cost must be" },
	{ "{" TG ",\"cost\":null}", ERR_INVALID, "cost must be" },
	{ "{" TG ",\"request_id\":\"\"}", ERR_INVALID, "request_id is empty" },
	{ "{" TG ",\"request_id\":7}", ERR_INVALID, "request_id must be a string" },
	{ "{" TG ",\"ttl\":1}", ERR_INVALID,
	    "ttl says how long a reservation lasts; it needs mode \"reserve\"" },
	{ "{" TG ",\"ttl\":1,\"mode\":\"enforce\"}", ERR_INVALID, "ttl says" },
	{ "{" TG ",\"ttl\":0,\"mode\":\"reserve\"}", ERR_INVALID,
	    "ttl must be a whole number from 1 to 86400, not 0" },
	{ "{" TG ",\"ttl\":1.5,\"mode\":\"reserve\"}", ERR_INVALID, "ttl must be" },
	{ "{" TG ",\"mode\":\"x\"}", ERR_INVALID, "mode must be \"enforce\"" },
	{ "{" TG ",\"mode\":1}", ERR_INVALID, "mode must be a string" },
};

static void
test_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int rc = parse(bad[i].body);

		if (rc != bad[i].code || ei.code != rc || !strstr(ei.text, bad[i].text))
			fail_msg("%s -> %d %s", bad[i].body, rc, ei.text);
		assert_null(cj.root);
	}
}

static void
test_sizes(void **state)
{
	struct buf body = { 0 };

	(void)state;
	buf_add_str(&body, "{" TG ",\"attributes\":{");
	for (int i = 0; i < CALL_ATTRIBUTES_MAX; i++)
		buf_printf(&body, "%s\"a%d\":\"v\"", i ? "," : "", i);
	buf_add_str(&body, "}}");
	assert_int_equal(parse(buf_cstr(&body)), 0);
	assert_int_equal(cj.request.call.n_attributes, CALL_ATTRIBUTES_MAX);
	body.len -= 2;
	buf_add_str(&body, ",\"b\":\"v\"}}");
	assert_int_equal(parse(buf_cstr(&body)), ERR_TOOBIG);
	assert_non_null(strstr(ei.text, "attributes may have at most 32"));

	buf_clear(&body);
	buf_add_str(&body, "{\"grant\":\"g\",\"tool\":\"");
	for (int i = 0; i < 1 << 20; i++)
		buf_add_char(&body, 'a');
	buf_add_str(&body, "\"}");
	assert_int_equal(parse(buf_cstr(&body)), ERR_TOOBIG);
	assert_non_null(strstr(ei.text, "tool"));

	buf_clear(&body);
	buf_add_str(&body, "{" TG ",\"args\":");
	for (int i = 0; i < 100000; i++)
		buf_add_str(&body, "{\"a\":");
	assert_int_equal(parse(buf_cstr(&body)), ERR_TOOBIG);
	assert_non_null(strstr(ei.text, "nested deeper than 64 levels"));
	buf_fini(&body);
}

static void
assert_formats(const struct decision *d, const char *text)
{
	struct buf out = { 0 };

	check_json_format(d, &out);
	assert_string_equal(buf_cstr(&out), text);
	buf_fini(&out);
}

#define LIMITS                                                                       \
	"[{\"counter\":\"charges\",\"window\":\"hour\",\"scope\":\"grant\",\"max\":" \
	"30,"                                                                        \
	"\"used\":30,\"remaining\":0,\"reset_ms\":1234,\"retry_after_ms\":1234},"    \
	"{\"counter\":\"a\\\"b\\\\c%d \xC3\xA9\\n\",\"window\":\"90s\","             \
	"\"scope\":\"grant&org\",\"max\":9007199254740991,\"used\":5,"               \
	"\"remaining\":9007199254740986,\"reset_ms\":90000,\"retry_after_ms\":0}]"

static void
test_format(void **state)
{
	struct decision d = decision_limited();

	(void)state;
	assert_formats(&d,
	    "{\"verdict\":\"deny\",\"rule\":\"/tools/t/limits/charges\","
	    "\"message\":\"too \\\"much\\\"\\r\\n\",\"policy\":\"p\",\"tool\":\"t\","
	    "\"grant\":\"g\",\"limits\":" LIMITS ",\"reset_ms\":1234,"
	    "\"retry_after_ms\":1234,\"degraded\":false,\"replayed\":false,"
	    "\"reservation\":null}");
	d = decision_allowed();
	d.degraded = d.replayed = true;
	d.reservation = slice_str("id");
	assert_formats(&d,
	    "{\"verdict\":\"allow\",\"rule\":\"\",\"message\":\"\",\"policy\":\"p\","
	    "\"tool\":\"t\",\"grant\":\"g\",\"limits\":" LIMITS ",\"reset_ms\":90000,"
	    "\"retry_after_ms\":0,\"degraded\":true,\"replayed\":true,"
	    "\"reservation\":\"id\"}");
	d = decision_approval();
	assert_formats(&d,
	    "{\"verdict\":\"require_approval\",\"rule\":\"/tools/t/action\","
	    "\"message\":\"ask\",\"policy\":\"p\",\"tool\":\"t\",\"grant\":\"g\","
	    "\"limits\":[],\"reset_ms\":-1,\"retry_after_ms\":0,\"degraded\":false,"
	    "\"replayed\":false,\"reservation\":null}");
	/* A shadow limit says what it would do; it is never the tightest. */
	d = decision_allowed();
	d.limits = limits_shadow;
	d.n_limits = 1;
	d.tightest = DECISION_NO_LIMIT;
	assert_formats(&d,
	    "{\"verdict\":\"allow\",\"rule\":\"\",\"message\":\"\",\"policy\":\"p\","
	    "\"tool\":\"t\",\"grant\":\"g\",\"limits\":[{\"counter\":\"charges\","
	    "\"window\":\"minute\",\"scope\":\"grant\",\"max\":3,\"used\":4,"
	    "\"remaining\":0,\"reset_ms\":900,\"retry_after_ms\":900,"
	    "\"would_deny\":true}],\"reset_ms\":-1,\"retry_after_ms\":0,"
	    "\"degraded\":false,\"replayed\":false,\"reservation\":null}");
}

static int
drop(void **state)
{
	(void)state;
	check_json_fini(&cj);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_all_members),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, drop);
}
