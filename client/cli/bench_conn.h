/* SPDX-License-Identifier: ISC */
/*
 * One connection of a load: requests out, answers in, and what becomes of each. It
 * calls nobody: whoever drives it looks at its state afterwards. What was lost is never
 * sent again.
 *
 * Ownership: the caller owns the memory of both structs and outlives none of the fds.
 * Threads: all connections of an env belong to one thread.
 * Time: nanoseconds of bench_clock_ns(); env->now_ns is read anew by whoever waits, and
 * here after each receive.
 */
#ifndef CLI_BENCH_CONN_H
#define CLI_BENCH_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "bench_plan.h"
#include "bench_stats.h"

#define BENCH_IN_SIZE ((size_t)256 << 10) /* of one receive, and of an answer */

enum conn_state {
	CONN_DOWN,       /* until bench_conn_open() */
	CONN_CONNECTING, /* until the system says so */
	CONN_GREETING,   /* the token was sent */
	CONN_UP
};

/* What the connections of one thread share. */
struct bench_env {
	const struct bench_plan *plan;
	int epoll_fd;
	char *in; /* bytes that were received, from one connection at a time */
	struct bench_pick pick;
	int64_t measure_from_ns; /* what starts earlier is warm-up */
	struct bench_stats warmup, measured;
	struct bench_trouble trouble;
	int64_t now_ns;
	int64_t last_answer_ns;
	size_t in_flight; /* of all connections */
	size_t n_up;
	/* Why no load can go on: the token is wrong, or the other side speaks another
	 * protocol; "" while it can. */
	char failure[STATS_ERROR_MAX];
};

struct bench_conn {
	enum conn_state state;
	int fd; /* -1 when down */
	bool was_up, failed_once;
	bool in_line; /* the driver's own */
	struct bench_conn *next;
	uint32_t watched;     /* EPOLL bits that the kernel was told */
	struct buf out;       /* what the system did not take yet */
	struct buf rest;      /* the begin of an answer */
	int64_t *starts_ns;   /* a ring of plan->pipeline: of each request in flight */
	size_t first, n;      /* of the ring */
	int64_t waiting_ns;   /* since when nothing came that was waited for */
	int64_t retry_at_ns;  /* down: when to connect again */
	int64_t retry_for_ns; /* the last pause */
};

int64_t bench_clock_ns(void);

/* 0 or ERR_NOMEM. */
int bench_conn_init(struct bench_conn *c, const struct bench_env *env) MUST_CHECK;

/* Closes; what is in flight counts as lost. */
void bench_conn_fini(struct bench_conn *c, struct bench_env *env);

/* Begins to connect. The state after it is CONNECTING, UP or again DOWN. */
void bench_conn_open(struct bench_conn *c, struct bench_env *env);

/* Something can be read or written, or failed. */
void bench_conn_on_event(struct bench_conn *c, struct bench_env *env, uint32_t events);

/* Adds a request that begins, or should have begun, at start_ns. Only when up, and with
 * less than plan->pipeline in flight. */
void bench_conn_push(struct bench_conn *c, struct bench_env *env, int64_t start_ns);

/* Sends what was pushed. */
void bench_conn_flush(struct bench_conn *c, struct bench_env *env);

/* Gives it up when it has waited for too long. */
void bench_conn_expire(struct bench_conn *c, struct bench_env *env);

#endif
