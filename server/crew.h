/* SPDX-License-Identifier: ISC */
/*
 * All workers. The first is the head: it runs in the caller's thread, listens for all of
 * them, and hands each connection to the worker that has the fewest. The others run in
 * threads of their own, which take no signals. Threads talk to each other by letters
 * alone (mailbox.h); what else they share is in struct worker_shared.
 *
 * Threads: all functions in the head's.
 */
#ifndef SERVER_CREW_H
#define SERVER_CREW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "ops/documents.h"
#include "worker.h"

/* Called in the head's thread, from its loop. */
struct crew_events {
	void (*on_taken)(void *arg);  /* every worker has what crew_take() gave */
	void (*on_turn)(void *arg);   /* a turn of the head's loop ends */
	void (*on_failed)(void *arg); /* another worker's loop has failed */
	void *arg;
};

struct member;

struct crew {
	size_t n;
	struct member **members;
	struct metric_cells **cells; /* one block for each, on cache lines of its own */
	struct loop_group group;
	struct front_quota quota;
	struct crew_events events;
	bool draining;   /* in DRAIN_CLOSING */
	size_t last;     /* the index of the worker that got the last connection */
	size_t n_taking; /* workers that have not taken the documents yet */
	size_t n_idle;   /* while draining: workers, besides the head, that are idle */
};

/* Makes room for n >= 1 workers. 0 or ERR_NOMEM. */
int crew_init(struct crew *crew, size_t n) MUST_CHECK;

/*
 * Builds all workers and binds the listeners; runs nothing. The crew's own part of
 * `shared` (cells, group, quota, pass) is filled in here. 0, or what worker_open()
 * returned.
 */
int crew_open(struct crew *crew, const struct worker_shared *shared,
    const struct crew_events *events, struct errinfo *ei) MUST_CHECK;

/* Starts the threads; the caller runs crew_loop(). 0, or ERR_NOMEM. */
int crew_start(struct crew *crew, struct errinfo *ei) MUST_CHECK;
/* The head's; NULL when it could not be opened. */
struct loop *crew_loop(const struct crew *crew);

/* Gives these documents to every worker, each of which takes them within a turn of its
 * loop. True: all have them. False: on_taken() will follow; do not call again before. */
bool crew_take(struct crew *crew, const struct documents *documents) MUST_CHECK;

/* Has every worker enter a stage. */
void crew_drain(struct crew *crew, enum drain_stage stage);
/* In DRAIN_CLOSING: whether nothing is under way any more. */
bool crew_is_idle(const struct crew *crew);
/* Clients of all workers. */
size_t crew_connections(const struct crew *crew);

/* Once the head's loop has ended: ends the other threads. Returns whether anything was
 * cut off. */
bool crew_stop(struct crew *crew);

/* Ends what still runs, and frees. A zeroed crew is fine. */
void crew_fini(struct crew *crew);

#endif
