/* SPDX-License-Identifier: ISC */
#include "bench_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench_reply.h"

#define NS_PER_MS INT64_C(1000000)
#define RETRY_FIRST_NS (10 * NS_PER_MS)
#define RETRY_MOST_NS (500 * NS_PER_MS)

int64_t
bench_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
set_state(struct bench_conn *c, struct bench_env *env, enum conn_state to)
{
	env->n_up += (to == CONN_UP) - (size_t)(c->state == CONN_UP);
	c->state = to;
	if (to != CONN_UP)
		return;
	env->trouble.reconnects += c->was_up;
	c->was_up = true;
	c->retry_for_ns = 0;
}

/* Tells the kernel what the connection waits for, if that has changed. */
static void
watch(struct bench_conn *c, struct bench_env *env)
{
	bool writes = c->state == CONN_CONNECTING || c->out.len > 0;
	uint32_t wanted = (c->state == CONN_CONNECTING ? 0 : (uint32_t)EPOLLIN) |
	    (writes ? (uint32_t)EPOLLOUT : 0);
	struct epoll_event ev = { .events = wanted, .data.ptr = c };

	if (c->fd < 0 || wanted == c->watched)
		return;
	epoll_ctl(
	    env->epoll_fd, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev);
	c->watched = wanted;
}

static struct bench_stats *
stats_of(struct bench_env *env, int64_t start_ns)
{
	return start_ns < env->measure_from_ns ? &env->warmup : &env->measured;
}

/* Takes the oldest request out of the ring and counts what became of it. */
static struct bench_stats *
finish_one(struct bench_conn *c, struct bench_env *env, enum bench_outcome outcome)
{
	int64_t start_ns = c->starts_ns[c->first];
	struct bench_stats *stats = stats_of(env, start_ns);

	if (++c->first == (size_t)env->plan->pipeline)
		c->first = 0;
	c->n--;
	env->in_flight--;
	stats->outcomes[outcome]++;
	/* A lost one says nothing about time. */
	if (outcome != BENCH_LOST)
		bench_histogram_record(&stats->latency, env->now_ns - start_ns);
	return stats;
}

/* The first try is made at once, further ones after pauses that double. */
static void
drop(struct bench_conn *c, struct bench_env *env, enum bench_outcome outcome)
{
	while (c->n > 0)
		finish_one(c, env, outcome);
	if (c->state == CONN_CONNECTING || c->state == CONN_GREETING) {
		env->trouble.connect_failures++;
		c->failed_once = true;
	}
	c->retry_at_ns = env->now_ns + c->retry_for_ns;
	c->retry_for_ns = c->retry_for_ns ? 2 * c->retry_for_ns : RETRY_FIRST_NS;
	if (c->retry_for_ns > RETRY_MOST_NS)
		c->retry_for_ns = RETRY_MOST_NS;
	set_state(c, env, CONN_DOWN);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->watched = 0;
	buf_clear(&c->out);
	buf_clear(&c->rest);
}

static void
drop_saying(struct bench_conn *c, struct bench_env *env, const char *why)
{
	bench_trouble_note(&env->trouble, slice_str(why));
	drop(c, env, BENCH_LOST);
}

/* Ends the load: no other connection would do better. */
static void PRINTF_LIKE(2, 3) fail(struct bench_env *env, const char *fmt, ...)
{
	va_list ap;

	if (env->failure[0])
		return;
	va_start(ap, fmt);
	vsnprintf(env->failure, sizeof(env->failure), fmt, ap);
	va_end(ap);
}

int
bench_conn_init(struct bench_conn *c, const struct bench_env *env)
{
	*c = (struct bench_conn){ .fd = -1 };
	c->starts_ns = calloc((size_t)env->plan->pipeline, sizeof(*c->starts_ns));
	return c->starts_ns ? 0 : ERR_NOMEM;
}

void
bench_conn_fini(struct bench_conn *c, struct bench_env *env)
{
	if (c->fd >= 0)
		drop(c, env, BENCH_LOST);
	buf_fini(&c->out);
	buf_fini(&c->rest);
	free(c->starts_ns);
	c->starts_ns = NULL;
}

/* The connection is made: it sends its token, or may be used. */
static void
on_connected(struct bench_conn *c, struct bench_env *env)
{
	const struct bench_request *greeting = &env->plan->greeting;

	if (greeting->text.len == 0) {
		set_state(c, env, CONN_UP);
		return;
	}
	set_state(c, env, CONN_GREETING);
	bench_request_add(greeting, 0, &c->out);
	bench_conn_flush(c, env);
}

void
bench_conn_open(struct bench_conn *c, struct bench_env *env)
{
	const struct sockaddr *to = (const struct sockaddr *)&env->plan->to;
	int one = 1;

	c->waiting_ns = env->now_ns;
	set_state(c, env, CONN_CONNECTING);
	c->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		drop_saying(c, env, strerror(errno));
		return;
	}
	if (to->sa_family != AF_UNIX)
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, to, env->plan->to_len) == 0)
		on_connected(c, env);
	else if (errno != EINPROGRESS)
		drop_saying(c, env, strerror(errno));
	watch(c, env);
}

static void
finish_connect(struct bench_conn *c, struct bench_env *env)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error != 0)
		drop_saying(c, env, strerror(error));
	else
		on_connected(c, env);
}

static ptrdiff_t
parse(const struct bench_conn *c, const struct bench_env *env, const char *data,
    size_t len, struct bench_reply *reply)
{
	if (c->state == CONN_GREETING || env->plan->command)
		return bench_reply_any(data, len, reply);
	return env->plan->http ? bench_reply_http(data, len, reply)
			       : bench_reply_check(data, len, reply);
}

/* The answer to the token. */
static void
on_greeted(struct bench_conn *c, struct bench_env *env, const struct bench_reply *reply)
{
	if (reply->outcome == BENCH_OTHER) {
		set_state(c, env, CONN_UP);
		return;
	}
	fail(env, "the token is not accepted: %.*s",
	    (int)(reply->error.len < 200 ? reply->error.len : 200), reply->error.ptr);
	drop(c, env, BENCH_LOST);
}

/* An answer that nobody asked for: the other side has no room for the connection, say. */
static void
on_unasked(struct bench_conn *c, struct bench_env *env)
{
	env->trouble.connect_failures++;
	drop_saying(c, env, "an answer came that nobody asked for");
}

/* Takes one whole answer. False: the connection is down now. */
static bool
on_reply(struct bench_conn *c, struct bench_env *env, const struct bench_reply *reply)
{
	if (reply->error.len > 0)
		bench_trouble_note(&env->trouble, reply->error);
	if (c->state == CONN_GREETING)
		on_greeted(c, env, reply);
	else if (c->n == 0)
		on_unasked(c, env);
	else
		finish_one(c, env, reply->outcome)->degraded += reply->degraded;
	if (reply->close && c->state != CONN_DOWN)
		drop(c, env, BENCH_LOST);
	return c->state != CONN_DOWN;
}

/* Something that is not an answer came in place of one: says so, if no answer ever came. */
static void
on_garbage(struct bench_conn *c, struct bench_env *env)
{
	if (bench_stats_answers(&env->measured) + bench_stats_answers(&env->warmup) ==
	    0)
		fail(env, "the answer is not understood; is it %s?",
		    env->plan->http ? "an HTTP listener" : "a RESP listener");
	drop_saying(c, env, "an answer is not understood");
}

/* Keeps the bytes of an answer that is not complete. */
static void
keep(struct bench_conn *c, struct bench_env *env, const char *data, size_t len)
{
	buf_clear(&c->rest);
	buf_add(&c->rest, data, len);
	if (c->rest.failed)
		drop_saying(c, env, "out of memory");
	else if (len == BENCH_IN_SIZE)
		drop_saying(c, env, "an answer is too long");
}

/* Takes all complete answers among the bytes. */
static void
on_bytes(struct bench_conn *c, struct bench_env *env, size_t len)
{
	const char *at = env->in, *end = env->in + len;
	struct bench_reply reply;

	c->waiting_ns = env->last_answer_ns = env->now_ns;
	while (at < end) {
		ptrdiff_t took = parse(c, env, at, (size_t)(end - at), &reply);

		if (took == ERR_AGAIN) {
			keep(c, env, at, (size_t)(end - at));
			return;
		}
		if (took < 0) {
			on_garbage(c, env);
			return;
		}
		if (!on_reply(c, env, &reply))
			return;
		at += took;
	}
	buf_clear(&c->rest);
}

static void
receive(struct bench_conn *c, struct bench_env *env)
{
	size_t before = c->rest.len;
	ssize_t n;

	if (before > 0)
		memcpy(env->in, c->rest.data, before);
	n = recv(c->fd, env->in + before, BENCH_IN_SIZE - before, 0);
	if (n > 0) {
		env->now_ns = bench_clock_ns();
		stats_of(env, env->now_ns)->bytes_received += (size_t)n;
		on_bytes(c, env, before + (size_t)n);
	} else if (n == 0) {
		drop_saying(c, env, "the connection was closed");
	} else if (errno != EAGAIN && errno != EINTR) {
		drop_saying(c, env, strerror(errno));
	}
}

void
bench_conn_on_event(struct bench_conn *c, struct bench_env *env, uint32_t events)
{
	if (c->state == CONN_CONNECTING)
		finish_connect(c, env);
	else if (events & ~(uint32_t)EPOLLOUT)
		receive(c, env);
	if (c->state != CONN_DOWN && c->out.len > 0)
		bench_conn_flush(c, env);
	watch(c, env);
}

void
bench_conn_push(struct bench_conn *c, struct bench_env *env, int64_t start_ns)
{
	const struct bench_plan *plan = env->plan;
	size_t last = c->first + c->n;

	if (c->n == 0)
		c->waiting_ns = env->now_ns;
	if (last >= (size_t)plan->pipeline)
		last -= (size_t)plan->pipeline;
	c->starts_ns[last] = start_ns;
	c->n++;
	env->in_flight++;
	bench_request_add(&plan->request, bench_pick_next(&env->pick), &c->out);
}

void
bench_conn_flush(struct bench_conn *c, struct bench_env *env)
{
	ssize_t n;

	if (c->out.failed) { /* the ring and the bytes no longer agree */
		drop_saying(c, env, "out of memory");
		return;
	}
	n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		drop_saying(c, env, strerror(errno));
		return;
	}
	if (n > 0) {
		stats_of(env, env->now_ns)->bytes_sent += (size_t)n;
		buf_drop(&c->out, (size_t)n);
	}
	watch(c, env);
}

void
bench_conn_expire(struct bench_conn *c, struct bench_env *env)
{
	int64_t timeout_ns = env->plan->daemon.timeout_ms * NS_PER_MS;

	if (c->state == CONN_DOWN || (c->state == CONN_UP && c->n == 0) ||
	    env->now_ns - c->waiting_ns < timeout_ns)
		return;
	bench_trouble_note(&env->trouble, slice_str("no answer in time"));
	drop(c, env, BENCH_TIMEOUT);
}
