/* SPDX-License-Identifier: ISC */
/* Connections that this side begins. */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/conn_inner.h"
#include "net/resolve.h"

struct conn_targets {
	char name[ADDRESS_TEXT_MAX]; /* as given, for messages */
	struct resolve *lookup;      /* while the name is being looked up */
	struct addrinfo *all;        /* NULL for a Unix socket */
	struct addrinfo *next;
	struct addrinfo un;
	struct sockaddr_un un_path;
};

void
conn_targets_free(struct conn_targets *targets)
{
	if (!targets)
		return;
	if (targets->all)
		freeaddrinfo(targets->all);
	free(targets);
}

static void
use_unix(struct conn_targets *t, const struct address *to)
{
	t->un_path.sun_family = AF_UNIX;
	memcpy(t->un_path.sun_path, to->path, sizeof(t->un_path.sun_path));
	t->un.ai_family = AF_UNIX;
	t->un.ai_socktype = SOCK_STREAM;
	t->un.ai_addr = (struct sockaddr *)&t->un_path;
	t->un.ai_addrlen = sizeof(t->un_path);
	t->next = &t->un;
}

/* Numeric addresses need no look-up. */
static bool
use_numeric(struct conn_targets *t, const struct address *to)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST };

	if (getaddrinfo(to->host, to->port, &hints, &t->all) != 0) {
		t->all = NULL;
		return false;
	}
	t->next = t->all;
	return true;
}

/* Begins to connect to the next address that allows it. 0, or ERR_IO when none is left;
 * `error` is the errno with which the one before failed. */
static int
try_next(struct conn *conn, int error, struct errinfo *ei)
{
	struct conn_targets *t = conn->targets;

	while (t->next) {
		struct addrinfo *ai = t->next;
		int fd = socket(ai->ai_family,
		    ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);

		t->next = ai->ai_next;
		if (fd >= 0 &&
		    (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 ||
			errno == EINPROGRESS)) {
			conn_attach(conn, fd);
			conn_set_peer(conn, ai->ai_addr);
			conn_mark_dirty(conn); /* so that the write event is added */
			return 0;
		}
		error = errno;
		if (fd >= 0)
			close(fd);
	}
	return err_set(
	    ei, ERR_IO, "cannot connect to %s: %s", t->name, strerror(error));
}

static void
on_looked_up(void *arg, int rc, struct addrinfo *list)
{
	struct conn *conn = conn_of(arg);
	struct conn_targets *t = conn->targets;
	struct errinfo why;

	t->lookup = NULL;
	t->all = t->next = list;
	if (rc != 0) {
		err_set(&why, ERR_IO, "cannot look up %s: %s", t->name,
		    rc == EAI_SYSTEM ? "system error" : gai_strerror(rc));
		conn_end(conn, CONN_END_FAILED, &why);
	} else if (try_next(conn, ENOENT, &why) < 0) {
		conn_end(conn, CONN_END_FAILED, &why);
	}
}

/* Connects to the first address, or looks the name up first. */
static int
begin(struct conn *conn, const struct address *to, struct errinfo *ei)
{
	struct conn_targets *t = conn->targets;

	memcpy(t->name, to->text, sizeof(t->name));
	if (to->kind == ADDRESS_FD)
		return err_set(ei, ERR_INVALID, "%s: cannot connect to it", to->text);
	if (to->kind == ADDRESS_UNIX)
		use_unix(t, to);
	if (to->kind == ADDRESS_UNIX || use_numeric(t, to))
		return try_next(conn, ENOENT, ei);
	t->lookup = resolve_start(conn->loop, to->host[0] ? to->host : "localhost",
	    to->port, on_looked_up, conn);
	if (!t->lookup)
		return err_set(ei, ERR_NOMEM,
		    "no memory, thread or descriptor to look "
		    "up %s",
		    to->text);
	return 0;
}

/* Begins TLS, where it is wanted. */
static int
begin_tls(struct conn *conn, const struct address *to, struct errinfo *ei)
{
	struct tls_source *source = conn->options.tls;

	conn->options.tls = NULL;
	return source ? conn_tls_open(conn, to, source, ei) : 0;
}

struct conn *
conn_connect(struct loop *loop, const struct address *to,
    const struct conn_options *options, const struct conn_ops *ops, void *arg,
    struct errinfo *ei)
{
	struct conn *conn = conn_new(loop, options, ops, arg);

	if (conn)
		conn->targets = calloc(1, sizeof(*conn->targets));
	if (!conn || !conn->targets)
		err_set(ei, ERR_NOMEM, "out of memory");
	else if (begin_tls(conn, to, ei) == 0 && begin(conn, to, ei) == 0)
		return conn;
	if (conn)
		conn_retire(conn);
	return NULL;
}

void
conn_stop_lookup(struct conn *conn)
{
	if (!conn->targets)
		return;
	resolve_cancel(conn->targets->lookup);
	conn->targets->lookup = NULL;
}

static void
give_up_socket(struct conn *conn)
{
	event_del(&conn->write_event);
	conn->writing = false;
	close(conn->fd);
	conn->fd = -1;
}

static void
opened(struct conn *conn)
{
	conn_set_state(conn, CONN_OPEN);
	conn_mark_dirty(conn);
	if (conn->ops->on_open)
		conn->ops->on_open(conn->arg);
}

void
conn_shake(struct conn *conn)
{
	struct errinfo why;
	int rc = conn_tls_handshake(conn, &why);

	if (rc == 0)
		opened(conn);
	else if (rc == ERR_AGAIN)
		conn_mark_dirty(conn); /* so that the event it waits for is added */
	else
		conn_end(conn, CONN_END_FAILED, &why);
}

void
conn_finish_connect(struct conn *conn)
{
	struct errinfo why;
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		give_up_socket(conn);
		if (try_next(conn, error, &why) < 0)
			conn_end(conn, CONN_END_FAILED, &why);
		return;
	}
	conn_targets_free(conn->targets);
	conn->targets = NULL;
	if (conn->tls) {
		conn_set_state(conn, CONN_HANDSHAKING);
		conn_shake(conn);
	} else {
		opened(conn);
	}
}

void
conn_tell_wait(const struct conn *conn, struct errinfo *why)
{
	if (conn->state == CONN_HANDSHAKING)
		conn_tls_tell_wait(conn, why);
	else if (conn->targets->lookup)
		err_set(why, ERR_IO, "the name server does not tell where %s is",
		    conn->targets->name);
	else
		err_set(why, ERR_IO, "%s does not answer", conn->targets->name);
}
