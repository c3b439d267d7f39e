/* SPDX-License-Identifier: ISC */
/* libration: request ids, peeks, reservations, what settles them, and resets. */
#include "client_ask.h"

#define RESET_S "*3\r\n$5\r\nRESET\r\n$1\r\np\r\n$6\r\nglobal\r\n"

/* --- words ------------------------------------------------------------------------ */

static void
test_words_of_checks(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_ID, 0 },
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_EXPECT,
		    "*5\r\n$5\r\nCHECK\r\n$1\r\nt\r\n$1\r\ng\r\n"
		    "$4\r\nMODE\r\n$4\r\npeek\r\n",
		    0 },
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_EXPECT,
		    "*11\r\n$5\r\nCHECK\r\n$1\r\nt\r\n$1\r\ng\r\n$4\r\nCOST\r\n$"
		    "1\r\n7\r\n"
		    "$2\r\nID\r\n$2\r\ni1\r\n$4\r\nMODE\r\n$7\r\nreserve\r\n"
		    "$3\r\nTTL\r\n$5\r\n86400\r\n",
		    0 },
		{ PEER_SEND, RESERVED, 0 },
		{ PEER_EXPECT,
		    "*5\r\n$5\r\nCHECK\r\n$1\r\nt\r\n$1\r\ng\r\n"
		    "$4\r\nMODE\r\n$7\r\nreserve\r\n",
		    0 },
		{ PEER_SEND, RESERVED, 0 },
		{ PEER_EXPECT,
		    "*7\r\n$7\r\nEXPLAIN\r\n$1\r\nt\r\n$1\r\ng\r\n"
		    "$2\r\nID\r\n$2\r\ni1\r\n$4\r\nMODE\r\n$7\r\nreserve\r\n",
		    0 },
		{ PEER_SEND, "$2\r\n{}\r\n", 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_request q = request_with("i1", RATION_ENFORCE, 0);
	struct ration_answer a = RATION_ANSWER_INIT;
	const char *json;
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	assert_int_equal(ration_check(r, &q, &a), 0);
	assert_string_equal(a.reservation, "");
	q = request_with(NULL, RATION_PEEK, 0);
	assert_int_equal(ration_check(r, &q, &a), 0);
	q = request_with("i1", RATION_RESERVE, RATION_TTL_MAX_S);
	q.has_cost = true;
	q.cost = 7;
	assert_int_equal(ration_check(r, &q, &a), 0);
	assert_string_equal(a.reservation, "p:g:h");
	assert_true(a.replayed);
	q = request_with(NULL, RATION_ENFORCE, 0);
	assert_int_equal(ration_reserve(r, &q, &a), 0);
	assert_string_equal(a.reservation, "p:g:h");
	q = request_with("i1", RATION_RESERVE, 0);
	assert_int_equal(ration_explain(r, &q, &json), 0);
	end(r, &p);
}

static void
test_words_of_settling(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, COMMIT_R, 0 },
		{ PEER_SEND, ":1\r\n", 0 },
		{ PEER_EXPECT,
		    "*6\r\n$6\r\nCOMMIT\r\n$5\r\np:g:h\r\n$4\r\nCOST\r\n$1\r\n0\r\n"
		    "$5\r\nGRANT\r\n$1\r\ng\r\n",
		    0 },
		{ PEER_SEND, ":0\r\n", 0 },
		{ PEER_EXPECT,
		    "*4\r\n$8\r\nROLLBACK\r\n$5\r\np:g:h\r\n$5\r\nGRANT\r\n$0\r\n\r\n",
		    0 },
		{ PEER_SEND, ":1\r\n", 0 },
		{ PEER_EXPECT,
		    "*4\r\n$5\r\nRENEW\r\n$5\r\np:g:h\r\n$3\r\nTTL\r\n$3\r\n600\r\n",
		    0 },
		{ PEER_DRIP, ":1\r\n", 0 },
		{ PEER_EXPECT,
		    "*8\r\n$5\r\nRENEW\r\n$5\r\np:g:h\r\n$3\r\nTTL\r\n$1\r\n1\r\n"
		    "$5\r\nGRANT\r\n$1\r\ng\r\n$7\r\nTIMEOUT\r\n$5\r\n18000\r\n",
		    0 },
		{ PEER_SEND, ":0\r\n", 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_settle how = RATION_SETTLE_INIT;
	struct ration *r;
	struct peer p;
	bool done = false;

	(void)state;
	peer_start_unix(&p, steps);
	r = client(&p, TIMEOUT_MS);
	assert_int_equal(ration_commit(r, "p:g:h", NULL, &done), 0);
	assert_true(done);
	how.has_cost = true;
	how.grant = "g";
	assert_int_equal(ration_commit(r, "p:g:h", &how, &done), 0);
	assert_false(done);
	how.has_cost = false;
	how.grant = ""; /* not dropped: the daemon has to refuse it */
	assert_int_equal(ration_rollback(r, "p:g:h", &how, NULL), 0);
	assert_int_equal(ration_renew(r, "p:g:h", NULL, &done), 0);
	assert_true(done);
	how.grant = "g";
	how.ttl_s = 1;
	how.timeout_ms = 20000; /* of which the daemon gets nine tenths */
	assert_int_equal(ration_renew(r, "p:g:h", &how, &done), 0);
	assert_false(done);
	assert_string_equal(ration_detail(r), "");
	end(r, &p);
}

static void
test_words_of_resets(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, RESET_S, 0 },
		{ PEER_SEND, ":12\r\n", 0 },
		{ PEER_EXPECT,
		    "*5\r\n$5\r\nRESET\r\n$1\r\np\r\n$1\r\nc\r\n$5\r\nslots\r\n"
		    "$7\r\ngrant=g\r\n",
		    0 },
		{ PEER_SEND, ":1\r\n", 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_counters what = RATION_COUNTERS_INIT;
	int64_t counters = 0;
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	what.policy = "p";
	what.scope = "global";
	assert_int_equal(ration_reset(r, &what, &counters), 0);
	assert_int_equal(counters, 12);
	what.scope = "grant=g";
	what.counter = "c";
	what.window = "slots";
	assert_int_equal(ration_reset(r, &what, NULL), 0);
	end(r, &p);
}

/* --- what the library refuses ------------------------------------------------------- */

/* A peer that hears nothing: whatever came would stand before the good check. */
static const struct peer_step only_one_check[] = {
	{ PEER_ACCEPT, NULL, 0 },
	{ PEER_EXPECT, CHECK_T_G, 0 },
	{ PEER_SEND, ALLOW, 0 },
	{ PEER_SILENT, NULL, 0 },
	{ PEER_END, NULL, 0 },
};

static void
test_bad_requests(void **state)
{
	char id[RATION_REQUEST_ID_MAX + 2];
	struct ration_request bad[] = {
		request_with("", RATION_ENFORCE, 0),
		request_with(id, RATION_ENFORCE, 0),
		request_with("i", (enum ration_mode)3, 0),
		request_with("i", (enum ration_mode) - 1, 0),
		request_with(NULL, RATION_RESERVE, -1),
		request_with(NULL, RATION_RESERVE, RATION_TTL_MAX_S + 1),
		request_with(NULL, RATION_ENFORCE, 60),
		request_with(NULL, RATION_PEEK, 60),
	};
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	memset(id, 'i', sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	r = begin(&p, only_one_check);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ration_check(r, &bad[i], &a), RATION_ERR_ARGUMENT);
		assert_string_not_equal(ration_detail(r), "");
	}
	assert_int_equal(check(r, NULL), 0);
	end(r, &p);
}

/* One row a mistake: of which calls it is one. */
static void
test_bad_settlements(void **state)
{
	static const struct {
		struct ration_settle how;
		bool of_commit, of_rollback, of_renew;
	} table[] = {
		{ { sizeof(struct ration_settle), NULL, true, -1, 0, 0 }, true, true,
		    true },
		{ { sizeof(struct ration_settle), NULL, true, RATION_COST_MAX + 1, 0,
		      0 },
		    true, true, true },
		{ { sizeof(struct ration_settle), NULL, true, 1, 0, 0 }, false, true,
		    true },
		{ { sizeof(struct ration_settle), NULL, false, 0, 1, 0 }, true, true,
		    false },
		{ { sizeof(struct ration_settle), NULL, false, 0, -1, 0 }, true, true,
		    true },
		{ { sizeof(struct ration_settle), NULL, false, 0, RATION_TTL_MAX_S + 1,
		      0 },
		    true, true, true },
		{ { sizeof(struct ration_settle), NULL, false, 0, 0, -1 }, true, true,
		    true },
		{ { sizeof(struct ration_settle), NULL, false, 0, 0, 60001 }, true,
		    true, true },
		{ { 8, NULL, false, 0, 0, 0 }, true, true, true },
	};
	struct ration *r;
	struct peer p;
	bool done = true;

	(void)state;
	r = begin(&p, only_one_check);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].of_commit)
			assert_int_equal(ration_commit(r, "r", &table[i].how, &done),
			    RATION_ERR_ARGUMENT);
		if (table[i].of_rollback)
			assert_int_equal(ration_rollback(r, "r", &table[i].how, &done),
			    RATION_ERR_ARGUMENT);
		if (table[i].of_renew)
			assert_int_equal(ration_renew(r, "r", &table[i].how, &done),
			    RATION_ERR_ARGUMENT);
		assert_string_not_equal(ration_detail(r), "");
	}
	assert_int_equal(ration_commit(r, NULL, NULL, &done), RATION_ERR_ARGUMENT);
	assert_int_equal(ration_commit(r, "", NULL, &done), RATION_ERR_ARGUMENT);
	assert_true(done); /* as it was */
	assert_int_equal(check(r, NULL), 0);
	end(r, &p);
}

static void
test_bad_resets(void **state)
{
	static const size_t size = sizeof(struct ration_counters);
	const struct ration_counters bad[] = {
		{ size, NULL, "global", NULL, NULL, 0 },
		{ size, "", "global", NULL, NULL, 0 },
		{ size, "p", NULL, NULL, NULL, 0 },
		{ size, "p", "", NULL, NULL, 0 },
		{ size, "p", "global", "c", NULL, 0 },
		{ size, "p", "global", NULL, "minute", 0 },
		{ size, "p", "global", NULL, NULL, -1 },
		{ size - 1, "p", "global", NULL, NULL, 0 },
	};
	int64_t counters = -7;
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, only_one_check);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(
		    ration_reset(r, &bad[i], &counters), RATION_ERR_ARGUMENT);
	assert_int_equal(counters, -7);
	assert_int_equal(check(r, NULL), 0);
	end(r, &p);
}

/* --- structs of other versions ------------------------------------------------------ */

/* Of a program built before there were request ids: what stands behind its struct is
 * not looked at. A newer one may only have zeros there. */
static void
test_sizes_of_other_versions(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct {
		struct ration_request q;
		char more[16];
	} newer = { .more = { 0 } };
	struct ration_request older = request_with("i1", RATION_RESERVE, 60);
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	older.size = offsetof(struct ration_request, request_id);
	assert_int_equal(ration_check(r, &older, &a), 0);
	older.size--;
	assert_int_equal(ration_check(r, &older, &a), RATION_ERR_ARGUMENT);
	newer.q = request_with(NULL, RATION_ENFORCE, 0);
	newer.q.size = sizeof(newer);
	assert_int_equal(ration_check(r, &newer.q, &a), 0);
	newer.more[15] = 1;
	assert_int_equal(ration_check(r, &newer.q, &a), RATION_ERR_ARGUMENT);
	end(r, &p);
}

/* --- replies ------------------------------------------------------------------------ */

/* Commits and resets against a peer that answers `reply` once and keeps silent. */
static int
settle_against(const char *sent, const char *reply, bool *done, int64_t *counters)
{
	struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, sent, 0 },
		{ PEER_SEND, reply, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_counters what = RATION_COUNTERS_INIT;
	struct ration *r;
	struct peer p;
	int rc;

	r = begin(&p, steps);
	what.policy = "p";
	what.scope = "global";
	rc = counters ? ration_reset(r, &what, counters)
		      : ration_commit(r, "p:g:h", NULL, done);
	assert_int_equal(rc == 0, ration_detail(r)[0] == '\0');
	end(r, &p);
	return rc;
}

static void
test_hostile_replies(void **state)
{
	static const char *const replies[] = { ":2\r\n", ":-1\r\n",
		":99999999999999999999\r\n", ":x\r\n", "+OK\r\n", "$1\r\n1\r\n",
		"$-1\r\n", "*1\r\n:1\r\n", ALLOW, ":1\r\n:1\r\n", "#t\r\n", ",1\r\n",
		"HTTP/1.1 200 OK\r\n" };
	int64_t counters = -7;
	bool done = true;

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		assert_int_equal(settle_against(COMMIT_R, replies[i], &done, NULL),
		    RATION_ERR_PROTOCOL);
		assert_true(done);
	}
	assert_int_equal(settle_against(RESET_S, ":2\r\n", NULL, &counters), 0);
	assert_int_equal(counters, 2);
	assert_int_equal(
	    settle_against(RESET_S, ":-1\r\n", NULL, &counters), RATION_ERR_PROTOCOL);
	assert_int_equal(
	    settle_against(RESET_S, ":9007199254740992\r\n", NULL, &counters),
	    RATION_ERR_PROTOCOL);
	assert_int_equal(counters, 2);
}

/* A number in the place of a check's answer, and a reservation that is too long to be
 * one: a caller has room for RATION_RESERVATION_MAX bytes. */
static void
test_hostile_answers(void **state)
{
	static const char head[] =
	    "*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n:2\r\n:5000\r\n:0\r\n";
	char reply[1024];
	char id[RATION_RESERVATION_MAX + 1];
	int expected[] = { 0, RATION_ERR_PROTOCOL };

	(void)state;
	assert_int_equal(
	    check_against(":1\r\n", PEER_SEND, TIMEOUT_MS, NULL), RATION_ERR_PROTOCOL);
	for (int more = 0; more < 2; more++) {
		size_t len = RATION_RESERVATION_MAX - 1 + (size_t)more;

		memset(id, 'r', len);
		id[len] = '\0';
		snprintf(reply, sizeof(reply), "%s$%zu\r\n%s\r\n:0\r\n", head, len, id);
		assert_int_equal(
		    check_against(reply, PEER_SEND, TIMEOUT_MS, NULL), expected[more]);
	}
}

static void
test_error_replies(void **state)
{
	static const struct {
		const char *reply;
		int code;
	} table[] = {
		{ "-ERR there is no such reservation, or it has expired\r\n",
		    RATION_ERR_NOTFOUND },
		{ "-ERR there is no such reservation\r\n", RATION_ERR_REFUSED },
		{ "-ERR there is no policy named \"p\"\r\n", RATION_ERR_REFUSED },
		{ "-ERR the reservation is another grant's\r\n", RATION_ERR_REFUSED },
		{ "-NOAUTH x\r\n", RATION_ERR_AUTH },
		{ "-UNAVAILABLE x\r\n", RATION_ERR_UNAVAILABLE },
	};
	bool done = true;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_int_equal(settle_against(COMMIT_R, table[i].reply, &done, NULL),
		    table[i].code);
	assert_true(done);
	assert_string_equal(
	    ration_error_text(RATION_ERR_NOTFOUND), "no such reservation");
	assert_string_equal(
	    ration_error_text(RATION_ERR_NOTFOUND - 1), "unknown error");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_of_checks),
		cmocka_unit_test(test_words_of_settling),
		cmocka_unit_test(test_words_of_resets),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_bad_settlements),
		cmocka_unit_test(test_bad_resets),
		cmocka_unit_test(test_sizes_of_other_versions),
		cmocka_unit_test(test_hostile_replies),
		cmocka_unit_test(test_hostile_answers),
		cmocka_unit_test(test_error_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
