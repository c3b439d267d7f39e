/* SPDX-License-Identifier: ISC */
/* Who is the master by what Sentinels say, against some that say what the test wants. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "redis/sentinel_reply.h"
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

static void
say(struct peer *p, const char *text)
{
	if (p->fd >= 0)
		(void)send(p->fd, text, strlen(text), MSG_NOSIGNAL);
}

static const char *
id_of(const struct peer *p)
{
	static char id[41];

	snprintf(id, sizeof(id), "%040d", (int)(p - peers) + 1);
	return id;
}

static void
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

static void
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

static void
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

static void
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

static void
say_names(struct peer *p)
{
	static const char *const one[] = { "name", "one", "ip", "h" };
	static const char *const two[] = { "ip", "h", "name", "two" };

	say(p, "*2\r\n");
	say_words(p, one, 4);
	say_words(p, two, 4);
}

/* Each of "+switch-master" and so on is confirmed by itself. */
static void
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

static void
announce(struct peer *p, const char *channel, const char *message)
{
	const char *words[] = { "message", channel, message };

	say_words(p, words, 3);
}

static void
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
static bool
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

static void
hang_up(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	buf_clear(&p->in);
}

static void
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
static void
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

static void
turns(int n)
{
	while (n-- > 0)
		turn();
}

static int64_t
heard(void)
{
	return metric_get(&cells, METRIC_STORE_SENTINELS);
}

/* --- beginnings and ends -------------------------------------------------------------- */

static void
open_peer(struct peer *p)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	*p = (struct peer){ .fd = -1, .host = "10.0.0.1", .master_port = 6379 };
	p->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(p->listening, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(p->listening, 16), 0);
	assert_int_equal(getsockname(p->listening, (struct sockaddr *)&in, &len), 0);
	p->port = ntohs(in.sin_port);
}

static int
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

static int
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

/* Follows "m" by the first n peers. */
static void
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

static void
name(struct peer *p, const char *host, int epoch)
{
	p->host = host;
	p->epoch = epoch;
}

/* --- tests ------------------------------------------------------------------------------ */

static void
test_found(void **state)
{
	(void)state;
	follow(1, NULL);
	assert_int_equal(here.n_moves, 0);
	WAIT_FOR(here.n_moves);
	assert_string_equal(here.master, "10.0.0.1:6379");
	turns(20);
	assert_string_equal(peers[0].heard,
	    "SENTINEL MYID\nSENTINEL MASTER m\nSENTINEL GET-MASTER-ADDR-BY-NAME m\n"
	    "SENTINEL SENTINELS m\n"
	    "SUBSCRIBE +failover-state-wait-promotion +promoted-slave "
	    "+switch-master\n");
	assert_int_equal(here.n_moves, 1);
	assert_int_equal(heard(), 1);
	assert_int_equal(metric_get(&cells, METRIC_STORE_MASTER_CHANGES), 0);
}

static void
test_who_we_are(void **state)
{
	(void)state;
	follow(1, "?sentinel_user=u&sentinel_password=p%20w");
	WAIT_FOR(here.n_moves);
	assert_ptr_equal(strstr(peers[0].heard, "AUTH u p w\n"), peers[0].heard);
}

static void
test_other_spellings(void **state)
{
	(void)state;
	peers[0].host = "2001:db8::1";
	follow(1, NULL);
	WAIT_FOR(here.n_moves);
	assert_string_equal(here.master, "[2001:db8::1]:6379");
	name(&peers[0], "redis-0.redis.svc", 1);
	announce(&peers[0], "+switch-master", "m 1 2 3 4");
	WAIT_FOR(here.n_moves == 2);
	assert_string_equal(here.master, "redis-0.redis.svc:6379");
}

static void
test_a_switch(void **state)
{
	(void)state;
	follow(3, NULL);
	WAIT_FOR(heard() == 3);
	turns(20);
	name(&peers[1], "10.0.0.2", 1);
	announce(&peers[1], "+switch-master", "m 10.0.0.1 6379 10.0.0.2 6379");
	WAIT_FOR(here.n_moves == 2);
	assert_string_equal(here.master, "10.0.0.2:6379");
	assert_int_equal(metric_get(&cells, METRIC_STORE_MASTER_CHANGES), 1);
	assert_non_null(strstr(peers[1].heard, "UNSUBSCRIBE"));
	/* The others name the old one still, or are silent. */
	announce(&peers[0], "+switch-master", "other 1 2 3 4");
	WAIT_FOR(peers[0].n_asked == 2);
	turns(50);
	assert_int_equal(here.n_moves, 2);
	assert_int_equal(peers[2].n_asked, 1);
}

/* What is announced while it is being asked is asked about once more. */
static void
test_a_switch_while_asked(void **state)
{
	(void)state;
	follow(1, NULL);
	WAIT_FOR(here.n_moves);
	turns(20);
	announce(&peers[0], "+switch-master", "m 1 2 3 4");
	announce(&peers[0], "+switch-master", "m 1 2 3 4");
	WAIT_FOR(peers[0].n_asked == 3);
}

static void
test_the_newest_is_believed(void **state)
{
	(void)state;
	name(&peers[0], "10.0.0.1", 4);
	name(&peers[1], "10.0.0.2", 5);
	peers[2].deaf = true;
	follow(3, NULL);
	WAIT_FOR(heard() == 2);
	assert_string_equal(here.master, "10.0.0.2:6379");
	/* Nor is an old one when the one that knew better is gone. */
	close(peers[1].listening);
	peers[1].listening = -1;
	hang_up(&peers[1]);
	WAIT_FOR(heard() == 1);
	name(&peers[0], "10.0.0.3", 4);
	sentinels_doubt(here.all);
	WAIT_FOR(peers[0].n_asked == 2);
	turns(50);
	assert_string_equal(here.master, "10.0.0.2:6379");
	name(&peers[0], "10.0.0.3", 6);
	announce(&peers[0], "+switch-master", "");
	WAIT_FOR(strcmp(here.master, "10.0.0.3:6379") == 0);
}

/* All were taken down and told anew whom to watch. */
static void
test_most_begin_anew(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		name(&peers[i], "10.0.0.1", 7);
	follow(3, NULL);
	WAIT_FOR(heard() == 3);
	for (int i = 0; i < 3; i++) {
		turns(20);
		assert_string_equal(here.master, "10.0.0.1:6379");
		name(&peers[i], "10.0.0.9", 0);
		announce(&peers[i], "+switch-master", "");
	}
	WAIT_FOR(here.n_moves == 2);
	assert_string_equal(here.master, "10.0.0.9:6379");
}

static void
test_a_promotion(void **state)
{
	(void)state;
	follow(2, NULL);
	WAIT_FOR(heard() == 2);
	announce(&peers[0], "+failover-state-wait-promotion",
	    "slave 10.0.0.2:6379 10.0.0.2 6379 @ other 10.0.0.1 6379");
	turns(20);
	assert_int_equal(here.n_moves, 1);
	announce(&peers[0], "+failover-state-wait-promotion",
	    "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
	WAIT_FOR(here.n_moves == 2);
	assert_string_equal(here.master, "10.0.0.2:6379");
	/* Until it has seen it done the old one is named. */
	announce(&peers[1], "+switch-master", "");
	WAIT_FOR(peers[1].n_asked == 2);
	turns(20);
	assert_int_equal(here.n_moves, 2);
	name(&peers[0], "10.0.0.2", 1);
	announce(&peers[0], "+promoted-slave", "");
	WAIT_FOR(peers[0].n_asked == 2);
	turns(20);
	assert_int_equal(here.n_moves, 2);
	assert_int_equal(metric_get(&cells, METRIC_STORE_MASTER_CHANGES), 1);
}

static void
test_a_promotion_that_fails(void **state)
{
	int64_t begun_us;

	(void)state;
	follow(2, NULL);
	WAIT_FOR(heard() == 2);
	announce(&peers[0], "+failover-state-wait-promotion",
	    "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
	WAIT_FOR(here.n_moves == 2);
	begun_us = clock_mono_us();
	WAIT_FOR(here.n_moves == 3);
	assert_string_equal(here.master, "10.0.0.1:6379");
	assert_true(clock_mono_us() - begun_us > 2 * SECOND_US);
}

static void
test_the_name_is_wrong(void **state)
{
	(void)state;
	peers[0].host = NULL;
	follow(1, NULL);
	WAIT_FOR(here.fault != FAULT_NONE);
	assert_int_equal(here.fault, FAULT_CONFIG);
	assert_non_null(
	    strstr(here.why, "no master called \"m\"; it knows \"one\", \"two\""));
	assert_int_equal(heard(), 0);
	/* It is told of it later. */
	name(&peers[0], "10.0.0.1", 0);
	announce(&peers[0], "+switch-master", "");
	WAIT_FOR(here.n_moves);
}

static void
test_refusals(void **state)
{
	static const struct {
		const char *answer, *tail, *why;
		enum store_fault fault;
	} cases[] = {
		{ "-NOAUTH Authentication required.\r\n", "", "NOAUTH", FAULT_CONFIG },
		{ "-WRONGPASS no\r\n", "?sentinel_password=x", "AUTH was refused",
		    FAULT_CONFIG },
		{ "-ERR AUTH <password> called without any\r\n", "?sentinel_password=x",
		    "called without", FAULT_CONFIG },
		{ "-NOPERM no\r\n", "", "NOPERM", FAULT_CONFIG },
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", "", "is this a Sentinel?",
		    FAULT_OTHER },
		{ "+PONG\r\n", "", "is this a Sentinel?", FAULT_OTHER },
		{ "*0\r\n", "", "is this a Sentinel?", FAULT_OTHER },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		stop(state);
		start(state);
		peers[0].refusal = cases[i].answer;
		follow(1, cases[i].tail);
		WAIT_FOR(here.fault != FAULT_NONE);
		if (!strstr(here.why, cases[i].why) || here.fault != cases[i].fault)
			fail_msg("case %zu: %d %s", i, (int)here.fault, here.why);
		assert_int_equal(here.n_moves, 0);
		assert_null(strstr(here.why, "sentinel_password"));
	}
}

static void
test_silence_and_noise(void **state)
{
	(void)state;
	peers[0].deaf = true;
	follow(1, NULL);
	WAIT_FOR(here.fault == FAULT_TIMEOUT);
	assert_non_null(strstr(here.why, "no answer within 2 s"));
	peers[0].deaf = false;
	WAIT_FOR(here.n_moves);
	turns(20);
	say(&peers[0], "*1000000\r\n");
	for (int i = 0; i < 30000 && heard() == 1; i++) {
		for (int j = 0; j < 20; j++)
			say(&peers[0],
			    "$60\r\n0123456789012345678901234567890123456789"
			    "01234567890123456789\r\n");
		turn();
	}
	assert_int_equal(heard(), 0);
	WAIT_FOR(heard() == 1);
}

static void
test_others_are_learned(void **state)
{
	(void)state;
	peers[0].others = 0xf & ~1U;
	peers[1].others = 1;
	follow(1, NULL);
	WAIT_FOR(heard() == 4);
	turns(50);
	assert_int_equal(heard(), 4);
	/* One of these that is lost is forgotten until it is told of again. */
	close(peers[3].listening);
	peers[3].listening = -1;
	hang_up(&peers[3]);
	WAIT_FOR(heard() == 3);
	/* One that was listed is tried again for ever. */
	hang_up(&peers[0]);
	WAIT_FOR(heard() == 2);
	WAIT_FOR(heard() == 3);
}

/* By name and by address it is the same one. */
static void
test_one_by_two_names(void **state)
{
	struct sentinels_options options = {
		.loop = here.loop, .url = &here.url, .ops = &events, .cells = &cells
	};
	char text[64];

	(void)state;
	snprintf(text, sizeof(text), "redis+sentinel://localhost:%d,127.0.0.1:%d/m",
	    peers[0].port, peers[1].port);
	assert_int_equal(redis_url_parse(text, &here.url, NULL), 0);
	peers[0].others = 2;
	peers[1].others = 1 | 4;
	here.all = sentinels_new(&options);
	WAIT_FOR(heard() == 3);
	turns(100);
	assert_int_equal(heard(), 3);
}

static void
test_none_is_left(void **state)
{
	(void)state;
	follow(1, NULL);
	WAIT_FOR(heard() == 1);
	close(peers[0].listening);
	peers[0].listening = -1;
	hang_up(&peers[0]);
	WAIT_FOR(heard() == 0);
	turns(50);
	assert_int_equal(here.n_moves, 1);
	assert_int_equal(here.fault, FAULT_NONE);
}

static void
test_doubts_are_not_a_storm(void **state)
{
	int64_t end_us;

	(void)state;
	follow(1, NULL);
	WAIT_FOR(heard() == 1);
	turns(20);
	sentinels_doubt(here.all);
	WAIT_FOR(peers[0].n_asked == 2);
	end_us = clock_mono_us() + SECOND_US;
	while (clock_mono_us() < end_us) {
		sentinels_doubt(here.all);
		turn();
	}
	assert_in_range(peers[0].n_asked, 3, 4);
}

static void
test_announcements(void **state)
{
	static const struct {
		const char *text;
		int rc;
		const char *address;
	} cases[] = {
		{ "slave a b 1 @ m c 2", 0, "b:1" },
		{ "slave a ::1 1 @ m c 2", 0, "[::1]:1" },
		{ "slave a b 1 @ n c 2", ERR_NOTFOUND, "" },
		{ "slave a b 1 @ m c", ERR_INVALID, "" },
		{ "slave a b 1 @ m c 2 x", ERR_INVALID, "" },
		{ "slave a b 70000 @ m c 2", ERR_INVALID, "" },
		{ "slave a  1 @ m c 2", ERR_INVALID, "" },
		{ "", ERR_INVALID, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct address to = { 0 };
		int rc = sentinel_reply_promotion(slice_str(cases[i].text), "m", &to);

		assert_int_equal(rc, cases[i].rc);
		if (rc == 0)
			assert_string_equal(to.text, cases[i].address);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found),
		TEST(test_who_we_are),
		TEST(test_other_spellings),
		TEST(test_a_switch),
		TEST(test_a_switch_while_asked),
		TEST(test_the_newest_is_believed),
		TEST(test_most_begin_anew),
		TEST(test_a_promotion),
		TEST(test_a_promotion_that_fails),
		TEST(test_the_name_is_wrong),
		TEST(test_refusals),
		TEST(test_silence_and_noise),
		TEST(test_others_are_learned),
		TEST(test_one_by_two_names),
		TEST(test_none_is_left),
		TEST(test_doubts_are_not_a_storm),
		cmocka_unit_test(test_announcements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
