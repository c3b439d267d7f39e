/* SPDX-License-Identifier: ISC */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "net/loop_inner.h"

#define LISTENER_BACKLOG 4096
#define LISTENER_BURST 64          /* accepted in one turn */
#define LISTENER_PAUSE_US 100000   /* until a descriptor may be free again */
#define LISTENER_QUIET_US 10000000 /* without a shortage before one is logged again */

struct listener {
	struct loop_garbage garbage; /* must stay first */
	struct loop *loop;
	struct event event;
	struct loop_timer *retry;
	void (*on_accept)(void *arg, int fd);
	void *arg;
	int fd;
	bool local;
	int64_t
	    short_us; /* loop_now_us() of the last shortage of descriptors; 0: none */
	char path[sizeof(
	    ((struct sockaddr_un *)0)->sun_path)]; /* ours to remove, or "" */
	struct stat path_stat;
	char text[ADDRESS_TEXT_MAX];
	LIST_ENTRY(listener) link;
};

static int
fail(const struct address *a, int error, struct errinfo *ei)
{
	int code = error == EADDRINUSE ? ERR_INUSE : ERR_IO;

	return err_set(ei, code, "cannot listen on %s: %s", a->text, strerror(error));
}

static int
listen_on(struct listener *l, const struct address *a, struct errinfo *ei)
{
	return listen(l->fd, LISTENER_BACKLOG) < 0 ? fail(a, errno, ei) : 0;
}

/* SO_REUSEPORT stays off: with it two daemons would share a port unnoticed; without it the
 * bind fails even if the other daemon has it on. */
static int
bind_one(struct listener *l, const struct addrinfo *ai)
{
	int one = 1;
	int zero = 0;
	int saved;

	l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return -1;
	if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	    (ai->ai_family != AF_INET6 ||
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) ==
		    0) &&
	    bind(l->fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return 0;
	saved = errno;
	close(l->fd);
	l->fd = -1;
	errno = saved;
	return -1;
}

/* A name is bound at its IPv4 address if it has one; "all" is one IPv6 socket, which takes
 * IPv4 as well, if the machine has IPv6. */
static int
bind_first(struct listener *l, const struct address *a, const struct addrinfo *list,
    struct errinfo *ei)
{
	int order[2] = { AF_INET, AF_INET6 };
	int error = EADDRNOTAVAIL;

	if (!a->host[0]) {
		order[0] = AF_INET6;
		order[1] = AF_INET;
	}
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
			if (ai->ai_family != order[i])
				continue;
			if (bind_one(l, ai) == 0)
				return 0;
			error = errno;
			if (error == EADDRINUSE)
				return fail(a, error, ei);
		}
	}
	return fail(a, error, ei);
}

static int
open_tcp(struct listener *l, const struct address *a, struct errinfo *ei)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *list;
	int rc = getaddrinfo(a->host[0] ? a->host : NULL, a->port, &hints, &list);

	if (rc != 0)
		return err_set(ei, ERR_IO, "cannot listen on %s: %s", a->text,
		    rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
	rc = bind_first(l, a, list, ei);
	freeaddrinfo(list);
	return rc < 0 ? rc : listen_on(l, a, ei);
}

/* Whether the socket that exists there must be left alone: EADDRINUSE when somebody accepts
 * on it, or may; or the errno that kept us from finding out. 0: nobody does. */
static int
unix_why_keep(const struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = EADDRINUSE;

	if (fd < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 &&
	    errno == ECONNREFUSED)
		error = 0;
	close(fd);
	return error;
}

static int
remove_stale(const struct address *a, const struct sockaddr_un *un, struct errinfo *ei)
{
	struct stat st;
	int error;

	if (lstat(a->path, &st) < 0)
		return errno == ENOENT ? 0 : fail(a, errno, ei);
	if (!S_ISSOCK(st.st_mode))
		return err_set(ei, ERR_IO,
		    "cannot listen on %s: a file that is not a "
		    "socket is in the way",
		    a->text);
	error = unix_why_keep(un);
	if (error)
		return fail(a, error, ei);
	return unlink(a->path) < 0 && errno != ENOENT ? fail(a, errno, ei) : 0;
}

static int
open_unix(struct listener *l, const struct address *a, struct errinfo *ei)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int rc;

	memcpy(un.sun_path, a->path, sizeof(un.sun_path));
	rc = remove_stale(a, &un, ei);
	if (rc < 0)
		return rc;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		return fail(a, errno, ei);
	memcpy(l->path, a->path, sizeof(l->path));
	/* Nobody can connect before listen(), so a wider mode never matters. */
	if (lstat(l->path, &l->path_stat) < 0 || chmod(l->path, 0660) < 0)
		return fail(a, errno, ei);
	return listen_on(l, a, ei);
}

/* The value of one of SOL_SOCKET's options; -1: errno says why. */
static int
socket_option(int fd, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

int
listener_check(const struct address *a, struct errinfo *ei)
{
	const char *what = NULL;
	int type;

	if (a->kind != ADDRESS_FD)
		return 0;
	type = socket_option(a->fd, SO_TYPE);
	if (type < 0)
		what = errno == EBADF ? "no descriptor of that number was inherited"
				      : "it is not a socket";
	else if (type != SOCK_STREAM)
		what = "it is not a stream socket";
	else if (socket_option(a->fd, SO_ACCEPTCONN) != 1)
		what = "it is not a listening socket";
	return what ? err_set(ei, ERR_IO, "cannot listen on %s: %s", a->text, what) : 0;
}

static int
open_fd(struct listener *l, const struct address *a, struct errinfo *ei)
{
	int rc = listener_check(a, ei);
	int flags = fcntl(a->fd, F_GETFL);

	if (rc < 0)
		return rc;
	if (flags < 0 || fcntl(a->fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(a->fd, F_SETFD, FD_CLOEXEC) < 0)
		return fail(a, errno, ei);
	l->fd = a->fd;
	return 0;
}

static int
listener_bind(struct listener *l, const struct address *a, struct errinfo *ei)
{
	switch (a->kind) {
	case ADDRESS_UNIX:
		return open_unix(l, a, ei);
	case ADDRESS_FD:
		return open_fd(l, a, ei);
	case ADDRESS_TCP:
		break;
	}
	return open_tcp(l, a, ei);
}

static bool
is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS ||
	    error == ENOMEM;
}

static void
pause_accepting(struct listener *l, int error)
{
	int64_t now_us = loop_now_us(l->loop);

	if (l->short_us == 0 || now_us - l->short_us > LISTENER_QUIET_US)
		log_warn("net",
		    "%s: cannot accept (%s); connections wait until others "
		    "are closed",
		    l->text, strerror(error));
	l->short_us = now_us;
	event_del(&l->event);
	loop_timer_set(l->retry, LISTENER_PAUSE_US);
}

static void
accept_some(struct listener *l, int max)
{
	for (int i = 0; i < max && l->fd >= 0; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->on_accept(l->arg, fd);
		} else if (is_shortage(errno)) {
			pause_accepting(l, errno);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static void
on_acceptable(evutil_socket_t listening, short what, void *arg)
{
	(void)listening;
	(void)what;
	accept_some(arg, LISTENER_BURST);
}

void
listener_accept_waiting(struct listener *l)
{
	accept_some(l, LISTENER_BACKLOG);
}

static void
on_retry(void *arg)
{
	struct listener *l = arg;

	if (event_add(&l->event, NULL) < 0)
		loop_timer_set(l->retry, LISTENER_PAUSE_US);
}

static int
listener_begin(struct listener *l, struct errinfo *ei)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getsockname(l->fd, (struct sockaddr *)&ss, &len) < 0)
		return err_set(ei, ERR_IO, "getsockname: %s", strerror(errno));
	address_of_sockaddr((struct sockaddr *)&ss, len, l->text);
	l->local = address_sockaddr_is_local((struct sockaddr *)&ss);
	event_assign(
	    &l->event, l->loop->base, l->fd, EV_READ | EV_PERSIST, on_acceptable, l);
	l->retry = loop_timer_new(l->loop, on_retry, l);
	if (!l->retry || event_add(&l->event, NULL) < 0)
		return err_set(ei, ERR_NOMEM, "out of memory");
	return 0;
}

struct listener *
listener_open(struct loop *loop, const struct address *address,
    void (*on_accept)(void *arg, int fd), void *arg, struct errinfo *ei)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (!l) {
		err_set(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	l->loop = loop;
	l->on_accept = on_accept;
	l->arg = arg;
	l->fd = -1;
	LIST_INSERT_HEAD(&loop->listeners, l, link);
	if (listener_bind(l, address, ei) < 0 || listener_begin(l, ei) < 0) {
		listener_close(l);
		return NULL;
	}
	return l;
}

/* Removes only the file that we made: another daemon may have put its own there. */
static void
remove_path(const struct listener *l)
{
	struct stat st;

	if (l->path[0] && lstat(l->path, &st) == 0 &&
	    st.st_ino == l->path_stat.st_ino && st.st_dev == l->path_stat.st_dev)
		unlink(l->path);
}

static void
listener_reclaim(struct loop_garbage *garbage)
{
	free(CONTAINER_OF(garbage, struct listener, garbage));
}

void
listener_close(struct listener *l)
{
	if (!l)
		return;
	remove_path(l);
	if (event_initialized(&l->event))
		event_del(&l->event);
	loop_timer_free(l->retry);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	LIST_REMOVE(l, link);
	/* It may be closed from inside its own on_accept. */
	loop_discard(l->loop, &l->garbage, listener_reclaim);
}

const char *
listener_address(const struct listener *l)
{
	return l->text;
}

bool
listener_is_local(const struct listener *l)
{
	return l->local;
}
