/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/conn.h"
#include "net/conn_inner.h"
#include "net/listener.h"

/* One owner of a conn: reads lines, and does with each what `on_line` says. */
struct owner {
	struct loop *loop;
	struct conn *conn;
	struct loop_timer *watchdog;
	bool timed_out;
	int far; /* the other end, driven by hand */
	void (*on_line)(struct owner *o, const char *line, size_t len);
	bool (*until)(struct owner *o);
	struct buf got; /* lines, without their ends, joined by '|' */
	int lines;
	int shown; /* times on_data ran */
	int opened;
	int ended;
	enum conn_end end;
	struct errinfo why;
	const char *last_word;
	int pause_at; /* pauses after so many lines */
	struct loop_timer *later;
};

static void
on_watchdog(void *arg)
{
	struct owner *o = arg;

	o->timed_out = true;
	loop_stop(o->loop);
}

static void
on_turn(void *arg)
{
	struct owner *o = arg;

	if (o->until && o->until(o))
		loop_stop(o->loop);
}

static int
setup(void **state)
{
	struct owner *o = calloc(1, sizeof(*o));

	o->loop = loop_new();
	o->watchdog = loop_timer_new(o->loop, on_watchdog, o);
	o->far = -1;
	loop_on_turn(o->loop, on_turn, o);
	*state = o;
	return 0;
}

static int
teardown(void **state)
{
	struct owner *o = *state;

	if (o->far >= 0)
		close(o->far);
	loop_free(o->loop);
	buf_fini(&o->got);
	free(o);
	return 0;
}

static size_t
on_data(void *arg, const char *data, size_t len)
{
	struct owner *o = arg;
	size_t used = 0;
	const char *end;

	o->shown++;
	while (used < len && (end = memchr(data + used, '\n', len - used))) {
		buf_printf(&o->got, "%s%.*s", o->got.len ? "|" : "",
		    (int)(end - data - (ptrdiff_t)used), data + used);
		o->lines++;
		if (o->on_line)
			o->on_line(o, data + used, (size_t)(end - data) - used);
		used = (size_t)(end - data) + 1;
		if (o->pause_at && o->lines % o->pause_at == 0) {
			conn_pause(o->conn);
			break;
		}
	}
	return used;
}

static void
on_open(void *arg)
{
	struct owner *o = arg;

	o->opened++;
}

static void
on_end(void *arg, enum conn_end end, const struct errinfo *why)
{
	struct owner *o = arg;

	o->ended++;
	o->end = end;
	if (why)
		o->why = *why;
	if (o->last_word)
		buf_add_str(conn_out(o->conn), o->last_word);
}

static const struct conn_ops ops = { on_open, on_data, on_end };
static const struct conn_options options = { .in_max = 1000, .out_high = 100000 };

static void
accept_pair(struct owner *o, int type, const struct conn_options *opts)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, pair), 0);
	o->far = pair[0];
	o->conn = conn_accept(o->loop, pair[1], opts, &ops, o);
	assert_non_null(o->conn);
}

static void
run_until(struct owner *o, bool (*until)(struct owner *o))
{
	o->until = until;
	loop_timer_set(o->watchdog, 5000000);
	assert_int_equal(loop_run(o->loop), 0);
	loop_timer_cancel(o->watchdog);
	assert_false(o->timed_out);
	o->until = NULL;
}

static bool
is_over(struct owner *o)
{
	return o->ended > 0;
}

static bool
has_three(struct owner *o)
{
	return o->lines >= 3;
}

static bool
has_one(struct owner *o)
{
	return o->lines >= 1;
}

static void
tell(struct owner *o, const char *text)
{
	assert_int_equal(send(o->far, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What the far end reads now; "" for nothing, "EOF". */
static const char *
hear(struct owner *o)
{
	static char text[4096];
	ssize_t n = recv(o->far, text, sizeof(text) - 1, 0);

	if (n == 0)
		return "EOF";
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
assert_got(struct owner *o, const char *text)
{
	assert_string_equal(buf_cstr(&o->got), text);
}

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

	accept_pair(o, SOCK_STREAM, &options);
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

	accept_pair(o, SOCK_SEQPACKET, &options); /* one send is one packet there */
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

	accept_pair(o, SOCK_STREAM, &options);
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

	accept_pair(o, SOCK_STREAM, &options);
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

	return end ? on_data(arg, data, (size_t)(end - data) + 1) : 0;
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
	static const struct conn_ops greedy = { NULL, on_data_one_line, on_end };
	static const struct conn_ops modest = { NULL, count_turns, on_end };
	struct owner *o = *state;
	struct conn *other;
	int pair[2];
	uint64_t turn;

	accept_pair(o, SOCK_STREAM, &options);
	o->conn->ops = &greedy;
	o->on_line = yield_each;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	other = conn_accept(o->loop, pair[1], &options, &modest, o);
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
	close(o->far); /* what was yielded is shown before the end is told */
	o->far = -1;
	run_until(o, is_over);
}

static void
test_a_yielding_conn_may_be_closed(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &options);
	o->on_line = yield_each;
	tell(o, "1\nrest");
	run_until(o, has_one);
	conn_close(o->conn);
}

static void
test_read_now(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &options);
	tell(o, "1\n2\n");
	conn_read_now(o->conn);
	assert_got(o, "1|2");
	close(o->far);
	o->far = -1;
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

	loop_limit_input(o->loop, 10000);
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
	loop_limit_input(o->loop, 1);
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

static void
answer_much(struct owner *o, const char *line, size_t len)
{
	char block[1000];

	(void)line;
	(void)len;
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 500; i++)
		buf_add(conn_out(o->conn), block, sizeof(block));
}

static bool
pending_is_high(struct owner *o)
{
	return o->lines >= 1 && conn_out_pending(o->conn) > options.out_high;
}

static bool
drain_far(struct owner *o)
{
	char block[65536];
	ssize_t n;

	while ((n = recv(o->far, block, sizeof(block), 0)) > 0)
		o->shown += (int)n; /* counts bytes here */
	if (o->shown < 3 * 500000)
		loop_wake(o->loop);
	return o->shown >= 3 * 500000;
}

static void
test_a_peer_that_does_not_read_is_not_read(void **state)
{
	struct owner *o = *state;

	accept_pair(o, SOCK_STREAM, &options);
	o->on_line = answer_much;
	tell(o, "1\n");
	run_until(o, pending_is_high);
	tell(o, "2\n3\n");
	o->until = NULL;
	loop_timer_set(o->watchdog, 50000);
	assert_int_equal(loop_run(o->loop), 0);
	assert_true(o->timed_out);
	assert_int_equal(o->lines, 1);
	o->timed_out = false;
	o->shown = 0;
	run_until(o, drain_far);
	assert_int_equal(o->lines, 3);
}

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

	accept_pair(o, SOCK_STREAM, &options);
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

	accept_pair(o, SOCK_STREAM, &options);
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

	accept_pair(o, SOCK_STREAM, &options);
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
	loop_timer_set(o->watchdog, 250000);
	assert_int_equal(loop_run(o->loop), 0);
	assert_int_equal(o->ended, 0);
	conn_set_busy(o->conn, false);
	o->timed_out = false;
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
	accept_pair(o, SOCK_STREAM, &options);
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

	accept_pair(o, SOCK_STREAM, &options);
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

	accept_pair(o, SOCK_STREAM, &options);
	o->on_line = answer_later;
	tell(o, "1\n");
	run_until(o, has_one);
	close(o->far);
	o->far = -1;
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_PEER);
}

/* TCP, because only there does unread input turn a close into a reset. */
static void
connect_tcp(struct owner *o, struct conn **conn, const struct conn_options *opts)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int server = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(server, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(server, 1), 0);
	getsockname(server, (struct sockaddr *)&in, &len);
	o->far = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(o->far, (struct sockaddr *)&in, len), 0);
	*conn = conn_accept(
	    o->loop, accept4(server, NULL, NULL, SOCK_NONBLOCK), opts, &ops, o);
	close(server);
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
	size_t total = 0;
	ssize_t n;

	connect_tcp(o, &o->conn, &options);
	o->on_line = refuse;
	tell(o, "1\n");
	run_until(o, NULL);
	/* More arrives after the owner is through with it. */
	for (int i = 0; i < 20; i++)
		tell(o, "more of what nobody will read\n");
	loop_on_wake(o->loop, on_nothing, NULL);
	for (int i = 0; i < 50 && total < 500008; i++) {
		loop_timer_set(o->watchdog, 2000);
		assert_int_equal(loop_run(o->loop), 0);
		while ((n = recv(o->far, block, sizeof(block), MSG_DONTWAIT)) > 0)
			total += (size_t)n;
		assert_true(n == 0 || errno == EAGAIN);
	}
	assert_int_equal(total, 500008);
	assert_int_equal(o->ended, 0);
	o->timed_out = false;
	close(o->far); /* then the lingering conn goes as well */
	o->far = -1;
	run_until(o, conns_are_gone);
}

static bool
is_open(struct owner *o)
{
	return o->opened > 0;
}

static void
on_accept(void *arg, int fd)
{
	struct owner *o = arg;

	o->far = fd;
}

static void
test_connects(void **state)
{
	struct owner *o = *state;
	struct address a;
	struct errinfo ei;
	struct listener *l;

	assert_int_equal(address_parse("127.0.0.1:0", &a, &ei), 0);
	l = listener_open(o->loop, &a, on_accept, o, &ei);
	assert_int_equal(address_parse(listener_address(l), &a, &ei), 0);
	o->conn = conn_connect(o->loop, &a, &options, &ops, o, &ei);
	assert_non_null(o->conn);
	assert_int_equal(o->opened, 0);
	buf_add_str(conn_out(o->conn), "early\n");
	run_until(o, is_open);
	while (o->far < 0) {
		loop_wake(o->loop);
		loop_stop(o->loop);
		assert_int_equal(loop_run(o->loop), 0);
		loop_timer_set(o->watchdog, 1000);
		assert_int_equal(loop_run(o->loop), 0);
	}
	o->timed_out = false;
	assert_string_equal(hear(o), "early\n");
	assert_string_equal(conn_peer(o->conn), a.text);
	assert_int_equal(send(o->far, "1\n2\n3\n", 6, 0), 6);
	run_until(o, has_three);
	assert_got(o, "1|2|3");
	close(o->far);
	o->far = -1;
	conn_set_busy(
	    o->conn, true); /* does not hold back the end of a connected one */
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_PEER);
	listener_close(l);
}

static void
test_a_refused_connect_is_told(void **state)
{
	struct owner *o = *state;
	struct address a;
	struct errinfo ei;
	struct listener *l;

	assert_int_equal(address_parse("127.0.0.1:0", &a, &ei), 0);
	l = listener_open(o->loop, &a, on_accept, o, &ei);
	assert_int_equal(address_parse(listener_address(l), &a, &ei), 0);
	listener_close(l);
	o->conn = conn_connect(o->loop, &a, &options, &ops, o, &ei);
	if (o->conn) {
		run_until(o, is_over);
		assert_int_equal(o->end, CONN_END_FAILED);
		ei = o->why;
	}
	assert_int_equal(ei.code, ERR_IO);
	assert_non_null(strstr(ei.text, a.text));
	assert_int_equal(address_parse("unix:/nonexistent/sock", &a, &ei), 0);
	assert_null(conn_connect(o->loop, &a, &options, &ops, o, &ei));
	assert_non_null(strstr(ei.text, "/nonexistent/sock"));
}

/* A name server that answers when the test lets it: linked in place of getaddrinfo.
 * Addresses that are written as such are not its matter. */
static pthread_mutex_t name_server = PTHREAD_MUTEX_INITIALIZER;

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
    struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
    struct addrinfo **out);

int
__wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
    struct addrinfo **out)
{
	if (hints && (hints->ai_flags & AI_NUMERICHOST))
		return __real_getaddrinfo(host, port, hints, out);
	pthread_mutex_lock(&name_server);
	pthread_mutex_unlock(&name_server);
	if (strcmp(host, "nowhere.invalid") == 0)
		return EAI_NONAME;
	return __real_getaddrinfo("127.0.0.1", port, hints, out);
}

static void
begin_lookup(struct owner *o, const char *host, const char *port)
{
	char text[64];
	struct address a;
	struct errinfo ei;

	snprintf(text, sizeof(text), "%s:%s", host, port);
	assert_int_equal(address_parse(text, &a, &ei), 0);
	o->conn = conn_connect(o->loop, &a, &options, &ops, o, &ei);
	assert_non_null(o->conn);
}

/* While a name is looked up the loop serves others. */
static void
test_a_slow_name_server_stops_nobody(void **state)
{
	struct owner *o = *state;
	struct address a;
	struct errinfo ei;
	struct listener *l;
	const char *port;

	assert_int_equal(address_parse("127.0.0.1:0", &a, &ei), 0);
	l = listener_open(o->loop, &a, on_accept, o, &ei);
	port = strrchr(listener_address(l), ':') + 1;
	pthread_mutex_lock(&name_server);
	begin_lookup(o, "somewhere.invalid", port);
	buf_add_str(conn_out(o->conn), "early\n");
	loop_timer_set(o->watchdog, 5000);
	assert_int_equal(loop_run(o->loop), 0); /* the timer fires: nothing is stuck */
	assert_true(o->timed_out);
	assert_int_equal(o->opened + o->ended, 0);
	o->timed_out = false;
	pthread_mutex_unlock(&name_server);
	run_until(o, is_open);
	listener_close(l);
}

static void
test_a_name_that_is_not_there_is_told(void **state)
{
	struct owner *o = *state;

	begin_lookup(o, "nowhere.invalid", "1");
	assert_int_equal(o->ended, 0);
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_FAILED);
	assert_non_null(strstr(o->why.text, "cannot look up nowhere.invalid:1"));
}

/* Closed while the thread still asks: it ends alone, and tells nobody. */
static void
test_a_lookup_may_be_given_up(void **state)
{
	struct owner *o = *state;

	pthread_mutex_lock(&name_server);
	begin_lookup(o, "somewhere.invalid", "1");
	conn_close(o->conn);
	o->conn = NULL;
	loop_timer_set(o->watchdog, 2000);
	assert_int_equal(loop_run(o->loop), 0);
	o->timed_out = false;
	pthread_mutex_unlock(&name_server);
	loop_timer_set(o->watchdog, 2000);
	assert_int_equal(loop_run(o->loop), 0);
	o->timed_out = false;
	assert_int_equal(o->opened + o->ended, 0);
}

#define WITH_OWNER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_OWNER(test_what_is_not_consumed_is_shown_again),
		WITH_OWNER(test_a_turn_is_one_write_and_leaves_no_buffers),
		WITH_OWNER(test_pause_keeps_input_and_resume_shows_it),
		WITH_OWNER(test_resume_inside_on_data),
		WITH_OWNER(test_a_yield_lets_others_be_read),
		WITH_OWNER(test_a_yielding_conn_may_be_closed),
		WITH_OWNER(test_read_now),
		WITH_OWNER(test_too_much_input_of_all_together),
		WITH_OWNER(test_a_peer_that_does_not_read_is_not_read),
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
		WITH_OWNER(test_connects),
		WITH_OWNER(test_a_refused_connect_is_told),
		WITH_OWNER(test_a_slow_name_server_stops_nobody),
		WITH_OWNER(test_a_name_that_is_not_there_is_told),
		WITH_OWNER(test_a_lookup_may_be_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
