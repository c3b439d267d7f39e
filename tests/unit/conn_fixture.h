/* SPDX-License-Identifier: ISC */
/* The owner of a conn: what it was told, and a loop that runs until something is so. It
 * reads lines; what the far end of its conn does is the test's. */
#ifndef CONN_FIXTURE_H
#define CONN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"

/* Longest wait for what must come; nothing waits that long when all is well. */
#define WATCHDOG_US 20000000

struct owner {
	struct loop *loop;
	struct loop_timer *watchdog;
	bool timed_out;
	struct conn *conn;
	int far; /* the other end, driven by hand; -1: none */
	bool (*until)(struct owner *o);
	int opened;
	int ended;
	enum conn_end end;
	struct errinfo why;
	const char *last_word; /* appended at the end */

	/* of lines */
	void (*on_line)(struct owner *o, const char *line, size_t len);
	struct buf got; /* without their ends, joined by '|' */
	int lines;
	int shown;    /* times they were shown to it */
	int pause_at; /* pauses after so many */
	struct loop_timer *later;
};

static void
owner_on_watchdog(void *arg)
{
	struct owner *o = arg;

	o->timed_out = true;
	loop_stop(o->loop);
}

static void
owner_on_turn(void *arg)
{
	struct owner *o = arg;

	if (o->until && o->until(o))
		loop_stop(o->loop);
}

static inline int
owner_open(void **state)
{
	struct owner *o = calloc(1, sizeof(*o));

	o->loop = loop_new();
	o->watchdog = loop_timer_new(o->loop, owner_on_watchdog, o);
	o->far = -1;
	loop_on_turn(o->loop, owner_on_turn, o);
	*state = o;
	return 0;
}

static inline void
close_far(struct owner *o)
{
	if (o->far >= 0)
		close(o->far);
	o->far = -1;
}

static inline int
owner_close(void **state)
{
	struct owner *o = *state;

	close_far(o);
	loop_free(o->loop);
	buf_fini(&o->got);
	free(o);
	return 0;
}

#define WITH_OWNER(test) cmocka_unit_test_setup_teardown(test, owner_open, owner_close)

/* --- what it is told --------------------------------------------------------------- */

static inline size_t
owner_on_data(void *arg, const char *data, size_t len)
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

static inline void
owner_on_open(void *arg)
{
	struct owner *o = arg;

	o->opened++;
}

static inline void
owner_on_end(void *arg, enum conn_end end, const struct errinfo *why)
{
	struct owner *o = arg;

	o->ended++;
	o->end = end;
	if (why)
		o->why = *why;
	if (o->last_word)
		buf_add_str(conn_out(o->conn), o->last_word);
}

static const struct conn_ops owner_ops = { owner_on_open, owner_on_data, owner_on_end };
static const struct conn_options owner_options = { .in_max = 1000, .out_high = 100000 };

static inline void
accept_pair(struct owner *o, int type, const struct conn_options *options)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, pair), 0);
	o->far = pair[0];
	o->conn = conn_accept(o->loop, pair[1], options, &owner_ops, o);
	assert_non_null(o->conn);
}

/* --- time passes ------------------------------------------------------------------- */

static inline void
run_until(struct owner *o, bool (*until)(struct owner *o))
{
	o->until = until;
	loop_timer_set(o->watchdog, WATCHDOG_US);
	assert_int_equal(loop_run(o->loop), 0);
	loop_timer_cancel(o->watchdog);
	assert_false(o->timed_out);
	o->until = NULL;
}

/* Nothing but the time ends it. */
static inline void
run_for(struct owner *o, int64_t us)
{
	loop_timer_set(o->watchdog, us);
	assert_int_equal(loop_run(o->loop), 0);
	assert_true(o->timed_out);
	o->timed_out = false;
}

static inline bool
is_open(struct owner *o)
{
	return o->opened > 0;
}

static inline bool
is_over(struct owner *o)
{
	return o->ended > 0;
}

static inline bool
has_one(struct owner *o)
{
	return o->lines >= 1;
}

static inline bool
has_three(struct owner *o)
{
	return o->lines >= 3;
}

/* --- the far end ------------------------------------------------------------------- */

static inline void
tell(struct owner *o, const char *text)
{
	assert_int_equal(send(o->far, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What the far end reads now; "" for nothing, "EOF". */
static inline const char *
hear(struct owner *o)
{
	static char text[4096];
	ssize_t n = recv(o->far, text, sizeof(text) - 1, 0);

	if (n == 0)
		return "EOF";
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static inline void
assert_got(struct owner *o, const char *text)
{
	assert_string_equal(buf_cstr(&o->got), text);
}

/* A line of the far end's that is answered with much. */
#define MUCH_ANSWERED 500000

static inline void
answer_much(struct owner *o, const char *line, size_t len)
{
	char block[1000];

	(void)line;
	(void)len;
	memset(block, 'x', sizeof(block));
	for (size_t n = 0; n < MUCH_ANSWERED; n += sizeof(block))
		buf_add(conn_out(o->conn), block, sizeof(block));
}

#endif
