/* SPDX-License-Identifier: ISC */
/* Whether a store is ready while nobody asks it for anything, against a server that says
 * what the test wants. The peer and the store share a thread: a machine that stands still
 * costs the store one look, however long. */
#include "redis_peer.h"

#include "redis/breaker.h"
#include "redis/pulse.h"
#include "redis/redis_store.h"

#define TIME_ASKED "TIME\r\n"
#define TIME_SAID "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"
#define BUSY "-BUSY Redis is busy running a script.\r\n"

static const struct limit some_limit = { .max = 10, .window = { .len_ms = 3600000 } };

static struct store *store;
static int fd;          /* of its connection */
static int64_t said_us; /* before the peer last said something */

static struct take take;
static struct charge charge;
static unsigned n_done;

static void
say(const char *text)
{
	said_us = clock_mono_us();
	peer_say(fd, text);
}

static void
introduce(void)
{
	fd = peer_accept();
	peer_hear(fd, "SCRIPT");
	for (int i = 0; i < 3; i++)
		say(PEER_INFO);
	for (int i = 0; i < 2; i++)
		say(PEER_SHA);
}

static bool
is_ready(void)
{
	return store_ready(store, NULL);
}

static int
start(void **state)
{
	struct redis_store_options options = { .waiting_max = 64 };

	peer_open(state);
	options.url = peer.url;
	store = redis_store_new(peer.loop, &options, &peer.cells);
	assert_non_null(store);
	introduce();
	assert_true(is_ready());
	return 0;
}

static int
stop(void **state)
{
	store_close(store);
	close(fd);
	return peer_close(state);
}

static void
assert_why(const char *word)
{
	struct errinfo why = { 0 };

	assert_false(store_ready(store, &why));
	if (!strstr(why.text, word))
		fail_msg("\"%s\" has no \"%s\"", why.text, word);
}

static void
on_done(struct take *done)
{
	(void)done;
	n_done++;
}

static void
ask(void)
{
	charge =
	    (struct charge){ .key = slice_str("k"), .limit = &some_limit, .cost = 1 };
	take = (struct take){ .charges = &charge,
		.n = 1,
		.deadline_us = clock_mono_us() + 5 * SECOND_US,
		.done = on_done };
	n_done = 0;
	store_take(store, &take);
	store_flush(store);
}

/* What has come by now; "" where nothing has. */
static const char *
heard(void)
{
	static char bytes[1 << 16];
	ssize_t n;

	peer_turn();
	n = recv(fd, bytes, sizeof(bytes) - 1, 0);
	bytes[n > 0 ? n : 0] = '\0';
	return bytes;
}

static void
admit(void)
{
	char text[64];

	snprintf(
	    text, sizeof(text), "*2\r\n:%lld\r\n:1\r\n", (long long)clock_real_us());
	say(text);
	assert_int_equal(n_done, 1);
	assert_int_equal(take.status, TAKE_ADMITTED);
}

static void
fail_silently(void)
{
	peer_hear(fd, TIME_ASKED);
	WAIT_FOR(!is_ready());
}

static void
test_one_that_answers_is_asked_once_a_second(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		peer_hear(fd, TIME_ASKED);
		assert_true(clock_mono_us() - said_us >= PULSE_QUIET_US);
		assert_true(is_ready());
		say(TIME_SAID);
		assert_true(is_ready());
	}
}

/* Half a second is what a fork takes. */
static void
test_a_short_pause_says_nothing(void **state)
{
	int64_t end_us;

	(void)state;
	peer_hear(fd, TIME_ASKED);
	end_us = clock_mono_us() + SECOND_US / 2;
	while (clock_mono_us() < end_us) {
		assert_string_equal(heard(), "");
		assert_true(is_ready());
	}
	say(TIME_SAID);
	assert_true(is_ready());
}

/* Whoever wakes up finds every answer overdue. */
static void
test_one_that_slept_itself_accuses_nobody(void **state)
{
	(void)state;
	peer_hear(fd, TIME_ASKED);
	usleep(1200000);
	peer_turn();
	peer_turn();
	assert_true(is_ready());
}

static void
test_a_silence(void **state)
{
	(void)state;
	fail_silently();
	assert_why("no answer to TIME for a second");
	assert_string_equal(heard(), ""); /* it is asked once */
	say(TIME_SAID);
	assert_true(is_ready());
	fail_silently();
}

/* It is not the pulse by which checks are refused. */
static void
test_a_silence_keeps_no_check_away(void **state)
{
	(void)state;
	fail_silently();
	ask();
	peer_hear(fd, "EVALSHA");
	say(TIME_SAID);
	admit();
	assert_true(is_ready());
}

static void
test_a_lost_connection_is_made_anew(void **state)
{
	int lost = fd;

	(void)state;
	fail_silently();
	WAIT_FOR(recv(lost, &(char){ 0 }, 1, 0) == 0);
	assert_why("no answer to TIME for 3 s");
	introduce();
	assert_true(is_ready());
	close(lost);
	peer_hear(fd, TIME_ASKED);
	say(TIME_SAID);
	assert_true(is_ready());
}

/* A part of an answer is a sign of life, and the next silence is a new one. */
static void
test_an_answer_in_pieces(void **state)
{
	(void)state;
	fail_silently();
	say("*2\r\n$10\r\n17000");
	WAIT_FOR(is_ready());
	WAIT_FOR(!is_ready());
	say("00000\r\n$1\r\n0\r\n");
	assert_true(is_ready());
}

/* While checks flow it is proof enough that they are answered. */
static void
test_one_that_is_asked_for_checks_is_asked_nothing_else(void **state)
{
	int64_t end_us = clock_mono_us() + 2 * SECOND_US;
	int64_t gap_us = 0;

	(void)state;
	while (clock_mono_us() < end_us) {
		const char *text;

		ask();
		do
			text = heard();
		while (!text[0]);
		if (clock_mono_us() - said_us > gap_us)
			gap_us = clock_mono_us() - said_us;
		/* But where the machine stood still. */
		if (strstr(text, TIME_ASKED)) {
			assert_true(gap_us >= PULSE_QUIET_US);
			return;
		}
		assert_non_null(strstr(text, "EVALSHA"));
		admit();
	}
}

/* Calls fail, and this does not: it is the calls that count. The breaker, which rests when
 * nobody asks, has not forgotten them. */
static void
test_the_breaker_hears_nothing_of_it(void **state)
{
	(void)state;
	for (int i = 0; i < BREAKER_FAILURES; i++) {
		ask();
		peer_hear(fd, "EVALSHA");
		say(BUSY);
	}
	assert_why("BUSY");
	peer_hear(fd, TIME_ASKED);
	say(TIME_SAID);
	WAIT_FOR(is_ready());
	ask();
	peer_hear(fd, "EVALSHA");
	say(BUSY);
	assert_why("BUSY");
}

static void
test_one_that_says_that_it_serves_nobody(void **state)
{
	(void)state;
	peer_hear(fd, TIME_ASKED);
	say(BUSY);
	assert_why("BUSY");
	peer_hear(fd, TIME_ASKED);
	assert_why("BUSY");
	say(TIME_SAID);
	assert_true(is_ready());
}

static void
test_one_that_may_not_be_asked_has_answered(void **state)
{
	(void)state;
	peer_hear(fd, TIME_ASKED);
	say("-NOPERM this user has no permissions to run 'time'\r\n");
	assert_true(is_ready());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_one_that_answers_is_asked_once_a_second, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_short_pause_says_nothing, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_one_that_slept_itself_accuses_nobody, start, stop),
		cmocka_unit_test_setup_teardown(test_a_silence, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_silence_keeps_no_check_away, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_lost_connection_is_made_anew, start, stop),
		cmocka_unit_test_setup_teardown(test_an_answer_in_pieces, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_one_that_is_asked_for_checks_is_asked_nothing_else, start,
		    stop),
		cmocka_unit_test_setup_teardown(
		    test_the_breaker_hears_nothing_of_it, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_one_that_says_that_it_serves_nobody, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_one_that_may_not_be_asked_has_answered, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
