/* SPDX-License-Identifier: ISC */
/*
 * The Redis store over a redis-server of our own: on a Unix socket in a temporary
 * folder, without persistence, its clock moved by clock_shim. And the one over a Cluster
 * of three such servers, which share the slots and the clock: checks with scopes in
 * several slots go there part by part.
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
#define START_US INT64_C(1767225600000000)
#define CLUSTER_NODES 3
#define CLUSTER_SLOTS 16384
#define CLUSTER_PORT 7000 /* of the first node; those of the others follow */
/* The clock is moved by years, back and forth: nobody is to be taken for dead. */
#define CLUSTER_TIMEOUT_MS "100000000000000"

/* One redis-server. */
struct server {
	char socket[96];
	pid_t pid;
	redisContext *link; /* for what the store does not do */
};

static struct {
	bool cluster;
	char host[32]; /* of the Cluster's nodes, nobody else's */
	char dir[64];
	char clock[96];
	void *clock_map; /* an _Atomic int64_t that the servers read */
	struct server servers[CLUSTER_NODES];
	size_t n; /* of them */
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
run_server(size_t i)
{
	char port[12], nodes[24], log[24];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("LD_PRELOAD", CLOCK_SHIM, 1);
	setenv("RATION_TEST_CLOCK", here.clock, 1);
	snprintf(port, sizeof(port), "%d", here.cluster ? CLUSTER_PORT + (int)i : 0);
	snprintf(nodes, sizeof(nodes), "nodes%zu", i);
	snprintf(log, sizeof(log), "log%zu", i);
	if (here.cluster)
		execlp("redis-server", "redis-server", "--port", port, "--bind",
		    here.host, "--cluster-enabled", "yes", "--cluster-config-file",
		    nodes, "--cluster-node-timeout", CLUSTER_TIMEOUT_MS,
		    "--cluster-announce-ip", here.host, "--unixsocket",
		    here.servers[i].socket, "--save", "", "--dir", here.dir,
		    "--logfile", log, (char *)NULL);
	execlp("redis-server", "redis-server", "--port", port, "--unixsocket",
	    here.servers[i].socket, "--save", "", "--appendonly", "no", "--dir",
	    here.dir, "--logfile", log, "--databases", "1", (char *)NULL);
	fprintf(stderr, "redis-server: %s\n", strerror(errno));
	_exit(127);
}

static bool
ping(struct server *server)
{
	redisReply *reply;
	bool fine;

	server->link = redisConnectUnix(server->socket);
	reply = server->link && !server->link->err ? redisCommand(server->link, "PING")
						   : NULL;
	fine = reply && reply->type == REDIS_REPLY_STATUS;
	if (reply)
		freeReplyObject(reply);
	if (!fine && server->link) {
		redisFree(server->link);
		server->link = NULL;
	}
	return fine;
}

/* Asks until the server answers, or is gone. */
static bool
start_server(size_t i)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	struct server *server = &here.servers[i];

	snprintf(
	    server->socket, sizeof(server->socket), "%s/redis%zu.sock", here.dir, i);
	server->pid = fork();
	if (server->pid == 0)
		run_server(i);
	for (int ms = 0; server->pid > 0 && ms < START_WAIT_MS; ms += 5) {
		if (ping(server))
			return true;
		if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
			server->pid = 0;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* Whether a command's answer, a text, has that in it. */
static bool
says(const struct server *server, const char *command, const char *what)
{
	redisReply *reply = redisCommand(server->link, command);
	bool yes = reply && reply->str && strstr(reply->str, what);

	if (reply)
		freeReplyObject(reply);
	return yes;
}

/* Each node gets its share of the slots, and the first one meets the others. */
static bool
introduce(void)
{
	char command[80];

	for (size_t i = 0; i < here.n; i++) {
		snprintf(command, sizeof(command), "CLUSTER ADDSLOTSRANGE %zu %zu",
		    CLUSTER_SLOTS * i / here.n, CLUSTER_SLOTS * (i + 1) / here.n - 1);
		if (!says(&here.servers[i], command, "OK"))
			return false;
		snprintf(
		    command, sizeof(command), "CLUSTER SET-CONFIG-EPOCH %zu", i + 1);
		if (!says(&here.servers[i], command, "OK"))
			return false;
		snprintf(command, sizeof(command), "CLUSTER MEET %s %zu", here.host,
		    CLUSTER_PORT + i);
		if (i > 0 && !says(&here.servers[0], command, "OK"))
			return false;
	}
	return true;
}

/* A node waits for two seconds before it serves, by its own clock. */
static bool
start_cluster(void)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	if (!introduce())
		return false;
	for (int ms = 0; ms < START_WAIT_MS; ms += 5) {
		size_t ready = 0;

		for (size_t i = 0; i < here.n; i++)
			ready += says(&here.servers[i], "CLUSTER INFO",
				     "cluster_state:ok") &&
			    says(&here.servers[i], "CLUSTER INFO",
				"cluster_known_nodes:3");
		if (ready == here.n)
			return true;
		atomic_store(
		    (_Atomic int64_t *)here.clock_map, START_US + INT64_C(20000) * ms);
		nanosleep(&pause, NULL);
	}
	return false;
}

static bool
start_servers(void)
{
	here.n = here.cluster ? CLUSTER_NODES : 1;
	for (size_t i = 0; i < here.n; i++)
		if (!start_server(i))
			return false;
	return !here.cluster || start_cluster();
}

/* What a server may have left in the folder. */
static void
remove_files(size_t i)
{
	static const char *const names[] = { "nodes", "log" };
	char path[128];

	unlink(here.servers[i].socket);
	for (size_t j = 0; j < ARRAY_LEN(names); j++) {
		snprintf(path, sizeof(path), "%s/%s%zu", here.dir, names[j], i);
		unlink(path);
	}
}

static void
stop_servers(void)
{
	for (size_t i = 0; i < here.n; i++) {
		if (here.servers[i].link)
			redisFree(here.servers[i].link);
		if (here.servers[i].pid > 0) {
			kill(here.servers[i].pid, SIGKILL);
			waitpid(here.servers[i].pid, NULL, 0);
		}
		remove_files(i);
	}
	if (here.clock_map)
		munmap(here.clock_map, sizeof(int64_t));
	unlink(here.clock);
	rmdir(here.dir);
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
	stop_servers();
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
		    url, sizeof(url), "redis+cluster://%s:%d", here.host, CLUSTER_PORT);
	else
		snprintf(url, sizeof(url), "redis+unix://%s", here.servers[0].socket);
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
	if (!make_folder() || !start_servers()) {
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
	bool fine = true;

	for (size_t i = 0; i < here.n; i++)
		fine = says(&here.servers[i], "FLUSHALL", "OK") && fine;
	return fine;
}

/* A key's name, type, content and time to live are four elements. */
static const char dump_script[] =
    "local out = {}\n"
    "for _, key in ipairs(redis.call('KEYS', '*')) do\n"
    "	local kind, value = redis.call('TYPE', key).ok, ''\n"
    "	if kind == 'string' then\n"
    "		value = redis.call('GET', key)\n"
    "	elseif kind == 'zset' then\n"
    "		value = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]\n"
    "	end\n"
    "	for _, one in ipairs({key, kind, value, redis.call('PTTL', key)}) do\n"
    "		out[#out + 1] = one\n"
    "	end\n"
    "end\n"
    "return out";

static bool
add_keys(const struct server *server, json_t *keys)
{
	redisReply *reply = redisCommand(server->link, "EVAL %s 0", dump_script);
	bool fine = reply && reply->type == REDIS_REPLY_ARRAY;

	for (size_t i = 0; fine && i + 3 < reply->elements; i += 4) {
		redisReply **of = &reply->element[i];

		json_object_set_new(keys, of[0]->str,
		    json_pack("[s, s, I]", of[1]->str, of[2]->str,
			(json_int_t)of[3]->integer));
	}
	if (reply)
		freeReplyObject(reply);
	return fine;
}

static json_t *
redis_keys(void)
{
	json_t *keys = json_object();
	bool fine = true;

	for (size_t i = 0; i < here.n; i++)
		fine = add_keys(&here.servers[i], keys) && fine;
	if (fine)
		return keys;
	json_decref(keys);
	return NULL;
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
	.keys = redis_keys,
	.wait = redis_wait,
	.wake = redis_wake,
};

const struct backend_ops backend_redis = {
	.name = "redis",
	.open = redis_open,
	.close = redis_close,
	.clear = redis_clear,
	.set_time = redis_set_time,
	.keys = redis_keys,
	.wait = redis_wait,
	.wake = redis_wake,
};

const struct backend_ops *
backend_option(int *argc, char ***argv)
{
	const char *name;

	if (*argc < 3 || strcmp((*argv)[1], "--backend") != 0)
		return &backend_redis;
	name = (*argv)[2];
	*argc -= 2;
	*argv += 2;
	return strcmp(name, "redis") == 0  ? &backend_redis
	    : strcmp(name, "cluster") == 0 ? &backend_cluster
					   : NULL;
}
