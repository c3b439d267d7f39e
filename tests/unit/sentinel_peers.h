/* SPDX-License-Identifier: ISC */
/* Sentinels that say what the test wants, in the test's own thread, and what the one that
 * follows them told its owner. */
#ifndef SENTINEL_PEERS_H
#define SENTINEL_PEERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "loopback.h"
#include "redis/sentinels.h"

#define SECOND_US INT64_C(1000000)
#define PEERS 4
#define PATIENCE_US (20 * SECOND_US)

/* One Sentinel of the test's. */
struct peer {
	int listening, port, fd;
	struct buf in;
	const char *host; /* of the master; NULL: it knows none */
	int master_port;
	int epoch;
	unsigned others;     /* bits of the peers that it knows */
	const char *refusal; /* what it answers everything with; NULL: as it should */
	bool deaf;           /* it answers nothing */
	int n_asked;         /* SENTINEL MASTER */
	char heard[2048];    /* the words of all commands */
};

static struct peer peers[PEERS];
static struct metric_cells cells;

static struct {
	struct loop *loop;
	struct loop_timer *timer;
	struct sentinels *all;
	struct redis_url url;
	char master[ADDRESS_TEXT_MAX];
	int n_moves;
	enum store_fault fault;
	char why[512];
} here;

static void
on_master(void *arg, const struct address *master)
{
	(void)arg;
	snprintf(here.master, sizeof(here.master), "%s", master->text);
	here.n_moves++;
}

static void
on_unknown(void *arg, enum store_fault fault, const char *why)
{
	(void)arg;
	here.fault = fault;
	snprintf(here.why, sizeof(here.why), "%s", why);
}

static const struct sentinels_ops events = { on_master, on_unknown };

static void
on_timer(void *arg)
{
	(void)arg;
	loop_stop(here.loop);
}

/* --- the Sentinels' side ----------------------------------------------------------- */

static inline void
say(struct peer *p, const char *text)
{
	if (p->fd >= 0)
		(void)send(p->fd, text, strlen(text), MSG_NOSIGNAL);
}

static inline const char *
id_of(const struct peer *p)
{
	static char id[41];

	snprintf(id, sizeof(id), "%040d", (int)(p - peers) + 1);
	return id;
}

static inline void
say_words(struct peer *p, const char *const *words, size_t n)
{
	char text[64];

	snprintf(text, sizeof(text), "*%zu\r\n", n);
	say(p, text);
	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "$%zu\r\n", strlen(words[i]));
		say(p, text);
		say(p, words[i]);
		say(p, "\r\n");
	}
}

static inline void
say_master(struct peer *p)
{
	char epoch[16];
	const char *words[] = { "name", "m", "ip", "?", "config-epoch", epoch };

	p->n_asked++;
	snprintf(epoch, sizeof(epoch), "%d", p->epoch);
	if (p->host)
		say_words(p, words, ARRAY_LEN(words));
	else
		say(p, "-ERR No such master with that name\r\n");
}

static inline void
say_address(struct peer *p)
{
	char port[16];
	const char *words[] = { p->host, port };

	snprintf(port, sizeof(port), "%d", p->master_port);
	if (p->host)
		say_words(p, words, 2);
	else
		say(p, "*-1\r\n");
}

static inline void
say_others(struct peer *p)
{
	char text[16];
	int n = 0;

	for (int i = 0; i < PEERS; i++)
		n += (p->others >> i & 1) != 0;
	snprintf(text, sizeof(text), "*%d\r\n", n);
	say(p, text);
	for (int i = 0; i < PEERS; i++) {
		const char *words[] = { "name", "x", "ip", "127.0.0.1", "port", text,
			"runid", id_of(&peers[i]), "flags", "sentinel" };

		snprintf(text, sizeof(text), "%d", peers[i].port);
		if (p->others >> i & 1)
			say_words(p, words, ARRAY_LEN(words));
	}
}

static inline void
say_names(struct peer *p)
{
	static const char *const one[] = { "name", "one", "ip", "h" };
	static const char *const two[] = { "ip", "h", "name", "two" };

	say(p, "*2\r\n");
	say_words(p, one, 4);
	say_words(p, two, 4);
}

/* Each of "+switch-master" and so on is confirmed by itself. */
static inline void
say_channels(struct peer *p, const char *kind, long n)
{
	bool more = strcmp(kind, "subscribe") == 0;
	char text[128];

	for (long i = 1; i <= n; i++) {
		snprintf(text, sizeof(text), "*3\r\n$%zu\r\n%s\r\n$1\r\nc\r\n:%ld\r\n",
		    strlen(kind), kind, more ? i : n - i);
		say(p, text);
	}
}

static inline void
announce(struct peer *p, const char *channel, const char *message)
{
	const char *words[] = { "message", channel, message };

	say_words(p, words, 3);
}

static inline void
answer(struct peer *p, char words[][64], long n)
{
	if (p->deaf)
		return;
	if (p->refusal)
		say(p, p->refusal);
	else if (strcmp(words[0], "AUTH") == 0)
		say(p, "+OK\r\n");
	else if (strcmp(words[0], "SUBSCRIBE") == 0)
		say_channels(p, "subscribe", n - 1);
	else if (strcmp(words[0], "UNSUBSCRIBE") == 0)
		say_channels(p, "unsubscribe", n - 1);
	else if (strcmp(words[1], "MYID") == 0) {
		say(p, "$40\r\n");
		say(p, id_of(p));
		say(p, "\r\n");
	} else if (strcmp(words[1], "MASTER") == 0)
		say_master(p);
	else if (strcmp(words[1], "SENTINELS") == 0)
		say_others(p);
	else if (strcmp(words[1], "MASTERS") == 0)
		say_names(p);
	else
		say_address(p);
}

/* Takes one whole command off what came; a client writes its commands whole. */
static inline bool
serve_one(struct peer *p)
{
	char words[8][64];
	const char *at = buf_cstr(&p->in);
	char *end;
	long n;

	if (!at || *at != '*')
		return false;
	n = strtol(at + 1, &end, 10);
	at = end + 2;
	assert_in_range(n, 1, 8);
	for (long i = 0; i < n; i++) {
		long len = strtol(at + 1, &end, 10);
		size_t used = strlen(p->heard);

		snprintf(words[i], sizeof(words[i]), "%.*s", (int)len, end + 2);
		snprintf(p->heard + used, sizeof(p->heard) - used, "%s%s", words[i],
		    i + 1 < n ? " " : "\n");
		at = end + 2 + len + 2;
	}
	buf_drop(&p->in, (size_t)(at - p->in.data));
	answer(p, words, n);
	return true;
}

static inline void
hang_up(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	buf_clear(&p->in);
}

static inline void
serve(struct peer *p)
{
	char bytes[4096];
	ssize_t n;

	if (p->fd < 0 && p->listening >= 0)
		p->fd = accept4(p->listening, NULL, NULL, SOCK_NONBLOCK);
	if (p->fd < 0)
		return;
	n = recv(p->fd, bytes, sizeof(bytes), 0);
	if (n > 0)
		buf_add(&p->in, bytes, (size_t)n);
	else if (n == 0)
		hang_up(p);
	while (p->fd >= 0 && serve_one(p))
		;
}

/* A turn of everybody. */
static inline void
turn(void)
{
	loop_timer_set(here.timer, 500);
	assert_int_equal(loop_run(here.loop), 0);
	for (int i = 0; i < PEERS; i++)
		serve(&peers[i]);
}

#define WAIT_FOR(question)                                              \
	do {                                                            \
		int64_t until_us_ = clock_mono_us() + PATIENCE_US;      \
                                                                        \
		while (!(question)) {                                   \
			if (clock_mono_us() > until_us_)                \
				fail_msg("waited in vain: " #question); \
			turn();                                         \
		}                                                       \
	} while (0)

static inline void
turns(int n)
{
	while (n-- > 0)
		turn();
}

static inline int64_t
heard(void)
{
	return metric_get(&cells, METRIC_STORE_SENTINELS);
}

/* --- beginnings and ends -------------------------------------------------------------- */

static inline void
open_peer(struct peer *p)
{
	*p = (struct peer){ .fd = -1, .host = "10.0.0.1", .master_port = 6379 };
	p->listening = loopback_listen(SOCK_NONBLOCK, &p->port);
}

static inline int
start(void **state)
{
	(void)state;
	memset(&here, 0, sizeof(here));
	memset(&cells, 0, sizeof(cells));
	for (int i = 0; i < PEERS; i++)
		open_peer(&peers[i]);
	here.loop = loop_new();
	here.timer = loop_timer_new(here.loop, on_timer, NULL);
	return 0;
}

static inline int
stop(void **state)
{
	(void)state;
	sentinels_free(here.all);
	loop_timer_free(here.timer);
	loop_free(here.loop);
	for (int i = 0; i < PEERS; i++) {
		hang_up(&peers[i]);
		close(peers[i].listening);
		buf_fini(&peers[i].in);
	}
	return 0;
}

/* It goes, and cannot be reached any more. */
static inline void
take_down(struct peer *p)
{
	close(p->listening);
	p->listening = -1;
	hang_up(p);
}

/* Follows "m" by the first n peers. */
static inline void
follow(int n, const char *tail)
{
	struct sentinels_options options = {
		.loop = here.loop, .url = &here.url, .ops = &events, .cells = &cells
	};
	char text[512] = "redis+sentinel://";
	struct errinfo ei = { 0 };

	for (int i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "%s127.0.0.1:%d", i > 0 ? "," : "", peers[i].port);
	snprintf(
	    text + strlen(text), sizeof(text) - strlen(text), "/m%s", tail ? tail : "");
	assert_int_equal(redis_url_parse(text, &here.url, &ei), 0);
	here.all = sentinels_new(&options);
	assert_non_null(here.all);
}

static inline void
name(struct peer *p, const char *host, int epoch)
{
	p->host = host;
	p->epoch = epoch;
}

#define WITH_SENTINELS(test) cmocka_unit_test_setup_teardown(test, start, stop)

#endif
