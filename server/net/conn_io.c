/* SPDX-License-Identifier: ISC */
/* Bytes in and out of connections, and the events that they need. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "net/conn_inner.h"

static ssize_t
plain_recv(struct conn *conn, void *data, size_t len)
{
	return recv(conn->fd, data, len, 0);
}

static ssize_t
plain_send(struct conn *conn, const void *data, size_t len)
{
	return send(conn->fd, data, len, MSG_NOSIGNAL);
}

const struct transport transport_plain = { plain_recv, plain_send, NULL, NULL };

bool
conn_must_wait(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static void
end_with_errno(struct conn *conn, int error)
{
	struct errinfo why;
	bool gone = error == EPIPE || error == ECONNRESET;

	if (conn->transport->explain)
		conn->transport->explain(conn, error, &why);
	else
		err_set(&why, ERR_IO, "%s", strerror(error));
	conn_end(conn, gone ? CONN_END_PEER : CONN_END_FAILED, &why);
}

static void
end_without_memory(struct conn *conn)
{
	struct errinfo why;

	err_set(&why, ERR_NOMEM, "out of memory");
	conn_end(conn, CONN_END_FAILED, &why);
}

void
conn_mark_dirty(struct conn *conn)
{
	if (conn->is_dirty || conn->state == CONN_CLOSED)
		return;
	conn->is_dirty = true;
	conn->loop->n_dirty++;
	TAILQ_INSERT_TAIL(&conn->loop->dirty, conn, dirty_link);
}

static void
mark_again(struct conn *conn)
{
	if (conn->is_again)
		return;
	conn->is_again = true;
	conn->loop->n_again++;
	TAILQ_INSERT_TAIL(&conn->loop->again, conn, again_link);
}

/* Whether the owner, or unsent output, keeps input from being shown. */
static bool
is_held(const struct conn *conn)
{
	return conn->paused || conn->yielded ||
	    conn_out_pending(conn) > conn->options.out_high;
}

/* Whether input would be taken if there were any. */
static bool
takes_input(const struct conn *conn)
{
	if (conn->state == CONN_LINGERING)
		return true;
	return conn->state == CONN_OPEN && !conn->eof && !is_held(conn);
}

static bool
wants_read(const struct conn *conn)
{
	if (conn->state == CONN_HANDSHAKING)
		return !conn->blocked;
	if (conn->blocked && conn->send_wants_read)
		return true;
	/* Kept input is shown first: else it would grow with every second look. */
	return takes_input(conn) && !conn->is_again;
}

static bool
wants_write(const struct conn *conn)
{
	/* A conn without a socket still has its name looked up. */
	if (conn->state == CONN_CONNECTING)
		return conn->fd >= 0;
	return conn->blocked && !conn->send_wants_read;
}

static int
set_event(struct event *event, bool *is, bool wanted)
{
	if (*is == wanted)
		return 0;
	*is = wanted;
	return wanted ? event_add(event, NULL) : event_del(event);
}

/* The only place that adds and removes events, except closing. */
static void
update_events(struct conn *conn)
{
	if (set_event(&conn->read_event, &conn->reading, wants_read(conn)) == 0 &&
	    set_event(&conn->write_event, &conn->writing, wants_write(conn)) == 0)
		return;
	if (conn->state >= CONN_FLUSHING)
		conn_retire(conn);
	else
		end_without_memory(conn);
}

/* After every change of what the conn keeps. */
static void
count_input(struct conn *conn)
{
	conn_count_kept(conn, conn->accepted ? conn->in.cap : 0);
}

void
conn_count_kept(struct conn *conn, size_t now)
{
	/* Other threads write there, too: not more often than needed. */
	if (now == conn->in_counted)
		return;
	atomic_fetch_add_explicit(
	    &conn->loop->group->in_bytes, now - conn->in_counted, memory_order_relaxed);
	conn->in_counted = now;
}

/* Whether the group keeps too much input for the conn to keep what it has. Small requests
 * that come in parts are never refused, so that a few big ones do not shut out others. */
static bool
is_crowded(const struct conn *conn)
{
	const struct loop_group *group = conn->loop->group;

	return conn->accepted && group->in_bytes_max > 0 &&
	    conn->in.len > CONN_IN_FAIR &&
	    atomic_load_explicit(&group->in_bytes, memory_order_relaxed) >
	    group->in_bytes_max;
}

/* Keeps what the owner left of `data`, which is conn->in or the loop's buffer. */
static void
keep_rest(struct conn *conn, const char *data, size_t used, size_t len)
{
	if (conn->in.len > 0) {
		buf_drop(&conn->in, used);
	} else if (used < len) {
		loop_buf_lend(conn->loop, &conn->in);
		buf_add(&conn->in, data + used, len - used);
	}
	if (conn->in.failed) {
		end_without_memory(conn);
		return;
	}
	if (conn->in.len == 0)
		loop_buf_return(conn->loop, &conn->in);
	count_input(conn);
	if (conn->in.len == 0) {
		conn->in_us = 0;
		return;
	}
	if (is_crowded(conn)) {
		conn_end_with_word(conn, CONN_END_CROWDED);
	} else if (is_held(conn)) {
		conn->stalled = true;
		conn->in_us = 0;
	} else if (conn->in.len > conn->options.in_max) {
		conn_end_with_word(conn, CONN_END_TOOBIG);
	} else if (used > 0 || conn->in_us == 0) {
		conn->in_us = conn->last_us;
	}
}

static void
show(struct conn *conn, const char *data, size_t len)
{
	size_t used = conn->ops->on_data(conn->arg, data, len);

	if (conn->state == CONN_OPEN)
		keep_rest(conn, data, used, len);
}

static void
take_input(struct conn *conn, const char *data, size_t len)
{
	conn->last_us = loop_now_us(conn->loop);
	if (conn->in.len == 0) {
		show(conn, data, len);
		return;
	}
	buf_add(&conn->in, data, len);
	if (conn->in.failed)
		end_without_memory(conn);
	else
		show(conn, conn->in.data, conn->in.len);
}

/* Closing with unread input makes the kernel send a reset, by which the peer may lose
 * answers that it has not read yet. */
static void
read_lingering(struct conn *conn, ssize_t n)
{
	if (n == 0 || (n < 0 && !conn_must_wait(errno)))
		conn_retire(conn);
}

/* Returns whether anything came. */
static bool
read_once(struct conn *conn)
{
	ssize_t n;

	if (!takes_input(conn)) {
		conn_mark_dirty(conn); /* paused in this very turn */
		return false;
	}
	n = conn->transport->recv(conn, conn->loop->in, LOOP_READ_MAX);
	if (conn->state == CONN_LINGERING) {
		read_lingering(conn, n);
	} else if (n > 0) {
		take_input(conn, conn->loop->in, (size_t)n);
	} else if (n == 0) {
		conn->eof = true;
		conn_mark_dirty(conn);
	} else if (!conn_must_wait(errno)) {
		end_with_errno(conn, errno);
	}
	return n > 0;
}

/* What could not be sent is tried again at the end of the turn. */
static void
unblock(struct conn *conn)
{
	conn->blocked = false;
	conn_mark_dirty(conn);
}

void
conn_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = conn_of(arg);

	(void)fd;
	(void)what;
	if (conn->state == CONN_HANDSHAKING) {
		conn_shake(conn);
		return;
	}
	if (conn->send_wants_read)
		unblock(conn);
	read_once(conn);
}

void
conn_read_now(struct conn *conn)
{
	size_t left = conn->options.in_max / LOOP_READ_MAX + 1;

	while (conn->state == CONN_OPEN && left-- > 0 && read_once(conn)) {}
}

/* Of the kernel's, which may know none. */
static size_t
unread_bytes(const struct conn *conn)
{
	int n = 0;

	return ioctl(conn->fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

size_t
conn_arrived(const struct conn *conn)
{
	return conn->in.len + unread_bytes(conn);
}

bool
conn_shows_again(const struct conn *conn)
{
	return is_held(conn) || conn->stalled || conn->is_again ||
	    unread_bytes(conn) > 0;
}

bool
conn_has_news(const struct conn *conn)
{
	char byte;

	return conn->eof || recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

void
conn_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = conn_of(arg);

	(void)fd;
	(void)what;
	if (conn->state == CONN_CONNECTING) {
		conn_finish_connect(conn);
	} else if (conn->state == CONN_HANDSHAKING) {
		conn_shake(conn);
	} else {
		unblock(conn);
	}
}

/* Returns false when the conn is gone. */
static bool
send_output(struct conn *conn)
{
	size_t pending = conn_out_pending(conn);
	ssize_t n =
	    conn->transport->send(conn, conn->out.data + conn->out_sent, pending);

	if (n < 0 && !conn_must_wait(errno)) {
		if (conn->state == CONN_OPEN)
			end_with_errno(conn, errno);
		else
			conn_retire(conn);
		return false;
	}
	if (n > 0) {
		conn->out_sent += (size_t)n;
		conn->out_us = loop_now_us(conn->loop);
	}
	if (n == (ssize_t)pending) {
		conn->out_sent = 0;
		conn->last_us = conn->out_us;
		loop_buf_return(conn->loop, &conn->out);
	} else {
		if (n < 0)
			conn->out_us = loop_now_us(conn->loop);
		conn->blocked = true;
	}
	return true;
}

static bool
owes_nothing(const struct conn *conn)
{
	bool unread = conn->in.len > 0 && (conn->stalled || conn->is_again);

	return !conn->busy && !unread && conn_out_pending(conn) == 0;
}

/* Moves the conn on, once everything that can be written is written. */
static void
settle(struct conn *conn)
{
	if (conn->state == CONN_FLUSHING && conn_out_pending(conn) == 0) {
		if (conn->transport->say_end)
			conn->transport->say_end(conn);
		if (conn->eof || shutdown(conn->fd, SHUT_WR) < 0) {
			conn_retire(conn);
			return;
		}
		conn_set_state(conn, CONN_LINGERING);
	}
	if (conn->state == CONN_OPEN && conn->stalled && !is_held(conn)) {
		conn->stalled = false;
		if (conn->in.len > 0)
			mark_again(conn);
	}
	if (conn->state == CONN_OPEN && conn->eof &&
	    (!conn->accepted || owes_nothing(conn))) {
		conn_end(conn, CONN_END_PEER, NULL);
		return;
	}
	update_events(conn);
}

static void
flush(struct conn *conn)
{
	bool writes = conn->state == CONN_OPEN || conn->state == CONN_FLUSHING;

	if (conn->out.failed) {
		if (conn->state == CONN_FLUSHING)
			conn_retire(conn);
		else
			end_without_memory(conn);
		return;
	}
	if (writes && !conn->blocked && (conn_out_pending(conn) > 0 || conn->holds) &&
	    !send_output(conn))
		return;
	settle(conn);
}

void
conns_flush(struct loop *loop)
{
	struct conn *conn;

	for (size_t n = loop->n_dirty; n > 0 && loop->n_dirty > 0; n--) {
		conn = TAILQ_FIRST(&loop->dirty);
		TAILQ_REMOVE(&loop->dirty, conn, dirty_link);
		loop->n_dirty--;
		conn->is_dirty = false;
		flush(conn);
	}
}

void
conns_show_again(struct loop *loop)
{
	struct conn *conn;

	for (size_t n = loop->n_again; n > 0 && loop->n_again > 0; n--) {
		conn = TAILQ_FIRST(&loop->again);
		TAILQ_REMOVE(&loop->again, conn, again_link);
		loop->n_again--;
		conn->is_again = false;
		conn_mark_dirty(
		    conn); /* also when nothing is left to show: EOF waits */
		if (conn->state != CONN_OPEN || conn->in.len == 0)
			continue;
		if (is_held(conn))
			conn->stalled = true;
		else
			show(conn, conn->in.data, conn->in.len);
	}
}

void
conns_take_up(struct loop *loop)
{
	struct conn *conn;

	while ((conn = TAILQ_FIRST(&loop->later))) {
		TAILQ_REMOVE(&loop->later, conn, later_link);
		loop->n_later--;
		conn->yielded = false;
		conn_mark_dirty(conn); /* which finds what is stalled */
	}
}
