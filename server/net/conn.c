/* SPDX-License-Identifier: ISC */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "net/conn_inner.h"

#define SWEEP_EVERY_US 100000
#define SWEEP_LEAST 256 /* conns looked at each time, or an eighth if that is more */

static const char *const state_names[] = { "connecting", "handshaking", "open",
	"flushing", "lingering", "closed" };

struct conn *
conn_of(void *arg)
{
	struct conn *conn = arg;

	assert(conn->magic == CONN_MAGIC);
	return conn;
}

void
conn_set_state(struct conn *conn, enum conn_state state)
{
	if (conn->state == state)
		return;
	log_debug("net", "conn %d: %s -> %s", conn->fd, state_names[conn->state],
	    state_names[state]);
	conn->state = state;
	conn->out_us = loop_now_us(conn->loop);
}

static void
ring_add(struct loop *loop, struct conn *conn)
{
	struct conn *head = loop->conns;

	conn->next = head ? head : conn;
	conn->prev = head ? head->prev : conn;
	conn->prev->next = conn;
	conn->next->prev = conn;
	if (!head)
		loop->conns = conn;
	if (loop->n_conns++ == 0)
		loop_timer_set(loop->sweep, SWEEP_EVERY_US);
}

static void
ring_remove(struct loop *loop, struct conn *conn)
{
	conn->prev->next = conn->next;
	conn->next->prev = conn->prev;
	if (loop->conns == conn)
		loop->conns = conn->next == conn ? NULL : conn->next;
	loop->n_conns--;
}

struct conn *
conn_new(struct loop *loop, const struct conn_options *options,
    const struct conn_ops *ops, void *arg)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->magic = CONN_MAGIC;
	conn->loop = loop;
	conn->options = *options;
	conn->ops = ops;
	conn->arg = arg;
	conn->fd = -1;
	conn->transport = &transport_plain;
	conn->last_us = conn->out_us = loop_now_us(loop);
	ring_add(loop, conn);
	return conn;
}

void
conn_attach(struct conn *conn, int fd)
{
	conn->fd = fd;
	event_assign(&conn->read_event, conn->loop->base, fd, EV_READ | EV_PERSIST,
	    conn_on_readable, conn);
	event_assign(&conn->write_event, conn->loop->base, fd, EV_WRITE | EV_PERSIST,
	    conn_on_writable, conn);
}

void
conn_set_peer(struct conn *conn, const struct sockaddr *sa)
{
	int one = 1;

	conn->peer.sa.sa_family = sa->sa_family;
	if (sa->sa_family == AF_INET)
		memcpy(&conn->peer.in, sa, sizeof(conn->peer.in));
	else if (sa->sa_family == AF_INET6)
		memcpy(&conn->peer.in6, sa, sizeof(conn->peer.in6));
	else
		return;
	/* Answers are written as a whole: waiting to fill a segment only delays them. */
	if (setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		log_debug("net", "TCP_NODELAY: %s", strerror(errno));
}

struct conn *
conn_accept(struct loop *loop, int fd, const struct conn_options *options,
    const struct conn_ops *ops, void *arg)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	struct conn *conn = conn_new(loop, options, ops, arg);

	if (!conn) {
		close(fd);
		if (loop->met)
			loop_miss_client(loop);
		loop->met = false;
		return NULL;
	}
	conn_attach(conn, fd);
	/* If the peer has gone already, the first read will tell. */
	if (getpeername(fd, (struct sockaddr *)&ss, &len) == 0)
		conn_set_peer(conn, (struct sockaddr *)&ss);
	conn->accepted = true;
	if (!loop->met)
		loop_expect_client(loop);
	loop->met = false;
	conn_set_state(conn, CONN_OPEN);
	conn_mark_dirty(conn); /* so that the read event is added */
	return conn;
}

static void
conn_reclaim(struct loop_garbage *garbage)
{
	struct conn *conn = CONTAINER_OF(garbage, struct conn, garbage);

	loop_buf_return(conn->loop, &conn->in);
	loop_buf_return(conn->loop, &conn->out);
	conn_targets_free(conn->targets);
	conn_tls_free(conn);
	conn->magic = 0;
	free(conn);
}

void
conn_retire(struct conn *conn)
{
	struct loop *loop = conn->loop;

	if (conn->reading)
		event_del(&conn->read_event);
	if (conn->writing)
		event_del(&conn->write_event);
	conn->reading = conn->writing = false;
	conn_stop_lookup(conn);
	if (conn->state == CONN_OPEN && conn->transport->say_end)
		conn->transport->say_end(conn);
	conn_set_state(conn, CONN_CLOSED);
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	if (conn->is_dirty) {
		TAILQ_REMOVE(&loop->dirty, conn, dirty_link);
		loop->n_dirty--;
	}
	if (conn->is_again) {
		TAILQ_REMOVE(&loop->again, conn, again_link);
		loop->n_again--;
	}
	if (conn->yielded) {
		TAILQ_REMOVE(&loop->later, conn, later_link);
		loop->n_later--;
	}
	conn->is_dirty = conn->is_again = conn->yielded = false;
	conn_count_kept(conn, 0);
	ring_remove(loop, conn);
	if (conn->accepted)
		loop_miss_client(loop);
	loop_discard(loop, &conn->garbage, conn_reclaim);
}

void
conn_end(struct conn *conn, enum conn_end end, const struct errinfo *why)
{
	conn_retire(conn);
	conn->ops->on_end(conn->arg, end, why);
}

void
conn_end_with_word(struct conn *conn, enum conn_end end)
{
	conn_set_state(conn, CONN_FLUSHING);
	conn->ops->on_end(conn->arg, end, NULL);
	conn_mark_dirty(conn);
}

struct buf *
conn_out(struct conn *conn)
{
	/* While a long queue follows the sent bytes, removing them is not worth the move. */
	if (conn->out_sent >= LOOP_READ_MAX && conn->out_sent >= conn->out.len / 2) {
		buf_drop(&conn->out, conn->out_sent);
		conn->out_sent = 0;
	}
	loop_buf_lend(conn->loop, &conn->out);
	conn_mark_dirty(conn);
	return &conn->out;
}

size_t
conn_out_pending(const struct conn *conn)
{
	return conn->out.len - conn->out_sent;
}

void
conn_pause(struct conn *conn)
{
	conn->paused = true;
	conn->stalled = true;
	conn->in_us = 0;
	conn_mark_dirty(conn);
}

void
conn_resume(struct conn *conn)
{
	conn->paused = false;
	conn_mark_dirty(conn);
}

void
conn_yield(struct conn *conn)
{
	if (conn->yielded || conn->state != CONN_OPEN)
		return;
	conn->yielded = true;
	conn->loop->n_later++;
	TAILQ_INSERT_TAIL(&conn->loop->later, conn, later_link);
	conn_mark_dirty(conn); /* so that it is not read meanwhile */
}

void
conn_set_busy(struct conn *conn, bool busy)
{
	conn->busy = busy;
	if (!busy && conn->eof)
		conn_mark_dirty(conn);
}

void
conn_close(struct conn *conn)
{
	if (conn->state < CONN_FLUSHING)
		conn_retire(conn);
}

void
conn_close_after_write(struct conn *conn)
{
	if (conn->state < CONN_OPEN) {
		conn_retire(conn);
	} else if (conn->state == CONN_OPEN) {
		conn_set_state(conn, CONN_FLUSHING);
		conn_mark_dirty(conn);
	}
}

const char *
conn_peer(const struct conn *conn)
{
	char *text = conn->loop->peer_text;

	if (conn->peer.sa.sa_family == AF_UNSPEC)
		address_of_fd(conn->fd, true, text);
	else
		address_of_sockaddr(&conn->peer.sa, sizeof(conn->peer), text);
	return text;
}

static bool
expired(int64_t now_us, int64_t since_us, int64_t limit_ms)
{
	return limit_ms > 0 && now_us - since_us > limit_ms * 1000;
}

static void
sweep_open(struct conn *conn, int64_t now_us)
{
	const struct conn_options *o = &conn->options;
	bool owing = conn->busy || conn_out_pending(conn) > 0;

	if (conn->blocked && expired(now_us, conn->out_us, o->write_ms))
		conn_end(conn, CONN_END_SLOW, NULL);
	else if (conn->in_us && expired(now_us, conn->in_us, o->message_ms))
		conn_end_with_word(conn, CONN_END_SLOW);
	else if (!owing && expired(now_us, conn->last_us, o->idle_ms))
		conn_end_with_word(conn, CONN_END_IDLE);
}

static void
sweep_one(struct conn *conn, int64_t now_us)
{
	int64_t write_ms = conn->options.write_ms;
	struct errinfo why;

	switch (conn->state) {
	case CONN_CONNECTING:
	case CONN_HANDSHAKING:
		if (!expired(now_us, conn->out_us, write_ms))
			break;
		conn_tell_wait(conn, &why);
		conn_end(conn, CONN_END_FAILED, &why);
		break;
	case CONN_OPEN:
		sweep_open(conn, now_us);
		break;
	case CONN_FLUSHING:
		if (expired(now_us, conn->out_us, write_ms ? write_ms : CONN_FLUSH_MS))
			conn_retire(conn);
		break;
	case CONN_LINGERING:
		if (expired(now_us, conn->out_us, CONN_LINGER_MS))
			conn_retire(conn);
		break;
	case CONN_CLOSED:
		break;
	}
}

/* Each sweep goes through a part of the ring, so that ten thousand idle conns cost a few
 * microseconds, and a timeout is at most eight sweeps late. */
void
conns_sweep(void *arg)
{
	struct loop *loop = arg;
	int64_t now_us = loop_now_us(loop);
	size_t n = loop->n_conns / 8 > SWEEP_LEAST ? loop->n_conns / 8 : SWEEP_LEAST;

	if (n > loop->n_conns)
		n = loop->n_conns;
	for (; n > 0 && loop->conns; n--) {
		struct conn *conn = loop->conns;

		loop->conns = conn->next;
		sweep_one(conn, now_us);
	}
	if (loop->n_conns > 0)
		loop_timer_set(loop->sweep, SWEEP_EVERY_US);
}

void
conns_close_all(struct loop *loop)
{
	while (loop->conns)
		conn_retire(loop->conns);
}
