/* SPDX-License-Identifier: ISC */
/*
 * One thread of a load: its connections, and when each of them is to send.
 *
 * Threads: bench_worker_run() is the thread's body. Meanwhile others may read the atomic
 * members and use the gate; everything else only after the thread has ended.
 */
#ifndef CLI_BENCH_WORKER_H
#define CLI_BENCH_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench_conn.h"

enum bench_stop {
	STOP_NOT,
	STOP_SENDING, /* wait for what is in flight */
	STOP_NOW
};

/* What the threads of a run share. */
struct bench_gate {
	pthread_mutex_t mutex;
	pthread_cond_t opened;
	int64_t expected, ready; /* threads; under the mutex, like `open` */
	bool open;
	atomic_int stop;           /* enum bench_stop */
	atomic_uint_fast64_t n_up; /* connections that could be made before the start */
	int stop_fd;               /* an eventfd: readable from the first stop on */
	int done_fd;               /* an eventfd: one for each thread that has ended */
};

struct bench_worker {
	struct bench_env env;
	struct bench_gate *gate;
	struct bench_conn *conns;
	size_t n_conns;
	int64_t index; /* among plan->threads */

	/* what is to be done */
	int64_t quota;    /* of measured requests; -1: until end_ns */
	int64_t begin_ns; /* of the load, warm-up first */
	int64_t end_ns;
	uint64_t issued; /* by the rate */
	bool ended;      /* nothing more is sent */
	bool gave_up;
	int64_t nothing_up_ns; /* since when there is no connection */
	int timer_fd;
	int64_t timer_ns;                    /* for when it was last set; 0: never */
	struct bench_conn *line, **line_end; /* by the rate: those with room, in turn */
	struct bench_conn **unsent; /* by the rate: to be flushed; room for n_conns */

	/* for the progress */
	atomic_uint_fast64_t answers, errors;
};

/* The share of thread `index`. 0 or ERR_NOMEM, ERR_IO with errno. To be given to
 * bench_worker_fini() in all cases. */
int bench_worker_init(struct bench_worker *w, const struct bench_plan *plan,
    struct bench_gate *gate, int64_t index) MUST_CHECK;
void bench_worker_fini(struct bench_worker *w);

/* The thread's body; arg is a struct bench_worker. Returns NULL. */
void *bench_worker_run(void *arg);

/* Stops all threads, as urgently as the more urgent of two calls says. */
void bench_gate_stop(struct bench_gate *gate, enum bench_stop how);

#endif
