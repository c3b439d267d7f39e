/* SPDX-License-Identifier: ISC */
/* What becomes of a node in odd moments, against a server that says what the test wants.
 * What a real Redis makes of the scripts is tested by tests/system. */
#include "redis_peer.h"

#include "redis/link_inner.h"
#include "redis/node_inner.h"

#define BUSY "-BUSY Redis is busy running a script.\r\n"
#define NOSCRIPT "-NOSCRIPT No matching script.\r\n"

static const struct node_ops no_events = { 0 };
static const struct limit some_limit = { .max = 10, .window = { .len_ms = 3600000 } };

static struct node *node;
static int fd; /* of its connection */

static struct take take;
static struct charge charge;
static unsigned n_done;

static void
on_done(struct take *done)
{
	(void)done;
	n_done++;
}

/* Asks, and lets it leave. */
static void
ask(int64_t within_us)
{
	charge =
	    (struct charge){ .key = slice_str("k"), .limit = &some_limit, .cost = 1 };
	take = (struct take){ .charges = &charge,
		.n = 1,
		.deadline_us = clock_mono_us() + within_us,
		.done = on_done };
	n_done = 0;
	node_take(node, &take, 0);
	node_flush(node);
}

static int
introduce(void)
{
	int to = peer_accept();

	peer_hear(to, "SCRIPT");
	for (int i = 0; i < 3; i++)
		peer_say(to, PEER_INFO);
	for (int i = 0; i < 2; i++)
		peer_say(to, PEER_SHA);
	return to;
}

static int
start(void **state)
{
	peer_open(state);
	node = node_new(&peer.shared, &peer.url.hosts[0], &no_events, NULL);
	assert_non_null(node);
	fd = introduce();
	assert_true(node_ready(node));
	return 0;
}

static int
stop(void **state)
{
	node_free(node);
	close(fd);
	return peer_close(state);
}

static void
answer(const char *text)
{
	peer_hear(fd, "EVALSHA");
	peer_say(fd, text);
}

static void
assert_answers(void)
{
	char text[64];

	ask(SECOND_US);
	assert_int_equal(n_done, 0);
	snprintf(
	    text, sizeof(text), "*2\r\n:%lld\r\n:1\r\n", (long long)clock_real_us());
	answer(text);
	assert_int_equal(n_done, 1);
	assert_int_equal(take.status, TAKE_ADMITTED);
}

static void
open_breaker(void)
{
	for (int i = 0; i < BREAKER_FAILURES; i++) {
		ask(SECOND_US);
		answer(BUSY);
		assert_int_equal(n_done, 1);
	}
	assert_false(node_ready(node));
}

/* Nobody waits any more for what is to be sent again: it does not count as waiting. */
static void
test_all_left_before_noscript(void **state)
{
	(void)state;
	ask(5000);
	WAIT_FOR(n_done == 1);
	assert_int_equal(node->admission.waiting, 1); /* the server has the work */
	answer(NOSCRIPT);
	assert_true(node_is_idle(node));
	assert_int_equal(node->admission.waiting, 0);
	assert_int_equal(node->admission.under_way, 0);
	peer_say(fd, PEER_SHA);
	assert_answers();
	assert_int_equal(node->admission.waiting, 0);
}

/* What a check was charged too late, and its give-back that the server is too busy for. */
static void
put_off_a_give_back(void)
{
	char text[64];

	ask(5000);
	WAIT_FOR(n_done == 1);
	snprintf(
	    text, sizeof(text), "*2\r\n:%lld\r\n:1\r\n", (long long)clock_real_us());
	answer(text);
	answer(BUSY);
	WAIT_FOR(!SLIST_EMPTY(&node->put_off));
	assert_int_equal(metric_get(&peer.cells, METRIC_STORE_GIVEN_BACK), 0);
}

/* It is refused before it ran, and made again once a call has run. */
static void
test_a_give_back_that_is_put_off(void **state)
{
	(void)state;
	put_off_a_give_back();
	ask(SECOND_US);
	answer(BUSY);
	assert_int_equal(n_done, 1);
	assert_false(SLIST_EMPTY(&node->put_off));
	assert_answers();
	assert_true(SLIST_EMPTY(&node->put_off));
	answer(":1\r\n");
	WAIT_FOR(metric_get(&peer.cells, METRIC_STORE_GIVEN_BACK) == 1);
}

/* What is behind the next connection may have lost the charge. */
static void
test_a_give_back_that_is_put_off_until_the_connection_is_lost(void **state)
{
	(void)state;
	put_off_a_give_back();
	close(fd);
	WAIT_FOR(SLIST_EMPTY(&node->put_off));
	fd = introduce();
	WAIT_FOR(node_ready(node));
	assert_answers();
	ask(SECOND_US);
	answer(BUSY); /* the next that is heard is this call */
	assert_int_equal(take.fault, FAULT_BUSY);
	assert_int_equal(metric_get(&peer.cells, METRIC_STORE_GIVEN_BACK), 0);
}

/* A probe that is not sent again was answered all the same. */
static void
test_a_probe_that_left_before_noscript(void **state)
{
	(void)state;
	open_breaker();
	WAIT_FOR(clock_mono_us() > node->breaker.until_us);
	ask(5000);
	assert_int_equal(node->breaker.state, BREAKER_PROBING);
	WAIT_FOR(n_done == 1);
	answer(NOSCRIPT);
	peer_say(fd, PEER_SHA);
	assert_answers();
}

/* The same of a call that a silent server was to answer. */
static void
test_a_silence_that_ends_with_noscript(void **state)
{
	(void)state;
	ask(300000);
	WAIT_FOR(n_done == 1);
	assert_int_equal(node->breaker.state, BREAKER_SILENT);
	answer(NOSCRIPT);
	peer_say(fd, PEER_SHA);
	assert_answers();
}

/* Where whatever is asked for meanwhile is refused (redis/admission), or nothing is, no
 * deadline comes any more at which it could be seen. */
static void
test_a_silence_in_which_nothing_is_asked(void **state)
{
	(void)state;
	ask(5000);
	WAIT_FOR(n_done == 1);
	assert_true(node_ready(node));
	WAIT_FOR(node->breaker.state == BREAKER_SILENT);
	assert_true(clock_mono_us() - node->progress_us < 2 * SECOND_US);
	answer("*2\r\n:1\r\n:1\r\n");
	assert_true(node_ready(node));
}

/* One caller with much patience must not have all others wait for a lost connection. */
static void
test_a_stall_that_somebody_waits_through(void **state)
{
	int first = fd;

	(void)state;
	ask(60 * SECOND_US);
	node->progress_us -= LINK_STALL_US;
	node->link->heard_us -= LINK_STALL_US;
	node_on_deadline(node);
	fd = introduce();
	assert_int_equal(n_done, 1);
	assert_int_equal(take.fault, FAULT_TIMEOUT);
	assert_answers();
	close(first);
}

/* A balancer sends nothing to a daemon that is not ready; so it must get ready by
 * itself. One failure more, and it is not. */
static void
test_a_breaker_that_nobody_probes(void **state)
{
	(void)state;
	open_breaker();
	WAIT_FOR(node_ready(node));
	ask(SECOND_US);
	answer(BUSY);
	assert_false(node_ready(node));
	WAIT_FOR(node_ready(node));
	assert_answers();
}

/* The server fell silent in the midst of a reply, so that the relief was not needed yet
 * when it got through. */
static void
test_a_relief_that_waits(void **state)
{
	int first = fd;

	(void)state;
	ask(5000);
	WAIT_FOR(n_done == 1);
	node->progress_us -= LINK_STALL_US;
	peer_hear(fd, "EVALSHA");
	peer_say(fd, "*2\r\n");
	node_on_deadline(node);
	assert_non_null(node->relief);
	assert_int_equal(node->breaker.state, BREAKER_SILENT);
	fd = introduce();
	assert_true(link_ready(node->relief));
	assert_false(node_ready(node));
	node->link->heard_us -= LINK_STALL_US;
	WAIT_FOR(!node->relief);
	assert_true(node_ready(node));
	assert_answers();
	close(first);
}

/* What it was wanted for has come, and nothing else is owed. */
static void
test_a_relief_that_is_not_needed(void **state)
{
	int spare;

	(void)state;
	node_seek_relief(node);
	spare = introduce();
	WAIT_FOR(!node->relief);
	close(spare);
	assert_answers();
}

#define READONLY "-READONLY You can't write against a read only replica.\r\n"

/* The server ends the connection, and takes another. */
static void
come_back(void)
{
	close(fd);
	fd = introduce();
	assert_true(link_ready(node->link));
}

/* What begins with a short pause again is what follows an answer, not an introduction. */
static void
test_an_introduction_is_no_proof(void **state)
{
	int64_t pause_us = node->link->pause_us;

	(void)state;
	for (int i = 1; i <= 3; i++) {
		come_back();
		assert_int_equal(node->link->pause_us, pause_us << i);
		assert_true(node_ready(node));
	}
	assert_answers();
	assert_int_equal(node->link->pause_us, pause_us);
	come_back();
	assert_int_equal(node->link->pause_us, 2 * pause_us);
	WAIT_FOR(node->link->pause_us == pause_us); /* or by time */
}

/* A replica answers what writes nothing, such as a refusal. */
static void
test_one_that_takes_no_writes(void **state)
{
	int64_t pause_us = node->link->pause_us;

	(void)state;
	for (int i = 1; i <= 3; i++) {
		assert_answers();
		ask(SECOND_US);
		answer(READONLY);
		assert_int_equal(take.fault, FAULT_READONLY);
		close(fd);
		fd = introduce();
		assert_false(node_ready(node));
		assert_int_equal(node->link->pause_us, pause_us << i);
	}
	WAIT_FOR(node_ready(node));
	assert_int_equal(node->link->pause_us, pause_us);
}

static struct take another;

static void
ask_another(struct take *done)
{
	struct charge *charges = done->charges;

	n_done++;
	another = (struct take){ .charges = charges,
		.n = 1,
		.deadline_us = clock_mono_us() + SECOND_US,
		.done = on_done };
	node_take(node, &another, 0);
}

#define CROWD 40

static struct take crowd[CROWD];
static struct charge crowd_charges[CROWD];
static char crowd_keys[CROWD][24];
static size_t n_crowd;
static bool wants;

/* Told of the answer, so many ask in the same turn. */
static void
ask_as_many(struct take *done)
{
	(void)done;
	n_done++;
	for (size_t i = 0; i < n_crowd; i++) {
		snprintf(crowd_keys[i], sizeof(crowd_keys[i]), "k%zu", i);
		crowd_charges[i] = (struct charge){
			.key = slice_str(crowd_keys[i]), .limit = &some_limit, .cost = 1
		};
		crowd[i] = (struct take){ .charges = &crowd_charges[i],
			.n = 1,
			.deadline_us = clock_mono_us() + SECOND_US,
			.done = on_done };
		node_take(node, &crowd[i], 0);
	}
	wants = node_wants_more(node);
}

static bool
wants_after_answer(size_t n)
{
	char text[64];

	ask(SECOND_US);
	take.done = ask_as_many;
	n_crowd = n;
	snprintf(
	    text, sizeof(text), "*2\r\n:%lld\r\n:1\r\n", (long long)clock_real_us());
	answer(text);
	assert_int_equal(n_done, 1);
	return wants;
}

/* A small call gains by those who were just answered; a large one leaves. */
static void
test_a_small_call_waits_for_a_look(void **state)
{
	(void)state;
	assert_true(wants_after_answer(3));
	peer_turn();
	assert_false(node_wants_more(node)); /* nobody was answered in this turn */
}

static void
test_a_large_call_waits_for_no_look(void **state)
{
	(void)state;
	assert_false(wants_after_answer(CROWD));
}

/* Redis would idle while the answers are written. */
static void
test_behind_many_answers_there_is_no_look(void **state)
{
	struct buf text = { 0 };

	(void)state;
	n_crowd = CROWD;
	ask_as_many(NULL);
	node_flush(node);
	crowd[CROWD - 1].done = ask_as_many;
	n_crowd = 1;
	wants = true;
	buf_printf(&text, "*%d\r\n:%lld\r\n", CROWD + 1, (long long)clock_real_us());
	for (int i = 0; i < CROWD; i++)
		buf_add_str(&text, ":1\r\n");
	buf_add_char(&text, '\0');
	n_done = 0;
	answer(text.data);
	assert_int_equal(n_done, CROWD);
	assert_false(wants);
	buf_fini(&text);
}

static void
test_nothing_waits_for_no_look(void **state)
{
	(void)state;
	assert_false(wants_after_answer(0));
}

/* Whoever asks again, when told that a node goes, is told the same. */
static void
test_a_take_from_within_the_end(void **state)
{
	(void)state;
	ask(SECOND_US);
	take.done = ask_another;
	node_free(node);
	node = NULL;
	assert_int_equal(n_done, 2);
	assert_int_equal(take.fault, FAULT_DISCONNECTED);
	assert_int_equal(another.status, TAKE_FAILED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_all_left_before_noscript, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_give_back_that_is_put_off, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_give_back_that_is_put_off_until_the_connection_is_lost,
		    start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_probe_that_left_before_noscript, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_silence_that_ends_with_noscript, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_silence_in_which_nothing_is_asked, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_stall_that_somebody_waits_through, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_breaker_that_nobody_probes, start, stop),
		cmocka_unit_test_setup_teardown(test_a_relief_that_waits, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_relief_that_is_not_needed, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_an_introduction_is_no_proof, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_one_that_takes_no_writes, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_take_from_within_the_end, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_small_call_waits_for_a_look, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_a_large_call_waits_for_no_look, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_behind_many_answers_there_is_no_look, start, stop),
		cmocka_unit_test_setup_teardown(
		    test_nothing_waits_for_no_look, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
