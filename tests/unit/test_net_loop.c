/* SPDX-License-Identifier: ISC */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/conn.h"
#include "net/loop.h"

struct seen {
	struct loop *loop;
	struct loop_timer *timer;
	int fired;
	int turns;
	int left; /* times to re-arm */
	int64_t at_us;
	int signo;
	int fd; /* a client's far end */
};

static int
setup(void **state)
{
	struct seen *s = calloc(1, sizeof(*s));

	s->loop = loop_new();
	*state = s;
	return s->loop ? 0 : -1;
}

static int
teardown(void **state)
{
	struct seen *s = *state;

	loop_free(s->loop);
	free(s);
	return 0;
}

static void
on_stop(void *arg)
{
	struct seen *s = arg;

	s->fired++;
	s->at_us = clock_mono_us();
	loop_stop(s->loop);
}

static void
test_a_timer_is_never_early(void **state)
{
	static const int64_t delays_us[] = { 0, 200, 1000, 3000, 7000, 20000 };
	struct seen *s = *state;
	struct loop_timer *timer = loop_timer_new(s->loop, on_stop, s);

	for (size_t i = 0; i < sizeof(delays_us) / sizeof(delays_us[0]); i++) {
		int64_t before_us = clock_mono_us();

		loop_timer_set(timer, delays_us[i]);
		assert_int_equal(loop_run(s->loop), 0);
		assert_true(s->at_us - before_us >= delays_us[i]);
	}
	assert_int_equal(s->fired, 6);
	loop_timer_free(timer);
}

static void
test_a_timer_is_pushed_off_pulled_in_and_cancelled(void **state)
{
	struct seen *s = *state;
	struct loop_timer *timer = loop_timer_new(s->loop, on_stop, s);
	struct loop_timer *never = loop_timer_new(s->loop, on_stop, s);
	int64_t before_us = clock_mono_us();

	loop_timer_set(never, 1000);
	loop_timer_cancel(never);
	loop_timer_set(timer, 1000);
	loop_timer_set(timer, 30000); /* off */
	assert_int_equal(loop_run(s->loop), 0);
	assert_true(s->at_us - before_us >= 30000);
	loop_timer_set(timer, 60 * 1000000ll);
	loop_timer_set(timer, 2000); /* in */
	assert_int_equal(loop_run(s->loop), 0);
	assert_int_equal(s->fired, 2);
	loop_timer_free(never); /* the other is left to loop_free() */
}

static void
on_again(void *arg)
{
	struct seen *s = arg;

	s->fired++;
	if (s->left-- > 0) {
		loop_timer_set(s->timer, 100);
		return;
	}
	loop_timer_free(s->timer);
	loop_stop(s->loop);
}

static void
test_a_timer_repeats_and_is_freed_inside_its_callback(void **state)
{
	struct seen *s = *state;

	s->left = 4;
	s->timer = loop_timer_new(s->loop, on_again, s);
	loop_timer_set(s->timer, 0);
	assert_int_equal(loop_run(s->loop), 0);
	assert_int_equal(s->fired, 5);
}

static void
on_turn(void *arg)
{
	struct seen *s = arg;

	s->turns++;
}

static void
test_each_turn_ends_with_the_hook(void **state)
{
	struct seen *s = *state;

	loop_on_turn(s->loop, on_turn, s);
	s->left = 3;
	s->timer = loop_timer_new(s->loop, on_again, s);
	loop_timer_set(s->timer, 0);
	assert_int_equal(loop_run(s->loop), 0);
	assert_true(s->turns >= s->fired);
}

static void *
wake_from_elsewhere(void *arg)
{
	loop_wake(arg);
	return NULL;
}

static void
test_another_thread_wakes_it(void **state)
{
	struct seen *s = *state;
	pthread_t thread;

	loop_on_wake(s->loop, on_stop, s);
	assert_int_equal(
	    pthread_create(&thread, NULL, wake_from_elsewhere, s->loop), 0);
	assert_int_equal(loop_run(s->loop), 0);
	assert_int_equal(s->fired, 1);
	pthread_join(thread, NULL);
}

/* --- clients ----------------------------------------------------------------------- */

static size_t
on_bytes(void *arg, const char *data, size_t len)
{
	(void)data;
	on_stop(arg);
	return len;
}

static void
on_end(void *arg, enum conn_end end, const struct errinfo *why)
{
	(void)arg;
	(void)end;
	(void)why;
}

/* A client of the loop; the far end of its connection. */
static int
add_client(struct seen *s, struct conn **conn)
{
	static const struct conn_options options = { .in_max = 100, .out_high = 100 };
	static const struct conn_ops ops = { .on_data = on_bytes, .on_end = on_end };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	*conn = conn_accept(s->loop, pair[0], &options, &ops, s);
	assert_non_null(*conn);
	return pair[1];
}

/* --- a second look ------------------------------------------------------------------ */

static struct {
	struct conn *asker;
	int far, other; /* the far ends of the asker and of somebody else */
	bool wanted;
	uint64_t asked, seen; /* the turns of the two */
	bool was_answered;    /* by when the other one was seen */
} look;

static size_t
on_question(void *arg, const char *data, size_t len)
{
	struct seen *s = arg;

	(void)data;
	look.asked = loop_turn(s->loop);
	buf_add_str(conn_out(look.asker), "answer");
	return len;
}

static size_t
on_other(void *arg, const char *data, size_t len)
{
	struct seen *s = arg;
	char answer[16];

	(void)data;
	look.seen = loop_turn(s->loop);
	look.was_answered = recv(look.far, answer, sizeof(answer), MSG_DONTWAIT) == 6;
	loop_stop(s->loop);
	return len;
}

/* While the loop thinks about it, somebody else comes. */
static bool
wants_look(void *arg)
{
	(void)arg;
	if (look.asked && !look.seen)
		assert_int_equal(write(look.other, "y", 1), 1);
	return look.wanted;
}

static void
look_again(struct seen *s, bool wanted)
{
	static const struct conn_options options = { .in_max = 100, .out_high = 100 };
	static const struct conn_ops asks = { .on_data = on_question,
		.on_end = on_end };
	static const struct conn_ops comes = { .on_data = on_other, .on_end = on_end };
	int pair[2];

	memset(&look, 0, sizeof(look));
	look.wanted = wanted;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	look.asker = conn_accept(s->loop, pair[0], &options, &asks, s);
	look.far = pair[1];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_non_null(conn_accept(s->loop, pair[0], &options, &comes, s));
	look.other = pair[1];
	loop_look_again_if(s->loop, wants_look, s);
	assert_int_equal(write(look.far, "x", 1), 1);
	assert_int_equal(loop_run(s->loop), 0);
	close(look.far);
	close(look.other);
}

static void
test_a_second_look_belongs_to_the_turn(void **state)
{
	look_again(*state, true);
	assert_int_equal(look.seen, look.asked);
	assert_true(look.was_answered);
}

static void
test_without_a_second_look(void **state)
{
	look_again(*state, false);
	assert_true(look.seen > look.asked);
	assert_true(look.was_answered);
}

static void
note_wake(void *arg)
{
	struct seen *s = arg;

	assert_int_equal(s->fired, 0);
	s->turns++;
}

static void
send_and_wake(void *arg)
{
	struct seen *s = arg;

	assert_int_equal(write(s->fd, "x", 1), 1);
	loop_wake(s->loop);
}

/* What another thread asks for comes before what clients have sent by then. */
static void
test_a_wake_up_goes_first(void **state)
{
	struct seen *s = *state;
	struct conn *conn;

	s->fd = add_client(s, &conn);
	loop_on_wake(s->loop, note_wake, s);
	/* In a turn, when the client is listened to already. */
	s->timer = loop_timer_new(s->loop, send_and_wake, s);
	loop_timer_set(s->timer, 1000);
	assert_int_equal(loop_run(s->loop), 0);
	assert_int_equal(s->turns, 1);
	close(s->fd);
}

static void
test_clients_of_a_group(void **state)
{
	struct seen *s = *state;
	struct loop_group group = { 0 };
	struct loop *other = loop_new();
	struct conn *one;
	struct conn *two;
	int fds[2];

	loop_join(s->loop, &group);
	loop_join(other, &group);
	loop_expect_client(s->loop);
	loop_expect_client(other);
	assert_int_equal(loop_clients(s->loop), 1);
	assert_int_equal(loop_group_clients(s->loop), 2);
	loop_miss_client(other);
	loop_meet_client(s->loop);
	fds[0] = add_client(s, &one); /* who was expected */
	assert_int_equal(loop_clients(s->loop), 1);
	fds[1] = add_client(s, &two); /* nobody expected that one */
	assert_int_equal(loop_clients(s->loop), 2);
	assert_int_equal(loop_clients(other), 0);
	assert_int_equal(loop_group_clients(other), 2);
	conn_close(one);
	conn_close(two);
	assert_int_equal(loop_group_clients(other), 0);
	close(fds[0]);
	close(fds[1]);
	loop_free(other);
	loop_free(s->loop);
	s->loop = NULL; /* before the group goes */
}

static void
test_stop_before_run_is_kept(void **state)
{
	struct seen *s = *state;

	loop_stop(s->loop);
	assert_int_equal(loop_run(s->loop), 0);
}

static void
on_signal(void *arg, int signo)
{
	struct seen *s = arg;

	s->signo = signo;
	loop_stop(s->loop);
}

static void
test_signals_arrive_in_the_loop(void **state)
{
	struct seen *s = *state;

	assert_int_equal(loop_on_signal(s->loop, SIGUSR1, on_signal, s), 0);
	raise(SIGUSR1);
	assert_int_equal(s->signo, 0);
	assert_int_equal(loop_run(s->loop), 0);
	assert_int_equal(s->signo, SIGUSR1);
}

static void
on_look(void *arg)
{
	struct seen *s = arg;
	int64_t first_us = loop_now_us(s->loop);

	s->fired++;
	s->at_us = clock_mono_us() - first_us;
	while (clock_mono_us() - first_us < 2000)
		continue;
	if (loop_now_us(s->loop) != first_us)
		s->fired = -1;
	loop_stop(s->loop);
}

static void
test_time_stands_still_within_a_turn(void **state)
{
	struct seen *s = *state;
	struct loop_timer *timer = loop_timer_new(s->loop, on_look, s);

	loop_now_us(s->loop);
	loop_timer_set(timer, 20000);
	assert_int_equal(loop_run(s->loop), 0);
	assert_int_equal(s->fired, 1);
	assert_in_range(s->at_us, 0, 15000); /* the turn's start, not the last one's */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_a_timer_is_never_early, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_a_timer_is_pushed_off_pulled_in_and_cancelled, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    test_a_timer_repeats_and_is_freed_inside_its_callback, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    test_each_turn_ends_with_the_hook, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_another_thread_wakes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_a_wake_up_goes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_a_second_look_belongs_to_the_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_without_a_second_look, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_clients_of_a_group, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_stop_before_run_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_signals_arrive_in_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_time_stands_still_within_a_turn, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
