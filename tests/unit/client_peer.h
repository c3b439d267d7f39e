/* SPDX-License-Identifier: ISC */
/*
 * A scripted daemon for the tests of libration: a child process that plays a list of
 * steps on a socket. The socket listens before the child is born, so nothing races.
 * Whatever does not go as written ends the child with a message and status 1, which
 * peer_end() turns into a failed test.
 */
#ifndef CLIENT_PEER_H
#define CLIENT_PEER_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loopback.h"

enum peer_do {
	PEER_END,     /* nothing more; the child exits */
	PEER_ACCEPT,  /* take the next connection */
	PEER_EXPECT,  /* exactly these bytes come; PEER_DIGIT stands for any digit */
	PEER_SEND,    /* these bytes, in one piece */
	PEER_DRIP,    /* byte by byte, each only when the one before was read (Unix) */
	PEER_TRICKLE, /* like PEER_DRIP, until the client hangs up (Unix) */
	PEER_FLOOD,   /* these bytes over and over, until the client hangs up */
	PEER_DISCARD, /* read one buffer, look at nothing */
	PEER_SHUT,    /* close the connection */
	PEER_SILENT,  /* send nothing until the client hangs up */
	PEER_TELL,    /* let the test go on: peer_wait() */
	PEER_WAIT,    /* go on when the test says so: peer_go() */
	PEER_NO_MORE  /* wait for peer_go(): no further connection may be waiting */
};

#define PEER_DIGIT '\x01'

struct peer_step {
	enum peer_do what;
	const char *bytes;
	size_t len; /* 0: up to the NUL */
};

struct peer {
	pid_t pid;
	int tell; /* the child's bytes come here */
	int go;   /* bytes written here reach the child */
	char address[160];
	char folder[64]; /* of the Unix socket; "" for TCP */
};

static void
peer_fail(size_t step, const char *why)
{
	fprintf(stderr, "peer: step %zu: %s\n", step, why);
	_exit(1);
}

static size_t
peer_len(const struct peer_step *s)
{
	return s->len > 0 ? s->len : strlen(s->bytes);
}

static void
peer_expect(int fd, size_t at, const struct peer_step *s)
{
	char got;

	for (size_t i = 0; i < peer_len(s); i++) {
		char want = s->bytes[i];

		if (recv(fd, &got, 1, 0) != 1)
			peer_fail(at, "the client hung up within the expected bytes");
		if (want == PEER_DIGIT ? got < '0' || got > '9' : got != want) {
			fprintf(stderr, "peer: byte %zu is %02x ('%c'), not '%c'\n", i,
			    (unsigned char)got, got, want);
			peer_fail(at, "other bytes came");
		}
	}
}

/* Sends one byte and waits until it was read; false when the client hung up. */
static bool
peer_drop(int fd, size_t at, char byte)
{
	struct pollfd hangup = { .fd = fd };
	int unread = 1;

	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		return false;
	for (;;) {
		if (ioctl(fd, SIOCOUTQ, &unread) != 0)
			peer_fail(at, "SIOCOUTQ");
		if (unread == 0)
			return true;
		if (poll(&hangup, 1, 1) > 0)
			return false;
	}
}

static void
peer_drip(int fd, size_t at, const struct peer_step *s)
{
	/* After the last byte it may: it has what it wants. */
	for (size_t i = 0; i < peer_len(s); i++)
		if (!peer_drop(fd, at, s->bytes[i]) && i + 1 < peer_len(s))
			peer_fail(at, "the client hung up");
}

static void
peer_silent(int fd)
{
	char bytes[4096];

	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		continue;
}

/* One step on the open connection. */
static void
peer_talk(int fd, size_t at, const struct peer_step *s)
{
	char bytes[4096];

	switch (s->what) {
	case PEER_EXPECT:
		peer_expect(fd, at, s);
		break;
	case PEER_SEND:
		if (send(fd, s->bytes, peer_len(s), MSG_NOSIGNAL) !=
		    (ssize_t)peer_len(s))
			peer_fail(at, "send");
		break;
	case PEER_DRIP:
		peer_drip(fd, at, s);
		break;
	case PEER_TRICKLE:
		while (peer_drop(fd, at, 'x'))
			continue;
		break;
	case PEER_FLOOD:
		while (send(fd, s->bytes, peer_len(s), MSG_NOSIGNAL) > 0)
			continue;
		break;
	case PEER_DISCARD:
		if (recv(fd, bytes, sizeof(bytes), 0) <= 0)
			peer_fail(at, "nothing came");
		break;
	default:
		peer_silent(fd);
	}
}

static void
peer_no_more(int listener, int go, size_t at)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	char byte;

	if (read(go, &byte, 1) != 1)
		peer_fail(at, "the test is gone");
	if (poll(&p, 1, 0) != 0)
		peer_fail(at, "the client connected once more");
}

static void
peer_play(int listener, int tell, int go, const struct peer_step *steps)
{
	int fd = -1;
	char byte = 'x';

	for (size_t i = 0; steps[i].what != PEER_END; i++) {
		if (steps[i].what == PEER_ACCEPT) {
			if (fd >= 0)
				close(fd);
			fd = accept(listener, NULL, NULL);
			if (fd < 0)
				peer_fail(i, "accept");
		} else if (steps[i].what == PEER_SHUT) {
			close(fd);
			fd = -1;
		} else if (steps[i].what == PEER_TELL) {
			if (write(tell, &byte, 1) != 1)
				peer_fail(i, "the test is gone");
		} else if (steps[i].what == PEER_WAIT) {
			if (read(go, &byte, 1) != 1)
				peer_fail(i, "the test is gone");
		} else if (steps[i].what == PEER_NO_MORE) {
			peer_no_more(listener, go, i);
		} else {
			peer_talk(fd, i, &steps[i]);
		}
	}
	_exit(0);
}

static inline int
peer_listen_tcp(char *address, size_t size)
{
	int port;
	int fd = loopback_listen(0, &port);

	snprintf(address, size, "127.0.0.1:%d", port);
	return fd;
}

/* `folder` (64 bytes) is made here; peer_remove() takes it away. */
static inline int
peer_listen_unix(char *address, size_t size, char *folder, int backlog)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(folder, 64, "/tmp/ration-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", folder);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	snprintf(address, size, "unix:%s", un.sun_path);
	return fd;
}

static inline void
peer_remove(const char *folder)
{
	char path[80];

	if (!folder[0])
		return;
	snprintf(path, sizeof(path), "%s/s", folder);
	unlink(path);
	rmdir(folder);
}

static inline void
peer_fork(struct peer *p, int listener, const struct peer_step *steps)
{
	int tell[2], go[2];

	assert_int_equal(pipe(tell), 0);
	assert_int_equal(pipe(go), 0);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		close(tell[0]);
		close(go[1]);
		alarm(60); /* a script that hangs must not outlive the test */
		peer_play(listener, tell[1], go[0], steps);
	}
	close(tell[1]);
	close(go[0]);
	close(listener);
	p->tell = tell[0];
	p->go = go[1];
}

static inline void
peer_start(struct peer *p, const struct peer_step *steps)
{
	memset(p, 0, sizeof(*p));
	peer_fork(p, peer_listen_tcp(p->address, sizeof(p->address)), steps);
}

static inline void
peer_start_unix(struct peer *p, const struct peer_step *steps)
{
	memset(p, 0, sizeof(*p));
	peer_fork(
	    p, peer_listen_unix(p->address, sizeof(p->address), p->folder, 8), steps);
}

static inline void
peer_wait(struct peer *p)
{
	char byte;

	assert_int_equal(read(p->tell, &byte, 1), 1);
}

static inline void
peer_go(struct peer *p)
{
	assert_int_equal(write(p->go, "x", 1), 1);
}

/* Call after the client hung up. */
static inline void
peer_end(struct peer *p)
{
	int status;

	close(p->tell);
	close(p->go);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	peer_remove(p->folder);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#endif
