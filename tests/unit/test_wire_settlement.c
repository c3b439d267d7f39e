/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "wire/settlement.h"

static struct errinfo ei;
static struct settlement_request settlement;
static struct reset_request reset;
static struct resp_command cmd;
static json_t *root;

/* The words of `line` into `cmd`; '_' stands for an empty word. */
static void
say(const char *line)
{
	static char text[512];
	size_t need;

	snprintf(text, sizeof(text), "%s\r\n", line);
	assert_true(resp_parse(text, strlen(text), 1 << 20, &cmd, &need, &ei) > 0);
	for (size_t i = 0; i < cmd.n; i++)
		if (slice_eq_str(cmd.args[i], "_"))
			cmd.args[i].len = 0;
}

static enum settle_action
action_of(const char *line)
{
	return strncasecmp(line, "com", 3) == 0 ? SETTLE_COMMIT
	    : strncasecmp(line, "rol", 3) == 0  ? SETTLE_ROLLBACK
						: SETTLE_RENEW;
}

static int
parse_words(const char *line)
{
	say(line);
	return settlement_resp_parse(&cmd, action_of(line), &settlement, &ei);
}

static int
parse_reset_words(const char *line)
{
	say(line);
	return reset_resp_parse(&cmd, &reset, &ei);
}

static int
parse_body(enum settle_action action, const char *body)
{
	json_decref(root);
	root = NULL;
	return settlement_json_parse(slice_str(body), action, &settlement, &root, &ei);
}

static int
parse_reset_body(const char *body)
{
	json_decref(root);
	root = NULL;
	return reset_json_parse(slice_str(body), &reset, &root, &ei);
}

static void
test_words(void **state)
{
	(void)state;
	assert_int_equal(parse_words("COMMIT r"), 0);
	assert_int_equal(settlement.action, SETTLE_COMMIT);
	assert_true(slice_eq_str(settlement.reservation, "r"));
	assert_int_equal(settlement.cost, -1);
	assert_null(settlement.grant.ptr);
	assert_int_equal(settlement.timeout_ms, 0);
	assert_int_equal(parse_words("commit r timeout 9 grant g cost 0"), 0);
	assert_int_equal(settlement.cost, 0);
	assert_int_equal(settlement.timeout_ms, 9);
	assert_true(slice_eq_str(settlement.grant, "g"));
	assert_int_equal(parse_words("COMMIT r COST 9007199254740991"), 0);
	assert_int_equal(settlement.cost, NUM_MAX);
	assert_int_equal(parse_words("ROLLBACK r GRANT g"), 0);
	assert_int_equal(settlement.action, SETTLE_ROLLBACK);
	assert_int_equal(parse_words("RENEW r TTL 86400 GRANT g"), 0);
	assert_int_equal(settlement.action, SETTLE_RENEW);
	assert_int_equal(settlement.ttl_s, 86400);
}

static void
test_words_refused(void **state)
{
	static const struct {
		const char *line, *text;
	} rows[] = {
		{ "COMMIT",
		    "COMMIT needs a reservation: COMMIT reservation [COST n] [GRANT "
		    "g]" },
		{ "COMMIT _", "reservation is empty" },
		{ "COMMIT \xFF", "reservation is not valid UTF-8" },
		{ "COMMIT r COST", "COST needs a value" },
		{ "COMMIT r COST -1", "COST must be a whole number from 0 to" },
		{ "COMMIT r COST 9007199254740992", "COST must be" },
		{ "COMMIT r COST 1 COST 1", "COST is given twice" },
		{ "COMMIT r GRANT _", "GRANT is empty" },
		{ "COMMIT r TIMEOUT 0",
		    "TIMEOUT must be a whole number from 1 to 60000" },
		{ "COMMIT r TTL 5",
		    "unknown option \"TTL\" of COMMIT; it has COST, GRANT and "
		    "TIMEOUT" },
		{ "ROLLBACK r COST 5",
		    "unknown option \"COST\" of ROLLBACK; it has GRANT and TIMEOUT" },
		{ "RENEW r", "RENEW needs TTL: RENEW reservation TTL seconds" },
		{ "RENEW r GRANT g", "RENEW needs TTL" },
		{ "RENEW r TTL 0", "TTL must be a whole number from 1 to 86400" },
		{ "RENEW r TTL 86401", "TTL must be" },
		{ "RENEW r TTL 5 COST 1",
		    "unknown option \"COST\" of RENEW; it has TTL, GRANT and "
		    "TIMEOUT" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (parse_words(rows[i].line) != ERR_INVALID ||
		    !strstr(ei.text, rows[i].text))
			fail_msg("%s: %s", rows[i].line, ei.text);
	}
}

static void
test_reset_words(void **state)
{
	(void)state;
	assert_int_equal(parse_reset_words("RESET p c minute grant=g"), 0);
	assert_true(slice_eq_str(reset.policy, "p"));
	assert_true(slice_eq_str(reset.counter, "c"));
	assert_true(slice_eq_str(reset.window, "minute"));
	assert_true(slice_eq_str(reset.scope, "grant=g"));
	assert_int_equal(parse_reset_words("RESET p global"), 0);
	assert_true(slice_eq_str(reset.scope, "global"));
	assert_null(reset.counter.ptr);
	assert_null(reset.window.ptr);
	assert_int_equal(parse_reset_words("RESET"), ERR_INVALID);
	assert_non_null(strstr(ei.text, "RESET policy [counter window] scope"));
	assert_int_equal(parse_reset_words("RESET p c global"), ERR_INVALID);
	assert_int_equal(parse_reset_words("RESET p c minute global x"), ERR_INVALID);
	assert_int_equal(parse_reset_words("RESET _ global"), ERR_INVALID);
	assert_string_equal(ei.text, "policy is empty");
	assert_int_equal(parse_reset_words("RESET p _ minute global"), ERR_INVALID);
	assert_string_equal(ei.text, "counter is empty");
	assert_int_equal(parse_reset_words("RESET p c _ global"), ERR_INVALID);
	assert_string_equal(ei.text, "window is empty");
	assert_int_equal(parse_reset_words("RESET p c minute _"), ERR_INVALID);
	assert_string_equal(ei.text, "scope is empty");
}

static void
test_bodies(void **state)
{
	(void)state;
	assert_int_equal(parse_body(SETTLE_COMMIT, "{\"reservation\":\"r\"}"), 0);
	assert_int_equal(settlement.action, SETTLE_COMMIT);
	assert_true(slice_eq_str(settlement.reservation, "r"));
	assert_int_equal(settlement.cost, -1);
	assert_null(settlement.grant.ptr);
	assert_int_equal(parse_body(SETTLE_COMMIT,
			     "{\"cost\":7.0,\"grant\":\"g\",\"reservation\":\"r\"}"),
	    0);
	assert_int_equal(settlement.cost, 7);
	assert_true(slice_eq_str(settlement.grant, "g"));
	assert_int_equal(
	    parse_body(SETTLE_RENEW, "{\"ttl\":1,\"reservation\":\"r\"}"), 0);
	assert_int_equal(settlement.ttl_s, 1);
	assert_int_equal(parse_body(SETTLE_RENEW, "{\"reservation\":\"r\"}"), 0);
	assert_int_equal(settlement.ttl_s, 0);
	assert_int_equal(parse_body(SETTLE_ROLLBACK, "{\"reservation\":\"r\"}"), 0);
}

static void
test_bodies_refused(void **state)
{
	static const struct {
		enum settle_action action;
		const char *body, *text;
	} rows[] = {
		{ SETTLE_COMMIT, "", "the body is empty" },
		{ SETTLE_COMMIT, "{", "the body is not valid JSON" },
		{ SETTLE_COMMIT, "[1]",
		    "the body must be a JSON object, not an array" },
		{ SETTLE_COMMIT, "{}", "reservation is missing; a commit names it" },
		{ SETTLE_RENEW, "{\"ttl\":1}", "reservation is missing; a renewal" },
		{ SETTLE_COMMIT, "{\"reservation\":1}",
		    "reservation must be a string, not 1" },
		{ SETTLE_COMMIT, "{\"reservation\":\"\"}", "reservation is empty" },
		{ SETTLE_COMMIT, "{\"reservation\":null}", "reservation must be" },
		{ SETTLE_COMMIT, "{\"reservation\":\"r\",\"reservation\":\"r\"}",
		    "twice" },
		{ SETTLE_COMMIT, "{\"reservation\":\"r\",\"cost\":-1}",
		    "cost must be a whole number from 0" },
		{ SETTLE_COMMIT, "{\"reservation\":\"r\",\"cost\":null}", "cost must" },
		{ SETTLE_COMMIT, "{\"reservation\":\"r\",\"grant\":\"\"}",
		    "grant is empty" },
		{ SETTLE_COMMIT, "{\"reservation\":\"r\",\"ttl\":1}",
		    "unknown field \"ttl\"; a commit has reservation, cost and grant" },
		{ SETTLE_ROLLBACK, "{\"reservation\":\"r\",\"cost\":1}",
		    "unknown field \"cost\"; a rollback has reservation and grant" },
		{ SETTLE_RENEW, "{\"reservation\":\"r\",\"cost\":1}",
		    "unknown field \"cost\"; a renewal has reservation, ttl and "
		    "grant" },
		{ SETTLE_RENEW, "{\"reservation\":\"r\",\"ttl\":0}",
		    "ttl must be a whole number from 1 to 86400, not 0" },
		{ SETTLE_RENEW, "{\"reservation\":\"r\",\"ttl\":86401}", "ttl must" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int rc = parse_body(rows[i].action, rows[i].body);

		if (rc >= 0 || rc != ei.code || !strstr(ei.text, rows[i].text))
			fail_msg("%s: %d %s", rows[i].body, rc, ei.text);
		assert_null(root);
	}
}

#define RESET_WINDOW(value) \
	"{\"scope\":\"global\",\"counter\":\"c\",\"window\":" value "}"

/* A policy may have its window as a number of seconds, and so may a reset. */
static void
test_reset_windows_in_seconds(void **state)
{
	(void)state;
	assert_int_equal(parse_reset_body(RESET_WINDOW("60")), 0);
	assert_true(slice_eq_str(reset.window, "60"));
	assert_int_equal(parse_reset_body(RESET_WINDOW("6e1")), 0);
	assert_true(slice_eq_str(reset.window, "60"));
	assert_int_equal(parse_reset_body(RESET_WINDOW("9007199254740991")), 0);
	assert_true(slice_eq_str(reset.window, "9007199254740991"));
	assert_int_equal(parse_reset_body(RESET_WINDOW("\"60\"")), 0);
	assert_true(slice_eq_str(reset.window, "60"));
}

static void
test_reset_bodies(void **state)
{
	static const struct {
		const char *body, *text;
	} rows[] = {
		{ "[]", "the body must be a JSON object" },
		{ "{}", "scope is missing" },
		{ "{\"scope\":\"\"}", "scope is empty" },
		{ "{\"scope\":7}", "scope must be a string, not 7" },
		{ "{\"scope\":\"global\",\"counter\":\"c\"}",
		    "window is missing; a reset names counter and window, or neither" },
		{ "{\"scope\":\"global\",\"window\":\"day\"}", "counter is missing" },
		{ "{\"scope\":\"global\",\"policy\":\"\"}", "policy is empty" },
		{ "{\"scope\":\"global\",\"grant\":\"g\"}",
		    "unknown field \"grant\"; a reset has policy, counter, window and "
		    "scope" },
		{ RESET_WINDOW("0"), "window must be a whole number from 1 to" },
		{ RESET_WINDOW("-60"), "window must be a whole number from 1 to" },
		{ RESET_WINDOW("1.5"), "window must be a whole number from 1 to" },
		{ RESET_WINDOW("1e300"), "window must be a whole number from 1 to" },
		{ RESET_WINDOW("true"), "window must be a string, not true" },
	};

	(void)state;
	assert_int_equal(parse_reset_body("{\"scope\":\"global\"}"), 0);
	assert_true(slice_eq_str(reset.scope, "global"));
	assert_null(reset.policy.ptr);
	assert_null(reset.counter.ptr);
	assert_int_equal(parse_reset_body("{\"window\":\"day\",\"policy\":\"p\","
					  "\"scope\":\"grant=g\",\"counter\":\"c\"}"),
	    0);
	assert_true(slice_eq_str(reset.policy, "p"));
	assert_true(slice_eq_str(reset.counter, "c"));
	assert_true(slice_eq_str(reset.window, "day"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int rc = parse_reset_body(rows[i].body);

		if (rc != ERR_INVALID || !strstr(ei.text, rows[i].text))
			fail_msg("%s: %d %s", rows[i].body, rc, ei.text);
		assert_null(root);
	}
}

/* A scope may name several values; it has an end all the same. */
static void
test_long_scopes(void **state)
{
	struct buf body = { 0 };

	(void)state;
	buf_printf(&body, "{\"scope\":\"%0*d\"}", RESET_SCOPE_MAX, 1);
	assert_int_equal(parse_reset_body(buf_cstr(&body)), 0);
	buf_clear(&body);
	buf_printf(&body, "{\"scope\":\"%0*d\"}", RESET_SCOPE_MAX + 1, 1);
	assert_int_equal(parse_reset_body(buf_cstr(&body)), ERR_TOOBIG);
	assert_string_equal(ei.text, "scope is longer than 8192 bytes");
	buf_fini(&body);
}

static void
test_answers(void **state)
{
	struct reset_request asked = { .scope = slice_str("grant=\"\n") };
	struct buf out = { 0 };
	struct buf of = { 0 };

	(void)state;
	settlement_json_format(true, slice_str("p:g:00"), &out);
	assert_string_equal(
	    buf_cstr(&out), "{\"done\":true,\"reservation\":\"p:g:00\"}");
	buf_clear(&out);
	reset_json_asked(&asked, &of);
	assert_string_equal(buf_cstr(&of),
	    "{\"policy\":null,\"counter\":null,\"window\":null,"
	    "\"scope\":\"grant=\\\"\\n\"}");
	reset_json_format(3, 2, buf_slice(&of), &out);
	assert_string_equal(buf_cstr(&out),
	    "{\"reset\":3,\"held\":2,\"policy\":null,\"counter\":null,"
	    "\"window\":null,\"scope\":\"grant=\\\"\\n\"}");
	buf_clear(&of);
	asked = (struct reset_request){ slice_str("p"), slice_str("c"),
		slice_str("day"), slice_str("global") };
	reset_json_asked(&asked, &of);
	assert_string_equal(buf_cstr(&of),
	    "{\"policy\":\"p\",\"counter\":\"c\",\"window\":\"day\","
	    "\"scope\":\"global\"}");
	buf_fini(&out);
	buf_fini(&of);
}

static int
drop(void **state)
{
	(void)state;
	json_decref(root);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_words_refused),
		cmocka_unit_test(test_reset_words),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_bodies_refused),
		cmocka_unit_test(test_reset_windows_in_seconds),
		cmocka_unit_test(test_reset_bodies),
		cmocka_unit_test(test_long_scopes),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, drop);
}
