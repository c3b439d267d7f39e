/* SPDX-License-Identifier: ISC */
/* libration: what a daemon may answer, and what it may not. */
#include "client_ask.h"

static void
test_allow(void **state)
{
	struct ration_answer a = RATION_ANSWER_INIT;

	(void)state;
	a.verdict = RATION_APPROVAL;
	assert_int_equal(check_against(ALLOW, PEER_SEND, TIMEOUT_MS, &a), 0);
	assert_int_equal(a.size, sizeof(a));
	assert_int_equal(a.verdict, RATION_ALLOW);
	assert_int_equal(a.remaining, 29);
	assert_int_equal(a.reset_ms, 41000);
	assert_int_equal(a.retry_after_ms, 0);
	assert_false(a.degraded);
	assert_false(a.replayed);
}

/* Strings live until the next call: looked at before the close. */
static void
test_deny_in_fragments(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_DRIP, DENY, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_DRIP, ALLOW, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	peer_start_unix(&p, steps);
	r = client(&p, TIMEOUT_MS);
	assert_int_equal(check(r, &a), 0);
	assert_int_equal(a.verdict, RATION_DENY);
	assert_string_equal(a.rule, "/tools/t/limits/\xc3\xa9");
	assert_string_equal(a.message, "too\nmany");
	assert_string_equal(a.reservation, "r1");
	assert_int_equal(a.remaining, 0);
	assert_int_equal(a.reset_ms, 1200);
	assert_int_equal(a.retry_after_ms, 1200);
	assert_true(a.degraded);
	assert_true(a.replayed);
	assert_int_equal(check(r, &a), 0);
	assert_int_equal(a.verdict, RATION_ALLOW);
	assert_string_equal(a.rule, "");
	assert_string_equal(a.message, "");
	assert_string_equal(a.reservation, "");
	end(r, &p);
}

/* An error reply is a whole reply: the connection goes on. */
static void
test_error_replies(void **state)
{
	static const struct {
		const char *reply;
		int code;
		const char *detail;
	} table[] = {
		{ "-ERR COST is not a number\r\n", RATION_ERR_REFUSED,
		    "ERR COST is not a number" },
		{ "-ERR\r\n", RATION_ERR_REFUSED, "ERR" },
		{ "-ERR max number of clients reached\r\n", RATION_ERR_UNAVAILABLE,
		    "ERR max number of clients reached" },
		{ "-NOAUTH Authentication required\r\n", RATION_ERR_AUTH,
		    "NOAUTH Authentication required" },
		{ "-NOPERM no\r\n", RATION_ERR_AUTH, "NOPERM no" },
		{ "-ERRATIC x\r\n", RATION_ERR_UNAVAILABLE, "ERRATIC x" },
		{ "-BUSY x\r\n", RATION_ERR_UNAVAILABLE, "BUSY x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct peer_step steps[] = {
			{ PEER_ACCEPT, NULL, 0 },
			{ PEER_EXPECT, CHECK_T_G, 0 },
			{ PEER_SEND, table[i].reply, 0 },
			{ PEER_EXPECT, CHECK_T_G, 0 },
			{ PEER_SEND, ALLOW, 0 },
			{ PEER_SILENT, NULL, 0 },
			{ PEER_END, NULL, 0 },
		};
		struct ration *r;
		struct peer p;

		r = begin(&p, steps);
		assert_int_equal(check(r, NULL), table[i].code);
		assert_string_equal(ration_detail(r), table[i].detail);
		assert_int_equal(check(r, NULL), 0);
		end(r, &p);
	}
}

static void
test_wrong_shapes(void **state)
{
	static const char *const bad[] = {
		"+OK\r\n",
		":1\r\n",
		"$2\r\nOK\r\n",
		"$-1\r\n",
		"*-1\r\n",
		"*0\r\n",
		"*7\r\n:1\r\n",
		"*9\r\n:1\r\n",
		"*2147483647\r\n",
		"*9223372036854775807\r\n",
		"*99999999999999999999\r\n",
		"*8\r\n*8\r\n",
		"*8\r\n*0\r\n",
		"*8\r\n-ERR x\r\n",
		"*8\r\n:1\r\n$-1\r\n",
		"*x\r\n",
		"$99999999999999999999\r\n",
		"$-2\r\n",
		"%1\r\n",
		"HTTP/1.1 400\r\n",
		"\r\n",
		"ERR\r\n",
		"*8\r\n:1\r\n+simple\r\n",
		HEAD "$1\r\n0\r\n:1\r\n:1\r\n$0\r\n\r\n:0\r\n", /* a text */
		HEAD ":-2\r\n:1\r\n:1\r\n$0\r\n\r\n:0\r\n",
		HEAD ":9007199254740992\r\n:1\r\n:1\r\n$0\r\n\r\n:0\r\n", /* 2^53 */
		HEAD ":1\r\n:1\r\n:1\r\n:0\r\n:0\r\n", /* a number for a text */
		HEAD ":1\r\n:1\r\n:-2\r\n$0\r\n\r\n:0\r\n",
		HEAD ":1\r\n:1\r\n:1\r\n$0\r\n\r\n:-1\r\n",
		"*8\r\n:3\r\n$0\r\n\r\n$0\r\n\r\n:1\r\n:1\r\n:0\r\n$0\r\n\r\n:0\r\n",
		"*8\r\n:-1\r\n$0\r\n\r\n$0\r\n\r\n:1\r\n:1\r\n:0\r\n$0\r\n\r\n:0\r\n",
		ALLOW "+more\r\n",
	};
	struct ration_answer a = RATION_ANSWER_INIT;

	(void)state;
	a.remaining = 77;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = check_against(bad[i], PEER_SEND, TIMEOUT_MS, &a);

		if (rc != RATION_ERR_PROTOCOL)
			fail_msg("reply %zu gives %d", i, rc);
	}
	assert_int_equal(a.remaining, 77); /* untouched by errors */
}

static void
test_nul_in_text(void **state)
{
	static const char reply[] =
	    "*8\r\n:0\r\n$3\r\na\0b\r\n$0\r\n\r\n:0\r\n:0\r\n:0\r\n$0\r\n\r\n:0\r\n";
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, reply, sizeof(reply) - 1 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	assert_int_equal(check(r, NULL), RATION_ERR_PROTOCOL);
	end(r, &p);
}

/* A length that was only announced costs nothing; one that is really sent ends at the
 * most that a reply may have. */
static void
test_endless_replies(void **state)
{
	static const char *const heads[] = {
		"*8\r\n:1\r\n$2000000000\r\n",
		"$9223372036854775807\r\n",
		"-ERR ",
		"+",
		":",
		"*8\r\n:1\r\n$",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct peer_step steps[] = {
			{ PEER_ACCEPT, NULL, 0 },
			{ PEER_EXPECT, CHECK_T_G, 0 },
			{ PEER_SEND, heads[i], 0 },
			{ PEER_FLOOD, "11111111111111", 0 },
			{ PEER_END, NULL, 0 },
		};
		struct ration *r;
		struct peer p;

		peer_start(&p, steps);
		r = client(&p, RATION_TIMEOUT_MAX_MS);
		assert_int_equal(check(r, NULL), RATION_ERR_PROTOCOL);
		end(r, &p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allow),
		cmocka_unit_test(test_deny_in_fragments),
		cmocka_unit_test(test_error_replies),
		cmocka_unit_test(test_wrong_shapes),
		cmocka_unit_test(test_nul_in_text),
		cmocka_unit_test(test_endless_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
