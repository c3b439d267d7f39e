/* SPDX-License-Identifier: ISC */
#include "conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "call.h"

#define IN_MAX 65536
#define OUT_MAX (1 << 20)
#define RETRY_US 10000 /* after a connection that failed */

static size_t n_under_way;

int
conns_epoll(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = epoll_create1(EPOLL_CLOEXEC);
	return fd;
}

size_t
conns_under_way(void)
{
	return n_under_way;
}

/* --- those that wait --------------------------------------------------------------- */

static struct asked
pop(struct conn *conn)
{
	struct asked a = conn->fifo[conn->first];

	conn->first = (conn->first + 1) % FIFO_MAX;
	conn->n--;
	n_under_way--;
	return a;
}

/* None of those that wait here will be answered. */
static void
give_up(struct conn *conn, char kind, const char *why)
{
	struct answer answer = { kind, false, why, strlen(why) };

	while (conn->n > 0) {
		struct asked a = pop(conn);

		report_check(conn->target, &a, &answer);
	}
}

/* --- the connection ---------------------------------------------------------------- */

static void
drop(struct conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	conn->state = CLOSED;
	conn->in_len = conn->out_len = 0;
	conn->last = conn->wants_write = false;
}

static void
watch(struct conn *conn, int op, bool writes)
{
	struct epoll_event ev = { .events = EPOLLIN | (writes ? EPOLLOUT : 0),
		.data.ptr = conn };

	if (epoll_ctl(conns_epoll(), op, conn->fd, &ev) < 0)
		die("epoll: %s", strerror(errno));
	conn->wants_write = writes;
}

static void
open_conn(struct conn *conn)
{
	const struct sockaddr_in *to = route_next(conn->route);
	int one = 1;

	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(conn->fd, (const struct sockaddr *)to, sizeof(*to)) < 0 &&
	    errno != EINPROGRESS) {
		drop(conn);
		conn->retry_us = now_us() + RETRY_US;
		return;
	}
	conn->state = CONNECTING;
	watch(conn, EPOLL_CTL_ADD, true);
}

struct conn *
conn_new(struct route *route, bool is_http, size_t target)
{
	struct conn *conn = need(calloc(1, sizeof(*conn)));

	conn->route = route;
	conn->is_http = is_http;
	conn->target = target;
	conn->fd = -1;
	conn->fifo = need(malloc(FIFO_MAX * sizeof(*conn->fifo)));
	conn->in = need(malloc(IN_MAX));
	conn->out = need(malloc(OUT_MAX));
	open_conn(conn);
	return conn;
}

static void
put_request(struct conn *conn, size_t call)
{
	size_t len;
	const char *request = call_request(call, conn->is_http, &len);

	if (conn->out_len + len > OUT_MAX)
		die("the output of a connection is full");
	memcpy(conn->out + conn->out_len, request, len);
	conn->out_len += len;
}

static void
flush(struct conn *conn)
{
	ssize_t n;

	if (conn->state != OPEN || conn->out_len == 0)
		return;
	n = send(conn->fd, conn->out, conn->out_len, MSG_NOSIGNAL);
	if (n > 0) {
		memmove(conn->out, conn->out + n, conn->out_len - (size_t)n);
		conn->out_len -= (size_t)n;
	}
	/* A broken connection is found by reading, behind the answers that came. */
	if ((conn->out_len > 0 && (n > 0 || errno == EAGAIN)) != conn->wants_write)
		watch(conn, EPOLL_CTL_MOD, !conn->wants_write);
}

static void
on_connected(struct conn *conn)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		drop(conn);
		conn->retry_us = now_us() + RETRY_US;
		return;
	}
	conn->state = OPEN;
	conn->out_len = 0;
	/* The connection before never came to be. */
	for (size_t i = 0; i < conn->n; i++)
		put_request(conn, conn->fifo[(conn->first + i) % FIFO_MAX].call);
	watch(conn, EPOLL_CTL_MOD, false);
	flush(conn);
}

static size_t
take_answer(struct conn *conn, struct answer *answer)
{
	return conn->is_http
	    ? answer_take_http(conn->in, conn->in_len, answer, &conn->last)
	    : answer_take_resp(conn->in, conn->in_len, answer);
}

static void
take_answers(struct conn *conn)
{
	struct answer answer;
	size_t n;

	while (conn->n > 0 && (n = take_answer(conn, &answer)) > 0) {
		struct asked a = pop(conn);

		/* The answer's text is told before anything is moved. */
		report_check(conn->target, &a, &answer);
		memmove(conn->in, conn->in + n, conn->in_len - n);
		conn->in_len -= n;
	}
}

static void
on_readable(struct conn *conn)
{
	/* A byte is left: see answer_take_http(). */
	size_t room = IN_MAX - 1 - conn->in_len;
	ssize_t n = recv(conn->fd, conn->in + conn->in_len, room, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		conn->in_len += (size_t)n;
		take_answers(conn);
		if (conn->last && conn->n == 0)
			drop(conn);
		return;
	}
	give_up(conn, 'l', n == 0 ? "closed" : strerror(errno));
	drop(conn);
}

void
conn_on_event(struct conn *conn, uint32_t what)
{
	if (conn->state == CONNECTING)
		on_connected(conn);
	else if (conn->state == OPEN && (what & EPOLLOUT))
		flush(conn);
	if (conn->state == OPEN && (what & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		on_readable(conn);
}

/* --- its use ----------------------------------------------------------------------- */

/* Whether the other side has closed it, and it can go. */
static bool
is_stale(const struct conn *conn)
{
	char byte;
	ssize_t n;

	if (conn->state != OPEN || conn->n > 0)
		return false;
	n = recv(conn->fd, &byte, 1, MSG_PEEK);
	return n == 0 || (n < 0 && errno != EAGAIN);
}

bool
conn_has_room(struct conn *conn, size_t max)
{
	if (is_stale(conn))
		drop(conn);
	return conn->n < max && !conn->last;
}

void
conn_ask(struct conn *conn, size_t call)
{
	conn->fifo[(conn->first + conn->n++) % FIFO_MAX] =
	    (struct asked){ now_us(), call };
	n_under_way++;
	if (conn->state == CLOSED && now_us() >= conn->retry_us)
		open_conn(conn);
	if (conn->state == OPEN) {
		put_request(conn, call);
		flush(conn);
	}
}

void
conn_look_after(struct conn *conn, int64_t now, int64_t timeout_us)
{
	if (conn->n > 0 && now - conn->fifo[conn->first].start_us > timeout_us) {
		give_up(conn, conn->state == OPEN ? 't' : 'r', "");
		drop(conn);
	}
	if (conn->state == CLOSED && now >= conn->retry_us && conn->n > 0)
		open_conn(conn);
}
