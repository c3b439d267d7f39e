/* SPDX-License-Identifier: ISC */
/*
 * One thread's worth of rationd: a loop, and what lives on it. worker_open() builds it
 * in order, worker_close() takes it down in the reverse order.
 *
 * Threads: everything in the thread that runs the loop, except worker_open() and
 * worker_close(), which may run elsewhere while the loop does not, and
 * worker_connections(), which any thread may call.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/metric.h"
#include "check/check.h"
#include "check/settlement.h"
#include "front/front.h"
#include "net/loop.h"
#include "net/tls.h"
#include "ops/admin.h"
#include "ops/config.h"
#include "ops/decision_log.h"
#include "ops/documents.h"
#include "ops/in_force.h"
#include "policy/set.h"
#include "redis/url.h"
#include "store/deny_cache.h"
#include "store/memory.h"
#include "wire/token.h"

/* What all workers share. Borrowed, and must outlive them; except `policies` and
 * `tokens`, which worker_open() refs and which need only last until it returns. */
struct worker_shared {
	const struct config *config;
	struct policy_set *policies;
	struct memory *memory;             /* the embedded store; NULL with Redis */
	struct memory *local;              /* with Redis: counts while it is away */
	const struct redis_url *redis;     /* NULL with the embedded store */
	struct tls_source *tls;            /* for Redis over TLS; else NULL */
	struct deny_epoch *denials;        /* of the Redis stores */
	struct token_set *tokens;          /* NULL: no tokens are asked for */
	struct metric_cells *const *cells; /* one block per worker */
	size_t n_cells;
	int64_t started_us; /* clock_real_us() at the process's start */
	struct in_force *in_force;
	struct loop_group *group;  /* of all workers' loops */
	struct front_quota *quota; /* of all workers' fronts */
	/* Called by the first worker, the only one that listens, to pass a connection on
	 * to another: as `pass` in struct front_options. The other worker gives `front` to
	 * worker_admit(). NULL: there are no other workers. */
	bool (*pass)(void *arg, size_t front, int fd, bool local);
	void *pass_arg;
	struct log_writer *decision_log; /* NULL: decisions are not logged */
};

/* How a daemon leaves, step by step; docs/configuration.md, "Drain", tells the whole. */
enum drain_stage {
	DRAIN_UNREADY, /* /readyz says so; HTTP connections close after their answers */
	DRAIN_PARTING, /* RESP connections do, too */
	DRAIN_CLOSING, /* accepts no more; answers what is under way */
	DRAIN_STAGES
};

struct worker;

/* The argument of a front's `pass`: whose front it is, and which. */
struct worker_door {
	struct worker *worker;
	size_t front;
};

struct worker {
	size_t index;
	struct worker_shared shared;
	struct metric_cells *cells; /* borrowed: shared.cells[index] */

	struct loop *loop;
	struct store *store;
	struct store *local; /* with Redis; else NULL */
	struct metric_cells
	    *local_cells;           /* local's own, which no metric shows: its takes
					     were counted by `store` already */
	struct loop_timer *tending; /* has the embedded store forget what has expired;
				       in one worker only, else NULL */
	struct decision_log *decisions; /* NULL: not logged */
	struct check_engine *engine;
	struct throttler *throttler;
	struct settler *settler;
	struct admin *admin;
	struct front *fronts[2]; /* HTTP, RESP; NULL when switched off */
	struct worker_door doors[2];
	struct token_set *tokens; /* ref'd; those that the fronts have */

	bool started;               /* worker_note_start() was called */
	bool ready;                 /* as it was last logged */
	void (*on_turn)(void *arg); /* the server's, at the end of each turn */
	void *on_turn_arg;
};

/*
 * Builds everything; the first worker also listens. 0, ERR_NOMEM, or what front_listen()
 * returned, with a text that names the address. Call worker_close() after success and
 * failure alike.
 */
int worker_open(struct worker *w, size_t index, const struct worker_shared *shared,
    struct errinfo *ei) MUST_CHECK;
void worker_close(struct worker *w);

/* Swaps the policies and tokens that the next checks and callers are judged by; refs
 * both. Checks under way keep the policies that they began with. */
void worker_take(struct worker *w, const struct documents *documents);

/* Takes a connection that the first worker has accepted: see front_admit(). */
void worker_admit(struct worker *w, size_t front, int fd, bool local);

/* Logs whether charges can be taken, and from then on every change of that. */
void worker_note_start(struct worker *w);

/* Accepts the clients that wait in the kernel's queues, and passes them on. */
void worker_accept_waiting(struct worker *w);
/* Enters a stage; each comes at most once, and in order. */
void worker_drain(struct worker *w, enum drain_stage stage);
/* Whether nothing is under way any more: no check, no connection, not even one that
 * is just being closed. */
bool worker_is_idle(const struct worker *w);
/* Whether ending now would cut something off: a client connection in use, a check, an
 * answer that is not written yet. */
bool worker_is_owing(const struct worker *w);
/* Clients of this worker, including those that are on their way to it. */
size_t worker_connections(const struct worker *w);

#endif
