/* SPDX-License-Identifier: ISC */
#include "front_fixture.h"

#define ALLOWED "*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n:-1\r\n:-1\r\n:0\r\n$0\r\n\r\n:0\r\n"
#define COUNTED \
	"*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n:2\r\n:3600000\r\n:0\r\n$0\r\n\r\n:0\r\n"

static struct house *
open_resp(void **state)
{
	struct house *h = *state;

	house_open(h, &front_resp, "127.0.0.1:0");
	house_connect(h);
	return h;
}

static void
test_answers_at_once(void **state)
{
	struct house *h = open_resp(state);

	house_say(h, "PING\r\nCHECK free g\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n");
	house_expect(h, "+PONG\r\n" ALLOWED "$2\r\nhi\r\n");
	assert_int_equal(metric_get(h->cells, METRIC_RESP_REQUESTS), 3);
	assert_int_equal(metric_get(h->cells, METRIC_RESP_CONNECTIONS), 1);
	assert_int_equal(h->cells->latency[METRIC_BUCKETS - 1], 0);
}

static bool
three_wait(struct house *h)
{
	return h->late.n == 3;
}

static bool
one_waits(struct house *h)
{
	return h->late.n == 1;
}

static void
test_answers_keep_the_order_of_the_requests(void **state)
{
	struct house *h = open_resp(state);

	house_say(h,
	    "CHECK counted a\r\nPING 1\r\nPING 2\r\nCHECK counted b\r\n"
	    "CHECK free c\r\nCHECK counted d\r\nPING 3\r\n");
	house_run(h, three_wait);
	house_answer(h, 2);
	house_answer(h, 1);
	assert_int_equal(h->got.len, 0);
	house_answer(h, 0);
	house_expect(
	    h, COUNTED "$1\r\n1\r\n$1\r\n2\r\n" COUNTED ALLOWED COUNTED "$1\r\n3\r\n");
}

static bool
eight_wait(struct house *h)
{
	return h->late.n == 8;
}

static bool
twelve_wait(struct house *h)
{
	return h->late.n == 12;
}

static void
test_reading_pauses_while_too_much_is_owed(void **state)
{
	struct house *h = open_resp(state);

	for (int i = 0; i < 12; i++)
		house_say(h, "CHECK counted g\r\n");
	house_run(h, eight_wait);
	for (size_t i = 0; i < 3; i++)
		house_answer(h, i);
	house_expect(h, COUNTED COUNTED COUNTED);
	assert_int_equal(h->late.n, 8); /* goes on when half of them are out */
	house_answer(h, 3);
	house_run(h, twelve_wait);
	for (size_t i = 4; i < 12; i++)
		house_answer(h, i);
	house_expect(
	    h, COUNTED COUNTED COUNTED COUNTED COUNTED COUNTED COUNTED COUNTED COUNTED);
}

static bool
is_held_back(struct house *h)
{
	int64_t n = metric_get(h->cells, METRIC_RESP_REQUESTS);
	bool still = n > 200 && n == (int64_t)h->want;

	h->want = (size_t)n;
	return still;
}

static bool
all_is_there(struct house *h)
{
	return h->got.len == strlen(COUNTED) + 600 * 908;
}

static void
test_reading_pauses_while_too_many_bytes_are_owed(void **state)
{
	struct house *h = *state;
	char echo[1000];

	h->options.pending_max = 100000;
	open_resp(state);
	snprintf(echo, sizeof(echo), "*2\r\n$4\r\nECHO\r\n$900\r\n%0900d\r\n", 7);
	house_say(h, "CHECK counted g\r\n");
	for (int i = 0; i < 600; i++)
		house_say(h, echo);
	house_run(h, is_held_back);
	assert_in_range(metric_get(h->cells, METRIC_RESP_REQUESTS), 200, 400);
	house_answer(h, 0);
	house_run(h, all_is_there);
}

static void
test_pending_max_of_one(void **state)
{
	struct house *h = *state;

	h->options.pending_max = 1;
	open_resp(state);
	house_say(h, "CHECK counted g\r\nPING\r\n");
	house_run(h, one_waits);
	house_answer(h, 0);
	house_expect(h, COUNTED "+PONG\r\n");
}

static bool
no_connection(struct house *h)
{
	return front_connections(h->front) == 0;
}

static void
test_a_client_that_leaves_detaches(void **state)
{
	struct house *h = open_resp(state);
	struct linger hard = { 1, 0 };

	house_say(h, "CHECK counted g\r\n");
	house_run(h, one_waits);
	setsockopt(h->client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(h->client); /* with a reset */
	h->client = -1;
	house_run(h, no_connection);
	assert_int_equal(check_engine_pending(h->engine), 1);
	house_answer(h, 0);
	assert_int_equal(check_engine_pending(h->engine), 0);
}

#define THROTTLED "*5\r\n:0\r\n:2\r\n:1\r\n:-1\r\n:1\r\n"

static void
test_throttles_answer_in_their_turn(void **state)
{
	struct house *h = open_resp(state);

	house_say(h,
	    "CL.THROTTLE k 1 1 60\r\nPING\r\nCHECK counted g\r\n"
	    "cl.throttle k 1 1 60 0\r\nPING\r\n");
	house_run(h, three_wait);
	house_answer(h, 2);
	house_answer(h, 1);
	assert_int_equal(throttler_pending(h->throttler), 1);
	house_answer(h, 0);
	house_expect(h, THROTTLED "+PONG\r\n" COUNTED THROTTLED "+PONG\r\n");
	assert_int_equal(metric_get(h->cells, METRIC_THROTTLES_ALLOWED), 2);
}

static void
test_a_client_that_leaves_its_throttle(void **state)
{
	struct house *h = open_resp(state);

	house_say(h, "CL.THROTTLE k 1 1 60\r\n");
	house_run(h, one_waits);
	shutdown(h->client, SHUT_RDWR);
	front_free(h->front);
	h->front = NULL;
	assert_int_equal(throttler_pending(h->throttler), 1);
	house_answer(h, 0);
	assert_int_equal(throttler_pending(h->throttler), 0);
}

static void
test_half_close_still_gets_its_answers(void **state)
{
	struct house *h = open_resp(state);

	house_say(h, "CHECK counted g\r\nPING\r\n");
	shutdown(h->client, SHUT_WR);
	house_run(h, one_waits);
	house_answer(h, 0);
	house_expect_eof(h);
	assert_string_equal(buf_cstr(&h->got), COUNTED "+PONG\r\n");
}

static void
test_quit_closes_after_what_is_owed(void **state)
{
	struct house *h = open_resp(state);

	house_say(h, "CHECK counted g\r\nQUIT\r\nPING\r\n");
	house_run(h, one_waits);
	house_answer(h, 0);
	house_expect_eof(h);
	assert_string_equal(buf_cstr(&h->got), COUNTED "+OK\r\n");
}

static void
test_each_error_says_what(void **state)
{
	static const struct {
		const char *say, *expect;
	} rows[] = {
		{ "NOPE a b\r\n",
		    "-ERR unknown command 'NOPE', with arguments beginning with"
		    " 'a' 'b'\r\n" },
		{ "*1\r\n$3\r\na\nb\r\n", "-ERR unknown command 'a?b'\r\n" },
		{ "ECHO\r\n", "-ERR wrong number of arguments for 'echo' command\r\n" },
		{ "client setname\r\n",
		    "-ERR wrong number of arguments for 'client|setname' command\r\n" },
		{ "cl.throttle\r\n",
		    "-ERR key is missing: CL.THROTTLE key max_burst count period"
		    " [quantity]\r\n" },
		{ "cl.throttle k 1 2\r\n",
		    "-ERR period is missing: CL.THROTTLE key max_burst count period"
		    " [quantity]\r\n" },
		{ "cl.throttle k 1 1000001 1\r\n",
		    "-ERR count must be at most 1000000 for a period of 1 s, one a"
		    " microsecond\r\n" },
		{ "SELECT 1\r\n", "-ERR there is only database 0\r\n" },
		{ "CLIENT KILL x\r\n",
		    "-ERR unknown subcommand 'KILL' of 'client'\r\n" },
		{ "HELLO 4\r\n", "-NOPROTO the protocol's version must be 2 or 3\r\n" },
		{ "HELLO 3 FOO\r\n", "-ERR syntax error in HELLO at 'FOO'\r\n" },
		{ "CLIENT GETNAME\r\n", "$-1\r\n" },
		{ "CLIENT SETNAME me\r\n", "+OK\r\n" },
		{ "CLIENT GETNAME\r\n", "$2\r\nme\r\n" },
		{ "SELECT 0\r\n", "+OK\r\n" },
		{ "CONFIG GET save\r\n", "*0\r\n" },
		{ "COMMAND COUNT\r\n", ":18\r\n" },
		{ "CLIENT SETINFO LIB-NAME x\r\n", "+OK\r\n" },
		{ "CLIENT ID\r\n", ":1\r\n" },
	};
	struct house *h = open_resp(state);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		house_say(h, rows[i].say);
		house_expect(h, rows[i].expect);
	}
	house_say(h, "CHECK t g COST x\r\n");
	house_expect_start(h, "-ERR COST");
	assert_int_equal(metric_get(h->cells, METRIC_CHECKS_INVALID), 1);
}

static void
test_hello_3_answers_with_a_map(void **state)
{
	struct house *h = open_resp(state);

	house_say(h, "HELLO 3 SETNAME me\r\nCLIENT GETNAME\r\nCONFIG GET x\r\n");
	house_expect(h,
	    "%7\r\n$6\r\nserver\r\n$6\r\nration\r\n$7\r\nversion\r\n"
	    "$5\r\n" RATION_VERSION "\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n"
	    ":1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\n"
	    "master\r\n$7\r\nmodules\r\n*0\r\n$2\r\nme\r\n%0\r\n");
}

static void
test_what_cannot_be_followed_is_closed(void **state)
{
	struct house *h = open_resp(state);

	house_say(h, "PING\r\n*1\r\nPING\r\n");
	house_expect_eof(h);
	assert_string_equal(buf_cstr(&h->got),
	    "+PONG\r\n-ERR Protocol error: expected '$', got 'P'\r\n");
	assert_int_equal(metric_get(h->cells, METRIC_CLOSED_PROTOCOL), 1);
	assert_int_equal(front_connections(h->front), 0);
}

static void
test_a_slow_command_is_told_so(void **state)
{
	struct house *h = *state;

	h->options.message_ms = 30;
	open_resp(state);
	house_say(h, "*1\r\n$4\r\nPI");
	house_expect_eof(h);
	assert_string_equal(buf_cstr(&h->got),
	    "-ERR Protocol error: the command took too long to arrive\r\n");
	assert_int_equal(metric_get(h->cells, METRIC_CLOSED_SLOW), 1);
}

static void
test_one_client_too_many(void **state)
{
	struct house *h = *state;
	int first;

	h->quota.max = 1;
	open_resp(state);
	house_say(h, "PING\r\n");
	house_expect(h, "+PONG\r\n");
	first = h->client;
	house_connect(h);
	house_expect_eof(h);
	assert_string_equal(
	    buf_cstr(&h->got), "-ERR max number of clients reached\r\n");
	assert_int_equal(metric_get(h->cells, METRIC_CONNECTIONS_REFUSED), 1);
	buf_clear(&h->got);
	close(h->client);
	h->client = first;
	house_say(h, "PING\r\n");
	house_expect(h, "+PONG\r\n");
}

static void
test_a_drain_waits_for_what_is_owed(void **state)
{
	struct house *h = open_resp(state);
	int idle;

	house_say(h, "PING\r\n");
	house_expect(h, "+PONG\r\n");
	idle = h->client;
	house_connect(h);
	house_say(h, "CHECK counted g\r\n");
	house_run(h, one_waits);
	front_drain(h->front);
	assert_int_equal(front_connections(h->front), 1);
	assert_null(front_address(h->front, 0));
	house_answer(h, 0);
	assert_int_equal(front_connections(h->front), 0);
	house_expect_eof(h);
	assert_string_equal(buf_cstr(&h->got), COUNTED);
	close(h->client);
	h->client = idle;
	house_expect_eof(h);
}

static void
test_an_outer_listener_asks_for_a_token(void **state)
{
	struct house *h = *state;

	house_use_tokens(h);
	house_open(h, &front_resp, "0.0.0.0:0");
	house_connect(h);
	house_say(h, "PING\r\nNOPE\r\nHELLO 3\r\n");
	house_expect(h,
	    "-NOAUTH Authentication required: send AUTH with a token\r\n"
	    "-NOAUTH Authentication required: send AUTH with a token\r\n"
	    "-NOAUTH Authentication required: send HELLO 3 AUTH default TOKEN"
	    "\r\n");
	house_say(
	    h, "AUTH wrong\r\nAUTH user " TOKEN "x\r\nAUTH user " TOKEN "\r\nPING\r\n");
	house_expect(h,
	    "-WRONGPASS the token is not one of this daemon's\r\n"
	    "-WRONGPASS the token is not one of this daemon's\r\n"
	    "+OK\r\n+PONG\r\n");
}

/* Before AUTH a command is short; after it, it may be what the options say. */
static void
test_a_stranger_is_kept_short(void **state)
{
	struct house *h = *state;
	char echo[40] = "*2\r\n$4\r\nECHO\r\n$20000\r\n";

	h->options.request_max = 100000;
	house_use_tokens(h);
	house_open(h, &front_resp, "0.0.0.0:0");
	house_connect(h);
	house_say(h, "AUTH " TOKEN "\r\n");
	house_expect(h, "+OK\r\n");
	house_say(h, "*3\r\n");
	house_say(h, "$4\r\nPING\r\n$20000\r\n");
	close(h->client);
	house_connect(h);
	house_say(h, echo);
	house_expect_eof(h);
	assert_int_equal(strncmp(buf_cstr(&h->got), "-ERR Protocol error: ", 21), 0);
}

/* Those that have asked before a drain are answered, accepted yet or not. */
static void
test_a_drain_answers_those_who_wait(void **state)
{
	struct house *h = open_resp(state);
	int first = h->client;

	house_say(h, "PING\r\n");
	house_expect(h, "+PONG\r\n");
	house_say(h, "CHECK free g\r\n");
	house_connect(h);
	house_say(h, "PING\r\nPING\r\n");
	front_drain(h->front);
	house_expect_eof(h);
	assert_string_equal(buf_cstr(&h->got), "+PONG\r\n+PONG\r\n");
	buf_clear(&h->got);
	close(h->client);
	h->client = first;
	house_expect_eof(h);
	assert_string_equal(buf_cstr(&h->got), ALLOWED);
}

static bool
all_pongs_are_there(struct house *h)
{
	return h->got.len == 1000 * strlen("+PONG\r\n");
}

static int64_t most_in_a_turn;
static int64_t seen_before;
static uint64_t seen_turn;

static void
note_turn(void *arg)
{
	struct house *h = arg;
	int64_t n = metric_get(h->cells, METRIC_RESP_REQUESTS);
	uint64_t turn = loop_turn(h->loop);

	if (turn != seen_turn)
		seen_before = n;
	seen_turn = turn;
	/* The rounds of a turn count together; its first one saw what came in it. */
	if (n - seen_before > most_in_a_turn)
		most_in_a_turn = n - seen_before;
}

static void
test_one_connection_takes_its_turn_only(void **state)
{
	struct house *h = open_resp(state);
	struct buf pings = { 0 };
	uint64_t before;

	most_in_a_turn = seen_before = 0;
	loop_on_turn(h->loop, note_turn, h);
	for (int i = 0; i < 1000; i++)
		buf_add_str(&pings, "PING\r\n");
	before = loop_turn(h->loop);
	house_say(h, buf_cstr(&pings));
	house_run(h, all_pongs_are_there);
	assert_in_range(most_in_a_turn, 1, 64);
	assert_true(loop_turn(h->loop) - before >= 1000 / 64);
	buf_fini(&pings);
	loop_on_turn(h->loop, NULL, NULL);
}

/* Those that are only being closed hold descriptors, too. */
static void
test_closing_clients_count(void **state)
{
	struct house *h = *state;
	int first;

	h->quota.max = 1;
	open_resp(state);
	house_say(h, "QUIT\r\n");
	house_expect_eof(h); /* its far end stays open: it lingers */
	buf_clear(&h->got);
	assert_int_equal(front_connections(h->front), 0);
	first = h->client;
	house_connect(h);
	house_expect_eof(h);
	assert_string_equal(
	    buf_cstr(&h->got), "-ERR max number of clients reached\r\n");
	close(first);
}

static bool
all_are_refused(struct house *h)
{
	return metric_get(h->cells, METRIC_CONNECTIONS_REFUSED) ==
	    FRONT_REFUSED_MAX + 8;
}

static void
test_a_crowd_is_refused_without_a_word(void **state)
{
	struct house *h = *state;
	int fds[FRONT_REFUSED_MAX + 8];

	h->quota.max = 0;
	house_open(h, &front_resp, "127.0.0.1:0");
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		house_connect(h);
		fds[i] = h->client;
	}
	h->client = -1;
	house_run(h, all_are_refused);
	assert_in_range(loop_clients(h->loop), 1, FRONT_REFUSED_MAX);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static void
test_client_list_has_the_caller_only(void **state)
{
	struct house *h = open_resp(state);
	int first = h->client;

	house_say(h, "PING\r\n");
	house_expect(h, "+PONG\r\n");
	house_connect(h);
	house_say(h, "CLIENT SETNAME me\r\n");
	house_expect(h, "+OK\r\n");
	house_say(h, "CLIENT LIST\r\n");
	h->want = 100;
	house_run(h, NULL);
	assert_non_null(strstr(buf_cstr(&h->got), " name=me "));
	assert_ptr_equal(
	    strstr(buf_cstr(&h->got), "id="), strstr(buf_cstr(&h->got), "id=2 "));
	assert_null(strstr(buf_cstr(&h->got), "id=1 "));
	close(first);
}

static void
test_a_local_listener_asks_for_none(void **state)
{
	struct house *h = *state;

	house_use_tokens(h);
	open_resp(state);
	house_say(h, "CHECK free g\r\n");
	house_expect(h, ALLOWED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_HOUSE(test_answers_at_once),
		IN_HOUSE(test_answers_keep_the_order_of_the_requests),
		IN_HOUSE(test_reading_pauses_while_too_much_is_owed),
		IN_HOUSE(test_reading_pauses_while_too_many_bytes_are_owed),
		IN_HOUSE(test_pending_max_of_one),
		IN_HOUSE(test_a_client_that_leaves_detaches),
		IN_HOUSE(test_throttles_answer_in_their_turn),
		IN_HOUSE(test_a_client_that_leaves_its_throttle),
		IN_HOUSE(test_half_close_still_gets_its_answers),
		IN_HOUSE(test_quit_closes_after_what_is_owed),
		IN_HOUSE(test_each_error_says_what),
		IN_HOUSE(test_hello_3_answers_with_a_map),
		IN_HOUSE(test_what_cannot_be_followed_is_closed),
		IN_HOUSE(test_a_slow_command_is_told_so),
		IN_HOUSE(test_one_client_too_many),
		IN_HOUSE(test_a_drain_waits_for_what_is_owed),
		IN_HOUSE(test_an_outer_listener_asks_for_a_token),
		IN_HOUSE(test_a_local_listener_asks_for_none),
		IN_HOUSE(test_a_stranger_is_kept_short),
		IN_HOUSE(test_a_drain_answers_those_who_wait),
		IN_HOUSE(test_one_connection_takes_its_turn_only),
		IN_HOUSE(test_closing_clients_count),
		IN_HOUSE(test_a_crowd_is_refused_without_a_word),
		IN_HOUSE(test_client_list_has_the_caller_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
