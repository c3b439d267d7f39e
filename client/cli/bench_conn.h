/* SPDX-License-Identifier: ISC */
/*
 * One connection of a load: requests out, answers in, and what became of each. It has no
 * callbacks: whoever drives it looks at its state afterwards. Lost requests are never sent
 * again.
 *
 * Ownership: the caller owns the memory of both structs; a connection owns its fd.
 * Threads: all connections of an env belong to one thread.
 * Time: nanoseconds of bench_clock_ns(); env->now_ns is updated by whoever waits, and here
 * after each receive.
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
	CONN_CONNECTING, /* until the system has connected it */
	CONN_GREETING,   /* the token was sent */
	CONN_UP
};

/* What the connections of one thread share. */
struct bench_env {
	const struct bench_plan *plan;
	int epoll_fd;
	char *in; /* received bytes, of one connection at a time */
	struct bench_pick pick;
	int64_t measure_from_ns; /* requests that start earlier are warm-up */
	struct bench_stats warmup, measured;
	struct bench_trouble trouble;
	int64_t now_ns;
	int64_t last_answer_ns;
	size_t in_flight; /* of all connections */
	size_t n_up;
	/* Why the load cannot go on (the token is wrong, or the other side speaks another
	 * protocol); "" while it can. */
	char failure[STATS_ERROR_MAX];
};

struct bench_conn {
	enum conn_state state;
	int fd; /* -1 when down */
	bool was_up, failed_once;
	bool in_line; /* with `next`: for whoever drives it */
	struct bench_conn *next;
	uint32_t watched;     /* EPOLL bits that the kernel was given */
	struct buf out;       /* what the system has not taken yet */
	struct buf rest;      /* the beginning of an answer */
	int64_t *starts_ns;   /* a ring of plan->pipeline: when each in flight began */
	size_t first, n;      /* of the ring */
	int64_t waiting_ns;   /* since when it has waited without receiving anything */
	int64_t retry_at_ns;  /* down: when to connect again */
	int64_t retry_for_ns; /* the last pause */
};

int64_t bench_clock_ns(void);

/* 0 or ERR_NOMEM. */
int bench_conn_init(struct bench_conn *c, const struct bench_env *env) MUST_CHECK;

/* Closes; what is in flight counts as lost. */
void bench_conn_fini(struct bench_conn *c, struct bench_env *env);

/* Begins to connect. Afterwards the state is CONNECTING, UP, or DOWN again. */
void bench_conn_open(struct bench_conn *c, struct bench_env *env);

/* Something can be read or written, or has failed. */
void bench_conn_on_event(struct bench_conn *c, struct bench_env *env, uint32_t events);

/* Adds a request that begins, or should have begun, at start_ns. Only while UP, and with
 * fewer than plan->pipeline in flight. */
void bench_conn_push(struct bench_conn *c, struct bench_env *env, int64_t start_ns);

/* Sends what was pushed. */
void bench_conn_flush(struct bench_conn *c, struct bench_env *env);

/* Gives the connection up if it has waited for too long. */
void bench_conn_expire(struct bench_conn *c, struct bench_env *env);

#endif
