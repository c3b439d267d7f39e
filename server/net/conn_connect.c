/* SPDX-License-Identifier: ISC */
/* Connections that this side begins. */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/conn_inner.h"

struct conn_targets {
	char name[ADDRESS_TEXT_MAX]; /* as given, for messages */
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

static int
resolve(struct conn_targets *t, const struct address *to, struct errinfo *ei)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV };
	int rc = getaddrinfo(to->host[0] ? to->host : NULL, to->port, &hints, &t->all);

	if (rc != 0)
		return err_set(ei, ERR_IO, "cannot look up %s: %s", to->text,
		    rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
	t->next = t->all;
	return 0;
}

static struct conn_targets *
targets_new(const struct address *to, struct errinfo *ei)
{
	struct conn_targets *t = calloc(1, sizeof(*t));

	if (!t) {
		err_set(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	memcpy(t->name, to->text, sizeof(t->name));
	if (to->kind == ADDRESS_UNIX) {
		use_unix(t, to);
	} else if (to->kind != ADDRESS_TCP) {
		err_set(ei, ERR_INVALID, "%s: cannot connect to it", to->text);
		goto fail;
	} else if (resolve(t, to, ei) < 0) {
		goto fail;
	}
	return t;
fail:
	conn_targets_free(t);
	return NULL;
}

/* Begins with the next address that lets itself be begun with. 0, or ERR_IO when there
 * is none left; `error` is why the one before failed. */
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

struct conn *
conn_connect(struct loop *loop, const struct address *to,
    const struct conn_options *options, const struct conn_ops *ops, void *arg,
    struct errinfo *ei)
{
	struct conn_targets *targets = targets_new(to, ei);
	struct conn *conn;

	if (!targets)
		return NULL;
	conn = conn_new(loop, options, ops, arg);
	if (!conn) {
		conn_targets_free(targets);
		err_set(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	conn->targets = targets;
	if (try_next(conn, ENOENT, ei) < 0) {
		conn_retire(conn);
		return NULL;
	}
	return conn;
}

static void
give_up_socket(struct conn *conn)
{
	event_del(&conn->write_event);
	conn->writing = false;
	close(conn->fd);
	conn->fd = -1;
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
	conn_set_state(conn, CONN_OPEN);
	conn_mark_dirty(conn);
	if (conn->ops->on_open)
		conn->ops->on_open(conn->arg);
}
