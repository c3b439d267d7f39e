/* SPDX-License-Identifier: ISC */
/* libration: what is asked again when the connection was lost, and what is not. */
#include "client_ask.h"

#define AUTH_S "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"

typedef int settle_call(struct ration *r, const char *reservation,
    const struct ration_settle *how, bool *done);

/* The connection is lost with the check in the daemon's hands: one with an id is sent
 * again, once. */
static void
test_id_is_sent_again(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_ID, 0 },
		{ PEER_SEND, "*8\r\n:0\r\n$3\r\nrul", 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_ID, 0 },
		{ PEER_SEND, RESERVED, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_request q = request_with("i1", RATION_ENFORCE, 0);
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	assert_int_equal(ration_check(r, &q, &a), 0);
	assert_true(a.replayed);
	assert_string_equal(a.rule, "");
	assert_string_equal(ration_detail(r), "");
	end(r, &p);
}

/* Twice is enough. */
static void
test_id_is_sent_twice_at_most(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_ID, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_ID, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_NO_MORE, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_request q = request_with("i1", RATION_ENFORCE, 0);
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	assert_int_equal(ration_check(r, &q, &a), RATION_ERR_CLOSED);
	peer_go(&p);
	end(r, &p);
}

/* A reservation without an id is a charge like any other. */
static void
test_reserve_without_an_id_is_not_sent_again(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_DISCARD, NULL, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_NO_MORE, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_request q = request_with(NULL, RATION_ENFORCE, 60);
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	assert_int_equal(ration_reserve(r, &q, &a), RATION_ERR_CLOSED);
	peer_go(&p);
	end(r, &p);
}

/* The first one may have been charged: that the second found nobody, or no answer, does
 * not undo it, so the error may not be one that says "nothing was charged". */
static void
test_second_try_does_not_speak_for_the_first(void **state)
{
	static const struct peer_step gone[] = {
		{ PEER_ACCEPT, NULL, 0 }, { PEER_EXPECT, CHECK_ID, 0 },
		{ PEER_END, NULL, 0 }, /* the listener goes with the child */
	};
	static const struct peer_step busy[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_ID, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_ID, 0 },
		{ PEER_SEND, "-ERR max number of clients reached\r\n", 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	static const struct peer_step *const scripts[] = { gone, busy };
	struct ration_request q = request_with("i1", RATION_ENFORCE, 0);
	struct ration_answer a = RATION_ANSWER_INIT;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ration *r;
		struct peer p;

		r = begin(&p, scripts[i]);
		assert_int_equal(ration_check(r, &q, &a), RATION_ERR_CLOSED);
		assert_string_not_equal(ration_detail(r), "");
		end(r, &p);
	}
}

/* What charges nothing is asked again, with or without an id. */
static void
test_peek_and_explain_are_asked_again(void **state)
{
	static const char peek[] = "*5\r\n$5\r\nCHECK\r\n$1\r\nt\r\n$1\r\ng\r\n"
				   "$4\r\nMODE\r\n$4\r\npeek\r\n";
	static const char explain[] = "*3\r\n$7\r\nEXPLAIN\r\n$1\r\nt\r\n$1\r\ng\r\n";
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, peek, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, peek, 0 },
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_EXPECT, explain, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, explain, 0 },
		{ PEER_SEND, "$2\r\n{}\r\n", 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_request q = request_with(NULL, RATION_PEEK, 0);
	struct ration_answer a = RATION_ANSWER_INIT;
	const char *json = NULL;
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	assert_int_equal(ration_check(r, &q, &a), 0);
	q.mode = RATION_ENFORCE;
	assert_int_equal(ration_explain(r, &q, &json), 0);
	assert_string_equal(json, "{}");
	assert_string_equal(ration_detail(r), "");
	end(r, &p);
}

static void
expect_repeated(settle_call *settle, const char *sent)
{
	const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, sent, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, sent, 0 },
		{ PEER_SEND, ":0\r\n", 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration *r;
	struct peer p;
	bool done = true;

	r = begin(&p, steps);
	assert_int_equal(settle(r, "p:g:h", NULL, &done), 0);
	assert_false(done);
	assert_string_equal(ration_detail(r), "");
	end(r, &p);
}

static void
test_settling_is_repeated(void **state)
{
	(void)state;
	expect_repeated(ration_commit, COMMIT_R);
	expect_repeated(ration_rollback, "*2\r\n$8\r\nROLLBACK\r\n$5\r\np:g:h\r\n");
	expect_repeated(ration_renew,
	    "*4\r\n$5\r\nRENEW\r\n$5\r\np:g:h\r\n$3\r\nTTL\r\n$3\r\n600\r\n");
}

/* The reservation goes from the answer straight into the commit, although opening the
 * connection again and its AUTH use the memory that it lies in. */
static void
test_reservation_of_the_last_answer(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, AUTH_S, 0 },
		{ PEER_SEND, "+OK\r\n", 0 },
		{ PEER_DISCARD, NULL, 0 },
		{ PEER_SEND, RESERVED, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_TELL, NULL, 0 },
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, AUTH_S, 0 },
		{ PEER_SEND, "+OK, and more than that, to fill the room\r\n", 0 },
		{ PEER_EXPECT, COMMIT_R, 0 },
		{ PEER_SEND, ":1\r\n", 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_request q = request_with("i1", RATION_ENFORCE, 0);
	struct ration_options options = RATION_OPTIONS_INIT;
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;
	bool done = false;

	(void)state;
	peer_start(&p, steps);
	options.token = "secret";
	options.timeout_ms = TIMEOUT_MS;
	assert_int_equal(ration_connect(&r, p.address, &options, NULL, 0), 0);
	assert_int_equal(ration_reserve(r, &q, &a), 0);
	peer_wait(&p);
	assert_int_equal(ration_commit(r, a.reservation, NULL, &done), 0);
	assert_true(done);
	end(r, &p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id_is_sent_again),
		cmocka_unit_test(test_id_is_sent_twice_at_most),
		cmocka_unit_test(test_reserve_without_an_id_is_not_sent_again),
		cmocka_unit_test(test_second_try_does_not_speak_for_the_first),
		cmocka_unit_test(test_peek_and_explain_are_asked_again),
		cmocka_unit_test(test_settling_is_repeated),
		cmocka_unit_test(test_reservation_of_the_last_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
