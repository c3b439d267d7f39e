/* SPDX-License-Identifier: ISC */
#include "sock.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* How long to wait when a Unix socket's queue is full, which poll cannot tell. */
#define QUEUE_WAIT_MS 2

int64_t
ration_sock_clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The time left, in ms, rounded up so that poll does not spin at the end. */
static int
left_ms(int64_t deadline_us)
{
	int64_t left = (deadline_us - ration_sock_clock_us() + 999) / 1000;

	if (left <= 0)
		return 0;
	return left < INT_MAX ? (int)left : INT_MAX;
}

/* 0 when `fd` is ready (or has failed, which the next call will tell), else ETIMEDOUT or
 * the errno of poll. */
static int
wait_for(int fd, short events, int64_t deadline_us)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int n = poll(&p, 1, left_ms(deadline_us));

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return errno;
		if (left_ms(deadline_us) == 0)
			return ETIMEDOUT;
	}
}

/* 0, or an errno. */
static int
finish_connect(int fd, int64_t deadline_us)
{
	int error = wait_for(fd, POLLOUT, deadline_us);
	socklen_t len = sizeof(error);

	if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	return error;
}

/* 0, or an errno. */
static int
start_connect(int fd, const struct sockaddr *to, socklen_t len, int64_t deadline_us)
{
	for (;;) {
		if (connect(fd, to, len) == 0)
			return 0;
		if (errno == EINPROGRESS || errno == EINTR)
			return finish_connect(fd, deadline_us);
		if (errno != EAGAIN || to->sa_family != AF_UNIX)
			return errno;
		if (left_ms(deadline_us) == 0)
			return ETIMEDOUT;
		poll(NULL, 0, QUEUE_WAIT_MS);
	}
}

/* A socket, or a negative errno. */
static int
connect_one(const struct sockaddr *to, socklen_t len, int64_t deadline_us)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;
	int error;

	if (fd < 0)
		return -errno;
	error = start_connect(fd, to, len, deadline_us);
	if (error != 0) {
		close(fd);
		return -error;
	}
	/* A command is a single write; waiting for more would only delay it. */
	if (to->sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int
connect_failed(const struct endpoint *to, const char *why, struct failure *f)
{
	return ration_failure_set(
	    f, RATION_ERR_CONNECT, "cannot connect to %.120s: %s", to->text, why);
}

static int
connect_unix(const struct endpoint *to, int64_t deadline_us)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	memcpy(un.sun_path, to->path, sizeof(un.sun_path));
	return connect_one((const struct sockaddr *)&un, sizeof(un), deadline_us);
}

/* A socket, or a negative errno; *lookup is the resolver's own error, or 0. */
static int
connect_tcp(const struct endpoint *to, int64_t deadline_us, int *lookup)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	struct addrinfo *list = NULL;
	int fd = -EHOSTUNREACH;

	*lookup = getaddrinfo(to->host, to->port, &hints, &list);
	if (*lookup != 0)
		return fd;
	for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
		fd = connect_one(ai->ai_addr, ai->ai_addrlen, deadline_us);
	freeaddrinfo(list);
	return fd;
}

int
ration_sock_connect(const struct endpoint *to, int64_t deadline_us, struct failure *f)
{
	int lookup = 0;
	int fd = to->path[0] ? connect_unix(to, deadline_us)
			     : connect_tcp(to, deadline_us, &lookup);

	if (fd >= 0)
		return fd;
	if (lookup == EAI_MEMORY || fd == -ENOMEM)
		return ration_failure_set(f, RATION_ERR_NOMEM, "out of memory");
	if (lookup != 0)
		return connect_failed(to, gai_strerror(lookup), f);
	if (fd == -ETIMEDOUT)
		return connect_failed(to, "no answer in time", f);
	return connect_failed(to, strerror(-fd), f);
}

bool
ration_sock_is_quiet(int fd)
{
	char byte;

	for (;;) {
		if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
			return false;
		if (errno != EINTR)
			return errno == EAGAIN || errno == EWOULDBLOCK;
	}
}

/* 0 when the call should be made again (after waiting, where that was needed); else the
 * failure that errno means. */
static int
again(int fd, short events, int64_t deadline_us, struct failure *f)
{
	int error = errno;

	if (error == EINTR)
		return 0;
	if (error == EAGAIN || error == EWOULDBLOCK)
		error = wait_for(fd, events, deadline_us);
	if (error == 0)
		return 0;
	if (error == ETIMEDOUT)
		return ration_failure_set(
		    f, RATION_ERR_TIMEOUT, "the daemon did not answer in time");
	return ration_failure_set(
	    f, RATION_ERR_CLOSED, "the connection was lost: %s", strerror(error));
}

int
ration_sock_send(int fd, const char *data, size_t len, int64_t deadline_us,
    size_t *sent, struct failure *f)
{
	*sent = 0;
	while (*sent < len) {
		ssize_t n = send(fd, data + *sent, len - *sent, MSG_NOSIGNAL);
		int rc = n < 0 ? again(fd, POLLOUT, deadline_us, f) : 0;

		if (rc != 0)
			return rc;
		if (n > 0)
			*sent += (size_t)n;
	}
	return 0;
}

int
ration_sock_recv(int fd, char *out, size_t size, int64_t deadline_us, struct failure *f)
{
	for (;;) {
		ssize_t n;
		int rc;

		/* A peer that trickles bytes must not outrun the deadline. */
		if (left_ms(deadline_us) == 0)
			return ration_failure_set(
			    f, RATION_ERR_TIMEOUT, "the daemon did not answer in time");
		n = recv(fd, out, size, 0);
		if (n > 0)
			return (int)n;
		if (n == 0)
			return ration_failure_set(
			    f, RATION_ERR_CLOSED, "the daemon closed the connection");
		rc = again(fd, POLLIN, deadline_us, f);
		if (rc != 0)
			return rc;
	}
}
