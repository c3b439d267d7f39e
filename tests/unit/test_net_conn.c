/* SPDX-License-Identifier: ISC */
/* What a conn reads and writes, and in whose time; how it ends is test_net_conn_end.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conn_fixture.h"
#include "net/conn_inner.h"

static void
echo(struct owner *o, const char *line, size_t len)
{
	buf_add(conn_out(o->conn), line, len);
	buf_add_char(conn_out(o->conn), '\n');
}

static void
test_what_is_not_consumed_is_shown_again(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	tell(o, "one\ntw");
	run_until(o, has_one);
	assert_got(o, "one");
	tell(o, "o\nthree\n");
	run_until(o, has_three);
	assert_got(o, "one|two|three");
	assert_int_equal(o->shown, 2);
	assert_string_equal(conn_peer(o->conn), "unix:");
}

static void
test_a_turn_is_one_write_and_leaves_no_buffers(void **state)
{
	struct owner *o = *state;

	accept_pair(
	    o, SOCK_SEQPACKET, &owner_options); /* one send is one packet there */
	o->on_line = echo;
	tell(o, "a\nb\nc\n");
	run_until(o, has_three);
	assert_string_equal(hear(o), "a\nb\nc\n");
	assert_null(o->conn->in.data);
	assert_null(o->conn->out.data);
	assert_true(sizeof(struct conn) < 640);
}

static bool
lines_are_two(struct owner *o)
{
	return o->lines == 2;
}

static bool
lines_are_five(struct owner *o)
{
	return o->lines == 5;
}

static void
test_pause_keeps_input_and_resume_shows_it(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	o->pause_at = 2;
	tell(o, "1\n2\n3\n4\n5\n");
	run_until(o, lines_are_two);
	tell(o, "6\n"); /* stays in the kernel */
	o->pause_at = 5;
	conn_resume(o->conn);
	run_until(o, lines_are_five);
	assert_got(o, "1|2|3|4|5");
	o->pause_at = 0;
	conn_resume(o->conn);
	o->lines = 0;
	run_until(o, has_one);
	assert_got(o, "1|2|3|4|5|6");
}

static void
pause_and_resume(struct owner *o, const char *line, size_t len)
{
	(void)line;
	(void)len;
	conn_pause(o->conn);
	conn_resume(o->conn);
}

static void
test_resume_inside_on_data(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	o->on_line = pause_and_resume;
	tell(o, "1\n2\n3\n4");
	run_until(o, has_three);
	assert_got(o, "1|2|3");
	tell(o, "\n");
	o->lines = 0;
	run_until(o, has_one);
	assert_got(o, "1|2|3|4");
}

static void
yield_each(struct owner *o, const char *line, size_t len)
{
	(void)line;
	(void)len;
	conn_yield(o->conn);
}

/* on_data has to stop at a yield; this one takes a line at a time. */
static size_t
on_data_one_line(void *arg, const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);

	return end ? owner_on_data(arg, data, (size_t)(end - data) + 1) : 0;
}

static size_t
count_turns(void *arg, const char *data, size_t len)
{
	struct owner *o = arg;

	(void)data;
	o->opened = o->lines; /* how far the greedy one was */
	return len;
}

/* The greedy one's lines wait in its buffer; the other one comes in between. */
static void
test_a_yield_lets_others_be_read(void **state)
{
	static const struct conn_ops greedy = { NULL, on_data_one_line, owner_on_end };
	static const struct conn_ops modest = { NULL, count_turns, owner_on_end };
	struct owner *o = *state;
	struct conn *other;
	int pair[2];
	uint64_t turn;

	accept_pair(o, SOCK_STREAM, &owner_options);
	o->conn->ops = &greedy;
	o->on_line = yield_each;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	other = conn_accept(o->loop, pair[1], &owner_options, &modest, o);
	tell(o, "1\n2\n3\n");
	run_until(o, has_one);
	turn = loop_turn(o->loop);
	assert_int_equal(send(pair[0], "x", 1, 0), 1);
	run_until(o, has_three);
	assert_got(o, "1|2|3");
	assert_int_equal(loop_turn(o->loop) - turn, 2);
	assert_in_range(o->opened, 1, 2);
	conn_close(other);
	close(pair[0]);
	close_far(o); /* what was yielded is shown before the end is told */
	run_until(o, is_over);
}

static bool
looks_always(void *arg)
{
	(void)arg;
	return true;
}

/* Tells more than is taken, as long as there is room; the bytes that conns keep for it. */
static size_t
flood_for_turns(struct owner *o, const struct loop_group *group, uint64_t turns)
{
	static char lines[1 << 20];
	uint64_t until = loop_turn(o->loop) + turns;
	size_t most = 0;

	memset(lines, '\n', sizeof(lines));
	while (loop_turn(o->loop) < until) {
		ssize_t sent = send(o->far, lines, sizeof(lines), MSG_DONTWAIT);
		size_t kept;

		assert_true(sent > 0 || errno == EAGAIN);
		o->lines = 0;
		run_until(o, has_one);
		kept = atomic_load(&group->in_bytes);
		most = kept > most ? kept : most;
	}
	return most;
}

/* What is kept of a greedy one is shown before more of it is read, however often the loop
 * looks. */
static void
test_second_looks_read_nothing_behind_what_is_kept(void **state)
{
	static const struct conn_ops greedy = { NULL, on_data_one_line, owner_on_end };
	struct owner *o = *state;
	static struct loop_group group; /* the loop's until the teardown */

	loop_join(o->loop, &group);
	loop_look_again_if(o->loop, looks_always, o);
	accept_pair(o, SOCK_STREAM, &owner_options);
	o->conn->ops = &greedy;
	o->on_line = yield_each;
	assert_in_range(flood_for_turns(o, &group, 50), 1, 2 * 65536);
}

static void
test_a_yielding_conn_may_be_closed(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	o->on_line = yield_each;
	tell(o, "1\nrest");
	run_until(o, has_one);
	conn_close(o->conn);
}

static void
test_read_now(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	tell(o, "1\n2\n");
	conn_read_now(o->conn);
	assert_got(o, "1|2");
	close_far(o);
	conn_read_now(o->conn);
	run_until(o, is_over);
}

/* Past the loop's budget the one that would keep much ends; small ones go on. */
static void
test_too_much_input_of_all_together(void **state)
{
	static const struct conn_options roomy = { .in_max = 100000,
		.out_high = 100000 };
	struct owner *o = *state;
	char text[20001];

	o->loop->group->in_bytes_max = 10000;
	accept_pair(o, SOCK_STREAM, &roomy);
	memset(text, 'x', sizeof(text));
	text[3000] = '\0';
	tell(o, text);
	conn_read_now(o->conn);
	assert_int_equal(o->ended, 0);
	text[3000] = 'x';
	text[20000] = '\0';
	o->last_word = "crowded\n";
	tell(o, text);
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_CROWDED);
	assert_string_equal(hear(o), "crowded\n");
	assert_int_equal(o->loop->group->in_bytes > 0, loop_clients(o->loop) > 0);
	o->loop->group->in_bytes_max = 1;
	close(o->far);
	o->ended = 0;
	o->last_word = NULL;
	accept_pair(o, SOCK_STREAM, &roomy);
	tell(o, "small");
	conn_read_now(o->conn);
	tell(o, "\n");
	run_until(o, has_one);
	assert_got(o, "small");
}

static bool
pending_is_high(struct owner *o)
{
	return o->lines >= 1 && conn_out_pending(o->conn) > owner_options.out_high;
}

static bool
drain_far(struct owner *o)
{
	char block[65536];
	ssize_t n;

	while ((n = recv(o->far, block, sizeof(block), 0)) > 0)
		o->shown += (int)n; /* counts bytes here */
	if (o->shown < 3 * MUCH_ANSWERED)
		loop_wake(o->loop);
	return o->shown >= 3 * MUCH_ANSWERED;
}

static void
test_a_peer_that_does_not_read_is_not_read(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &owner_options);
	o->on_line = answer_much;
	tell(o, "1\n");
	run_until(o, pending_is_high);
	tell(o, "2\n3\n");
	run_for(o, 50000);
	assert_int_equal(o->lines, 1);
	o->shown = 0;
	run_until(o, drain_far);
	assert_int_equal(o->lines, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_OWNER(test_what_is_not_consumed_is_shown_again),
		WITH_OWNER(test_a_turn_is_one_write_and_leaves_no_buffers),
		WITH_OWNER(test_pause_keeps_input_and_resume_shows_it),
		WITH_OWNER(test_resume_inside_on_data),
		WITH_OWNER(test_a_yield_lets_others_be_read),
		WITH_OWNER(test_second_looks_read_nothing_behind_what_is_kept),
		WITH_OWNER(test_a_yielding_conn_may_be_closed),
		WITH_OWNER(test_read_now),
		WITH_OWNER(test_too_much_input_of_all_together),
		WITH_OWNER(test_a_peer_that_does_not_read_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
