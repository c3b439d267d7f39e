/* SPDX-License-Identifier: ISC */
/* A Redis that says what the test wants, in the test's own thread: what talks to it works
 * in peer_turn(). Beside it a store that is only what nodes tell of their faults. */
#ifndef REDIS_PEER_H
#define REDIS_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/loop.h"
#include "redis/node.h"

#define SECOND_US INT64_C(1000000)

static struct {
	char dir[64];
	char path[96];
	int listening;
	struct loop *loop;
	struct loop_timer *timer;
	struct redis_url url;
	struct metric_cells cells;
	struct store store;
	struct node_shared shared;
} peer;

static const struct store_ops peer_store_ops = { .name = "test" };

static void
peer_on_timer(void *arg)
{
	(void)arg;
	loop_stop(peer.loop);
}

static inline void
peer_turn(void)
{
	loop_timer_set(peer.timer, 1000);
	assert_int_equal(loop_run(peer.loop), 0);
}

#define WAIT_FOR(what)                                            \
	do {                                                      \
		int64_t end_us = clock_mono_us() + 5 * SECOND_US; \
		while (!(what)) {                                 \
			if (clock_mono_us() > end_us)             \
				fail_msg("never: %s", #what);     \
			peer_turn();                              \
		}                                                 \
	} while (0)

static inline int
peer_open(void **state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct errinfo ei = { 0 };
	char url[128];

	(void)state;
	memset(&peer, 0, sizeof(peer));
	snprintf(peer.dir, sizeof(peer.dir), "/tmp/ration-peer-XXXXXX");
	assert_non_null(mkdtemp(peer.dir));
	snprintf(peer.path, sizeof(peer.path), "%s/sock", peer.dir);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", peer.path);
	peer.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(peer.listening, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(listen(peer.listening, 16), 0);
	snprintf(url, sizeof(url), "redis+unix://%s", peer.path);
	assert_int_equal(redis_url_parse(url, &peer.url, &ei), 0);
	peer.loop = loop_new();
	peer.timer = loop_timer_new(peer.loop, peer_on_timer, NULL);
	peer.store = (struct store){ .ops = &peer_store_ops, .cells = &peer.cells };
	peer.shared = (struct node_shared){ .loop = peer.loop,
		.store = &peer.store,
		.url = &peer.url,
		.waiting_max = 64 };
	return 0;
}

static inline int
peer_close(void **state)
{
	(void)state;
	loop_timer_free(peer.timer);
	loop_free(peer.loop);
	close(peer.listening);
	unlink(peer.path);
	rmdir(peer.dir);
	return 0;
}

/* The next connection. */
static inline int
peer_accept(void)
{
	int fd = -1;

	WAIT_FOR((fd = accept4(peer.listening, NULL, NULL, SOCK_NONBLOCK)) >= 0);
	return fd;
}

/* Until `word` has come, or anything where it is NULL; what came with it is gone. */
static inline void
peer_hear(int fd, const char *word)
{
	static char bytes[1 << 18];
	size_t len = 0;
	ssize_t n;

	do {
		WAIT_FOR((n = recv(fd, bytes + len, sizeof(bytes) - len, 0)) > 0);
		len += (size_t)n;
	} while (word && !memmem(bytes, len, word, strlen(word)));
}

static inline void
peer_say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	peer_turn();
	peer_turn();
}

#define PEER_INFO "$34\r\nredis_version:7.0.0\r\nrole:master\r\n\r\n"
#define PEER_SHA "$40\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"

#endif
