/* SPDX-License-Identifier: ISC */
/* libration: requests, timeouts, and connections that end. */
#include "client_ask.h"

#include <sys/time.h>
#include <time.h>

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
test_every_option_is_sent(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT,
		    "*19\r\n$5\r\nCHECK\r\n$3\r\na b\r\n$2\r\n\xc3\xa9\r\n"
		    "$6\r\nPOLICY\r\n$1\r\np\r\n$7\r\nSESSION\r\n$1\r\ns\r\n"
		    "$4\r\nCOST\r\n$16\r\n9007199254740991\r\n"
		    "$4\r\nARGS\r\n$7\r\n{\"a\":1}\r\n"
		    "$7\r\nTIMEOUT\r\n$5\r\n\x01\x01\x01\x01\x01\r\n"
		    "$4\r\nATTR\r\n$3\r\norg\r\n$4\r\nac\r\n\r\n"
		    "$4\r\nATTR\r\n$1\r\nn\r\n$0\r\n\r\n",
		    0 },
		{ PEER_SEND, ALLOW, 0 },
		/* What is empty is not dropped: the daemon has to refuse it. */
		{ PEER_EXPECT,
		    "*11\r\n$5\r\nCHECK\r\n$1\r\nt\r\n$1\r\ng\r\n"
		    "$6\r\nPOLICY\r\n$0\r\n\r\n$7\r\nSESSION\r\n$0\r\n\r\n"
		    "$4\r\nCOST\r\n$1\r\n0\r\n$4\r\nARGS\r\n$0\r\n\r\n",
		    0 },
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	static const struct ration_attribute attributes[] = {
		{ "org", "ac\r\n" },
		{ "n", "" },
	};
	struct ration_request q = RATION_REQUEST_INIT;
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	q.tool = "a b";
	q.grant = "\xc3\xa9";
	q.policy = "p";
	q.session = "s";
	q.has_cost = true;
	q.cost = RATION_COST_MAX;
	q.args_json = "{\"a\":1}";
	q.attributes = attributes;
	q.n_attributes = 2;
	q.timeout_ms = 60000;
	assert_int_equal(ration_check(r, &q, &a), 0);
	memset(&q, 0, sizeof(q));
	q.size = sizeof(q);
	q.tool = "t";
	q.grant = "g";
	q.policy = q.session = q.args_json = "";
	q.has_cost = true;
	assert_int_equal(ration_check(r, &q, &a), 0);
	end(r, &p);
}

static struct ration_request
good_request(void)
{
	struct ration_request q = RATION_REQUEST_INIT;

	q.tool = "t";
	q.grant = "g";
	return q;
}

/* Nothing of these reaches the daemon, which sees only the good one after them. */
static void
test_bad_requests(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	static const struct ration_attribute unnamed = { NULL, "v" };
	static char huge[17u << 20];
	struct ration_request bad[11];
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	memset(huge, 'h', sizeof(huge) - 1);
	for (size_t i = 0; i < 11; i++)
		bad[i] = good_request();
	bad[0].tool = NULL;
	bad[1].grant = "";
	bad[2].has_cost = true;
	bad[2].cost = -1;
	bad[3].has_cost = true;
	bad[3].cost = RATION_COST_MAX + 1;
	bad[4].n_attributes = RATION_ATTRIBUTES_MAX + 1;
	bad[5].n_attributes = 1;
	bad[6].n_attributes = 1;
	bad[6].attributes = &unnamed;
	bad[7].timeout_ms = -1;
	bad[8].timeout_ms = RATION_TIMEOUT_MAX_MS + 1;
	bad[9].size = 8;
	bad[10].args_json = huge;
	r = begin(&p, steps);
	for (size_t i = 0; i < 11; i++) {
		assert_int_equal(ration_check(r, &bad[i], &a), RATION_ERR_ARGUMENT);
		assert_string_not_equal(ration_detail(r), "");
	}
	a.size = sizeof(a) - 1;
	bad[0] = good_request();
	assert_int_equal(ration_check(r, &bad[0], &a), RATION_ERR_ARGUMENT);
	a.size = sizeof(a);
	assert_int_equal(ration_check(r, &bad[0], &a), 0);
	assert_string_equal(ration_detail(r), "");
	end(r, &p);
}

static void
expect_timeout(const char *reply, enum peer_do how)
{
	int64_t start = now_ms();

	assert_int_equal(check_against(reply, how, 60, NULL), RATION_ERR_TIMEOUT);
	assert_true(now_ms() - start >= 60);
}

static void
test_timeouts(void **state)
{
	(void)state;
	expect_timeout(NULL, PEER_SILENT);
	expect_timeout("*8\r\n:1\r\n$0\r\n", PEER_SEND);
	expect_timeout(HEAD ":1\r\n:1\r\n:1\r\n$0\r\n\r\n:0\r", PEER_SEND);
}

/* Bytes that keep coming do not move the deadline. */
static void
test_timeout_of_a_trickle(void **state)
{
	struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, "*8\r\n:1\r\n$1000000\r\n", 0 },
		{ PEER_TRICKLE, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration *r;
	struct peer p;
	int64_t start = now_ms();

	(void)state;
	peer_start_unix(&p, steps);
	r = client(&p, 100);
	assert_int_equal(check(r, NULL), RATION_ERR_TIMEOUT);
	assert_true(now_ms() - start >= 100);
	end(r, &p);
}

/* A peer that never reads: the timeout covers the sending, too. */
static void
test_timeout_of_a_write(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_WAIT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	static char big[12u << 20];
	struct ration_request q = good_request();
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	memset(big, 'b', sizeof(big) - 1);
	q.args_json = big;
	peer_start_unix(&p, steps);
	r = client(&p, 100);
	assert_int_equal(ration_check(r, &q, &a), RATION_ERR_TIMEOUT);
	ration_close(r);
	peer_go(&p);
	peer_end(&p);
}

/* The request's own timeout wins, and the next check connects anew. */
static void
test_after_a_timeout(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_request q = good_request();
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	peer_start(&p, steps);
	r = client(&p, RATION_TIMEOUT_MAX_MS);
	q.timeout_ms = 50;
	assert_int_equal(ration_check(r, &q, &a), RATION_ERR_TIMEOUT);
	assert_int_equal(check(r, NULL), 0);
	end(r, &p);
}

/* The daemon hangs up with the check in its hands: never sent a second time. */
static void
test_closed_is_not_sent_again(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, "*8\r\n:1\r\n", 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_NO_MORE, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	assert_int_equal(check(r, NULL), RATION_ERR_CLOSED);
	peer_go(&p);
	end(r, &p);
}

/* Half of the request left before the daemon hung up: no second try, no SIGPIPE. */
static void
test_closed_while_sending(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_DISCARD, NULL, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_NO_MORE, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	static char big[12u << 20];
	struct ration_request q = good_request();
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	memset(big, 'b', sizeof(big) - 1);
	q.args_json = big;
	peer_start_unix(&p, steps);
	r = client(&p, TIMEOUT_MS);
	assert_int_equal(ration_check(r, &q, &a), RATION_ERR_CLOSED);
	peer_go(&p);
	end(r, &p);
}

static void
test_kept_connection_was_closed(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_TELL, NULL, 0 },
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, DENY, 0 },
		{ PEER_WAIT, NULL, 0 },
		/* What nobody asked for must not become the next answer. */
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_TELL, NULL, 0 },
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, DENY, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration_answer a = RATION_ANSWER_INIT;
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	assert_int_equal(check(r, &a), 0);
	assert_int_equal(a.verdict, RATION_ALLOW);
	peer_wait(&p);
	assert_int_equal(check(r, &a), 0);
	assert_int_equal(a.verdict, RATION_DENY);
	peer_go(&p);
	peer_wait(&p);
	assert_int_equal(check(r, &a), 0);
	assert_int_equal(a.verdict, RATION_DENY);
	end(r, &p);
}

static void
test_daemon_is_gone_and_back(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	peer_end(&p);
	assert_int_equal(check(r, NULL), RATION_ERR_CONNECT);
	assert_int_equal(check(r, NULL), RATION_ERR_CONNECT);
	ration_close(r);
}

static int signals;
static int signal_go;

static void
on_alarm(int sig)
{
	(void)sig;
	if (++signals == 3 && write(signal_go, "x", 1) != 1)
		_exit(1);
}

/* The peer answers only after three signals have struck the waiting client. */
static void
test_signals_do_not_end_a_check(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_WAIT, NULL, 0 },
		{ PEER_SEND, ALLOW, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } };
	struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct sigaction sa = { .sa_handler = on_alarm };
	struct ration *r;
	struct peer p;

	(void)state;
	r = begin(&p, steps);
	signal_go = p.go;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	assert_int_equal(check(r, NULL), 0);
	setitimer(ITIMER_REAL, &never, NULL);
	assert_true(signals >= 3);
	end(r, &p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_option_is_sent),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_timeout_of_a_trickle),
		cmocka_unit_test(test_timeout_of_a_write),
		cmocka_unit_test(test_after_a_timeout),
		cmocka_unit_test(test_closed_is_not_sent_again),
		cmocka_unit_test(test_closed_while_sending),
		cmocka_unit_test(test_kept_connection_was_closed),
		cmocka_unit_test(test_daemon_is_gone_and_back),
		cmocka_unit_test(test_signals_do_not_end_a_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
