/* SPDX-License-Identifier: ISC */
/*
 * The Redis store over a redis-server of our own: on a Unix socket in a temporary
 * folder, without persistence, its clock moved by clock_shim. And the one over a Cluster,
 * which is the same server with all slots: what differs is how checks come there, those
 * with scopes in several slots part by part.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "backend.h"
#include "net/loop.h"
#include "redis/redis_store.h"

#define START_WAIT_MS 10000
#define CLUSTER_PORT "7000"
/* By its own clock a node waits for so long before it serves, and more. */
#define CLUSTER_SETTLE_US 5000000
#define START_US INT64_C(1767225600000000)

static struct {
	bool cluster;
	char host[32]; /* of the Cluster's node, nobody else's */
	char dir[64];
	char socket[96];
	char log[96];
	char clock[96];
	void *clock_map; /* an _Atomic int64_t that the server reads */
	pid_t pid;
	redisContext *link; /* for what the store does not do */
	struct loop *loop;
	struct loop_timer *timer;
	struct store *store;
} here;

static bool
make_folder(void)
{
	static const int64_t start_us = START_US;
	void *at;
	int fd;

	snprintf(here.dir, sizeof(here.dir), "/tmp/ration-vectors-XXXXXX");
	if (!mkdtemp(here.dir))
		return false;
	snprintf(here.socket, sizeof(here.socket), "%s/redis.sock", here.dir);
	snprintf(here.log, sizeof(here.log), "%s/redis.log", here.dir);
	snprintf(here.clock, sizeof(here.clock), "%s/clock", here.dir);
	fd = open(here.clock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, &start_us, sizeof(start_us)) != sizeof(start_us))
		return false;
	at = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	here.clock_map = at == MAP_FAILED ? NULL : at;
	return here.clock_map != NULL;
}

static void
run_server(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("LD_PRELOAD", CLOCK_SHIM, 1);
	setenv("RATION_TEST_CLOCK", here.clock, 1);
	if (here.cluster)
		execlp("redis-server", "redis-server", "--port", CLUSTER_PORT, "--bind",
		    here.host, "--cluster-enabled", "yes", "--cluster-config-file",
		    "nodes", "--unixsocket", here.socket, "--save", "", "--dir",
		    here.dir, "--logfile", here.log, (char *)NULL);
	execlp("redis-server", "redis-server", "--port", "0", "--unixsocket",
	    here.socket, "--save", "", "--appendonly", "no", "--dir", here.dir,
	    "--logfile", here.log, "--databases", "1", (char *)NULL);
	fprintf(stderr, "redis-server: %s\n", strerror(errno));
	_exit(127);
}

static bool
ping(void)
{
	redisReply *reply;
	bool fine;

	here.link = redisConnectUnix(here.socket);
	reply = here.link && !here.link->err ? redisCommand(here.link, "PING") : NULL;
	fine = reply && reply->type == REDIS_REPLY_STATUS;
	if (reply)
		freeReplyObject(reply);
	if (!fine && here.link) {
		redisFree(here.link);
		here.link = NULL;
	}
	return fine;
}

/* Asks until the server answers, or is gone. */
static bool
start_server(void)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	here.pid = fork();
	if (here.pid == 0)
		run_server();
	for (int ms = 0; here.pid > 0 && ms < START_WAIT_MS; ms += 5) {
		if (ping())
			return true;
		if (waitpid(here.pid, NULL, WNOHANG) == here.pid)
			here.pid = 0;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* Whether a command's answer, a text, has that in it. */
static bool
says(const char *command, const char *what)
{
	redisReply *reply = redisCommand(here.link, command);
	bool yes = reply && reply->str && strstr(reply->str, what);

	if (reply)
		freeReplyObject(reply);
	return yes;
}

static bool
start_cluster(void)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	if (!says("CLUSTER ADDSLOTSRANGE 0 16383", "OK"))
		return false;
	for (int ms = 0; ms < START_WAIT_MS; ms += 5) {
		if (says("CLUSTER INFO", "cluster_state:ok"))
			return true;
		atomic_store((_Atomic int64_t *)here.clock_map,
		    START_US + (ms > 200 ? CLUSTER_SETTLE_US : 0));
		nanosleep(&pause, NULL);
	}
	return false;
}

static void
stop_server(void)
{
	char nodes[96];

	if (here.link)
		redisFree(here.link);
	if (here.pid > 0) {
		kill(here.pid, SIGKILL);
		waitpid(here.pid, NULL, 0);
	}
	if (here.clock_map)
		munmap(here.clock_map, sizeof(int64_t));
	if (here.socket[0]) {
		unlink(here.socket);
		unlink(here.log);
		unlink(here.clock);
		snprintf(nodes, sizeof(nodes), "%s/nodes", here.dir);
		unlink(nodes);
		rmdir(here.dir);
	}
}

static void
on_timer(void *arg)
{
	(void)arg;
	loop_stop(here.loop);
}

static void
on_turn(void *arg)
{
	(void)arg;
	store_flush(here.store);
}

/* A turn has to begin for what was started outside of the loop to be sent. */
static void
redis_wait(bool (*done)(void *arg), void *arg)
{
	while (!done(arg)) {
		loop_timer_set(here.timer, 1000);
		if (loop_run(here.loop) < 0)
			abort();
	}
}

static bool
is_ready(void *arg)
{
	(void)arg;
	return store_ready(here.store, NULL);
}

static void
redis_close(void)
{
	store_close(here.store);
	loop_timer_free(here.timer);
	loop_free(here.loop);
	stop_server();
	memset(&here, 0, sizeof(here));
}

static bool
open_store(struct metric_cells *cells)
{
	struct redis_store_options options = { .waiting_max = 0 };
	struct errinfo ei = { 0 };
	char url[128];

	if (here.cluster)
		snprintf(
		    url, sizeof(url), "redis+cluster://%s:" CLUSTER_PORT, here.host);
	else
		snprintf(url, sizeof(url), "redis+unix://%s", here.socket);
	if (redis_url_parse(url, &options.url, &ei) < 0) {
		fprintf(stderr, "%s: %s\n", url, ei.text);
		return false;
	}
	here.loop = loop_new();
	if (!here.loop)
		return false;
	here.timer = loop_timer_new(here.loop, on_timer, NULL);
	here.store = redis_store_new(here.loop, &options, cells);
	if (!here.timer || !here.store)
		return false;
	loop_on_turn(here.loop, on_turn, NULL);
	redis_wait(is_ready, NULL);
	return true;
}

static struct store *
redis_open(struct metric_cells *cells)
{
	if (!make_folder() || !start_server() || (here.cluster && !start_cluster())) {
		fprintf(stderr, "redis-server did not start in %s\n", here.dir);
		redis_close();
		return NULL;
	}
	if (!open_store(cells)) {
		fprintf(stderr, "the Redis store did not start\n");
		redis_close();
		return NULL;
	}
	return here.store;
}

static bool
redis_clear(void)
{
	redisReply *reply = redisCommand(here.link, "FLUSHALL");
	bool fine = reply && reply->type == REDIS_REPLY_STATUS;

	if (reply)
		freeReplyObject(reply);
	return fine;
}

static void
redis_set_time(int64_t now_us)
{
	atomic_store((_Atomic int64_t *)here.clock_map, now_us);
}

static void
redis_wake(void)
{
	loop_stop(here.loop);
}

static struct store *
cluster_open(struct metric_cells *cells)
{
	long pid = (long)getpid();

	here.cluster = true;
	snprintf(here.host, sizeof(here.host), "127.%ld.%ld.%ld", pid / 62500 % 250 + 2,
	    pid / 250 % 250 + 2, pid % 250 + 2);
	return redis_open(cells);
}

const struct backend_ops backend_cluster = {
	.name = "cluster",
	.open = cluster_open,
	.close = redis_close,
	.clear = redis_clear,
	.set_time = redis_set_time,
	.wait = redis_wait,
	.wake = redis_wake,
};

const struct backend_ops backend_redis = {
	.name = "redis",
	.open = redis_open,
	.close = redis_close,
	.clear = redis_clear,
	.set_time = redis_set_time,
	.wait = redis_wait,
	.wake = redis_wake,
};
