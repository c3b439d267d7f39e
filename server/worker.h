/* SPDX-License-Identifier: ISC */
/*
 * One thread's worth of rationd: a loop, and what lives on it. worker_open() is the
 * order of birth, worker_close() the same list backwards.
 *
 * Threads: all in the thread that runs the loop, but for worker_open() and
 * worker_close(), while it does not run, and worker_connections(), in any.
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

/* What all workers share; borrowed, must outlive them; but policies and tokens only
 * worker_open(), which refs them. */
struct worker_shared {
	const struct config *config;
	struct policy_set *policies;
	struct memory *memory;             /* the embedded store; else NULL */
	struct memory *local;              /* with Redis: counts while it is away */
	const struct redis_url *redis;     /* the Redis store; else NULL */
	struct tls_source *tls;            /* over TLS; else NULL */
	struct deny_epoch *denials;        /* of the Redis stores */
	struct token_set *tokens;          /* NULL without */
	struct metric_cells *const *cells; /* one block per worker */
	size_t n_cells;
	int64_t started_us; /* clock_real_us() at the process's start */
	struct in_force *in_force;
	struct loop_group *group; /* of all workers' loops */
	struct front_quota *quota;
	/* Asked by the first worker, which alone listens: see struct front_options;
	 * `front` is for worker_admit(). NULL: there are no others. */
	bool (*pass)(void *arg, size_t front, int fd, bool local);
	void *pass_arg;
	struct log_writer *decision_log; /* NULL: decisions are not logged */
};

/* How a daemon leaves, step by step; all of it is in docs/configuration.md, "Drain". */
enum drain_stage {
	DRAIN_UNREADY, /* says so; HTTP connections close behind their answers */
	DRAIN_PARTING, /* so do RESP's */
	DRAIN_CLOSING, /* no more accepting; what is under way is answered */
	DRAIN_STAGES
};

struct worker;

/* What a front's calls bring back. */
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
	struct store *local;              /* with Redis; else NULL */
	struct metric_cells *local_cells; /* what it counts, which nobody shows */
	struct loop_timer *tending; /* of what is embedded, by one worker; else NULL */
	struct decision_log *decisions; /* NULL: not logged */
	struct check_engine *engine;
	struct throttler *throttler;
	struct settler *settler;
	struct admin *admin;
	struct front *fronts[2]; /* HTTP, RESP; NULL when switched off */
	struct worker_door doors[2];
	struct token_set *tokens; /* ref'd; those that the fronts have */

	bool started;
	bool ready;                 /* as last logged */
	void (*on_turn)(void *arg); /* the server's, at the end of each turn */
	void *on_turn_arg;
};

/*
 * Builds everything; the first worker listens. 0; ERR_NOMEM; or what front_listen() gives, with a
 * text that names the address. Call worker_close() after success and failure alike.
 */
int worker_open(struct worker *w, size_t index, const struct worker_shared *shared,
    struct errinfo *ei) MUST_CHECK;
void worker_close(struct worker *w);

/* Swaps what the next checks and callers are judged by; refs both parts. Checks under way
 * keep the policies that they began with. */
void worker_take(struct worker *w, const struct documents *documents);

/* Takes a connection that the first worker has accepted: see front_admit(). */
void worker_admit(struct worker *w, size_t front, int fd, bool local);

/* Logs whether charges can be taken; from then on every change of it is logged. */
void worker_note_start(struct worker *w);

/* Lets in who has connected already, and passes them on. */
void worker_accept_waiting(struct worker *w);
/* Enters a stage; each comes at most once, and in order. */
void worker_drain(struct worker *w, enum drain_stage stage);
/* Whether nothing is under way any more: no check, no connection, not even one that
 * is only being closed. */
bool worker_is_idle(const struct worker *w);
/* Whether an end now would cut something off: a client connection in use, a check, an
 * answer that is not written yet. */
bool worker_is_owing(const struct worker *w);
size_t worker_connections(const struct worker *w);

#endif
