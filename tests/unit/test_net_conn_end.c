/* SPDX-License-Identifier: ISC */
/* How a conn that was accepted ends: by whom, and what is still said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conn_fixture.h"
#include "loopback.h"
#include "net/conn_inner.h"

static void
on_later(void *arg)
{
	struct owner *o = arg;

	buf_add_str(conn_out(o->conn), "late\n");
	conn_set_busy(o->conn, false);
}

static void
answer_later(struct owner *o, const char *line, size_t len)
{
	(void)line;
	(void)len;
	conn_set_busy(o->conn, true);
	o->later = loop_timer_new(o->loop, on_later, o);
	loop_timer_set(o->later, 30000);
}

static void
test_half_close_waits_for_the_answer(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	o->on_line = answer_later;
	tell(o, "1\n");
	shutdown(o->far, SHUT_WR);
	run_until(o, is_over);
	assert_int_equal(o->lines, 1);
	assert_int_equal(o->end, CONN_END_PEER);
	assert_string_equal(hear(o), "late\n");
	assert_string_equal(hear(o), "EOF");
}

static void
test_half_close_waits_for_held_input(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	o->on_line = answer_later;
	tell(o, "1\n2\n");
	o->pause_at = 1;
	run_until(o, has_one);
	shutdown(o->far, SHUT_WR);
	o->pause_at = 0;
	conn_resume(o->conn);
	run_until(o, is_over);
	assert_got(o, "1|2");
}

static void
test_half_a_message_does_not_wait(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	tell(o, "half");
	shutdown(o->far, SHUT_WR);
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_PEER);
}

static void
test_idle_ends_with_a_last_word(void **state)
{
	struct owner *o = *state;
	struct conn_options opts = { .in_max = 1000, .out_high = 1000, .idle_ms = 40 };

	accept_pair(o, SOCK_STREAM, &opts);
	o->last_word = "bye\n";
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_IDLE);
	assert_string_equal(hear(o), "bye\n");
	assert_string_equal(hear(o), "EOF");
}

static void
test_busy_is_not_idle(void **state)
{
	struct owner *o = *state;
	struct conn_options opts = { .in_max = 1000, .out_high = 1000, .idle_ms = 1 };

	accept_pair(o, SOCK_STREAM, &opts);
	conn_set_busy(o->conn, true);
	run_for(o, 250000);
	assert_int_equal(o->ended, 0);
	conn_set_busy(o->conn, false);
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_IDLE);
}

static void
on_tick(void *arg)
{
	struct owner *o = arg;

	if (o->ended)
		return;
	tell(o, "x");
	loop_timer_set(o->later, 10000);
}

static void
test_a_trickling_sender_is_slow(void **state)
{
	struct owner *o = *state;
	struct conn_options opts = {
		.in_max = 1000, .out_high = 1000, .idle_ms = 5000, .message_ms = 60
	};

	accept_pair(o, SOCK_STREAM, &opts);
	o->later = loop_timer_new(o->loop, on_tick, o);
	loop_timer_set(o->later, 0);
	o->last_word = "slow\n";
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_SLOW);
	assert_string_equal(hear(o), "slow\n");
}

static void
test_a_peer_that_never_reads_is_slow(void **state)
{
	struct owner *o = *state;
	struct conn_options opts = { .in_max = 1000, .out_high = 1000, .write_ms = 50 };

	accept_pair(o, SOCK_STREAM, &opts);
	o->on_line = answer_much;
	tell(o, "1\n");
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_SLOW);
}

static void
test_too_big_a_message(void **state)
{
	struct owner *o = *state;
	char text[1002];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	accept_pair(o, SOCK_STREAM, &owner_options);
	o->last_word = "too big\n";
	tell(o, text);
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_TOOBIG);
	assert_string_equal(hear(o), "too big\n");
}

static void
close_now(struct owner *o, const char *line, size_t len)
{
	(void)line;
	(void)len;
	buf_add_str(conn_out(o->conn), "never seen");
	conn_close(o->conn);
	loop_stop(o->loop);
}

static void
test_close_inside_on_data(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	o->on_line = close_now;
	tell(o, "1\n");
	run_until(o, NULL);
	assert_int_equal(o->ended, 0);
	assert_string_equal(hear(o), "EOF");
}

static void
test_a_reset_ends_it_and_no_signal_kills(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	o->on_line = answer_later;
	tell(o, "1\n");
	run_until(o, has_one);
	close_far(o);
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_PEER);
}

/* TCP, because only there does unread input turn a close into a reset. */
static void
accept_tcp(struct owner *o)
{
	int port;
	int listening = loopback_listen(0, &port);

	o->far = loopback_connect(port);
	o->conn = conn_accept(o->loop, accept4(listening, NULL, NULL, SOCK_NONBLOCK),
	    &owner_options, &owner_ops, o);
	close(listening);
}

static void
refuse(struct owner *o, const char *line, size_t len)
{
	(void)line;
	(void)len;
	answer_much(o, line, len);
	buf_add_str(conn_out(o->conn), "refused\n");
	conn_close_after_write(o->conn);
	loop_stop(o->loop);
}

static void
on_nothing(void *arg)
{
	(void)arg;
}

static bool
conns_are_gone(struct owner *o)
{
	char block[65536];

	while (recv(o->far, block, sizeof(block), MSG_DONTWAIT) > 0)
		buf_add(&o->got, block, 1);
	loop_wake(o->loop);
	return o->loop->n_conns == 0;
}

static void
test_the_last_answer_is_not_lost_to_a_reset(void **state)
{
	struct owner *o = *state;
	char block[65536];
	size_t want = MUCH_ANSWERED + strlen("refused\n");
	size_t total = 0;
	ssize_t n;

	accept_tcp(o);
	o->on_line = refuse;
	tell(o, "1\n");
	run_until(o, NULL);
	/* More arrives after the owner is through with it. */
	for (int i = 0; i < 20; i++)
		tell(o, "more of what nobody will read\n");
	loop_on_wake(o->loop, on_nothing, NULL);
	for (int i = 0; i < 50 && total < want; i++) {
		run_for(o, 2000);
		while ((n = recv(o->far, block, sizeof(block), MSG_DONTWAIT)) > 0)
			total += (size_t)n;
		assert_true(n == 0 || errno == EAGAIN);
	}
	assert_int_equal(total, want);
	assert_int_equal(o->ended, 0);
	close_far(o); /* then the lingering conn goes as well */
	run_until(o, conns_are_gone);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_OWNER(test_half_close_waits_for_the_answer),
		WITH_OWNER(test_half_close_waits_for_held_input),
		WITH_OWNER(test_half_a_message_does_not_wait),
		WITH_OWNER(test_idle_ends_with_a_last_word),
		WITH_OWNER(test_busy_is_not_idle),
		WITH_OWNER(test_a_trickling_sender_is_slow),
		WITH_OWNER(test_a_peer_that_never_reads_is_slow),
		WITH_OWNER(test_too_big_a_message),
		WITH_OWNER(test_close_inside_on_data),
		WITH_OWNER(test_a_reset_ends_it_and_no_signal_kills),
		WITH_OWNER(test_the_last_answer_is_not_lost_to_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
