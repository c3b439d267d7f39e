/* SPDX-License-Identifier: ISC */
/*
 * One thread's worth of rationd: a loop, and what lives on it. worker_open() is the
 * order of birth, worker_close() the same list backwards.
 *
 * Threads: all but worker_open() in the thread that runs the loop.
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
#include "ops/admin.h"
#include "ops/config.h"
#include "ops/decision_log.h"
#include "policy/set.h"
#include "redis/url.h"
#include "store/memory.h"
#include "wire/token.h"

/* What all workers share; borrowed, must outlive them. */
struct worker_shared {
	const struct config *config;
	struct policy_set *policies;
	struct memory *memory;             /* the embedded store; else NULL */
	const struct redis_url *redis;     /* the Redis store; else NULL */
	const struct token_set *tokens;    /* NULL without */
	struct metric_cells *const *cells; /* one block per worker */
	size_t n_cells;
	int64_t started_us; /* clock_real_us() at the process's start */
	const struct reload_report *reload;
	struct log_writer *decision_log; /* NULL: decisions are not logged */
};

struct worker {
	size_t index;
	struct worker_shared shared;
	struct metric_cells *cells; /* borrowed: shared.cells[index] */
	struct front_quota quota;

	struct loop *loop;
	struct store *store;
	struct loop_timer
	    *tending; /* of the embedded store, by one worker; else NULL */
	struct decision_log *decisions; /* NULL: not logged */
	struct check_engine *engine;
	struct throttler *throttler;
	struct settler *settler;
	struct admin *admin;
	struct front *fronts[2]; /* HTTP, RESP; NULL when switched off */

	bool started;
	bool ready;                 /* as last logged */
	void (*on_turn)(void *arg); /* the server's, at the end of each turn */
	void *on_turn_arg;
};

/*
 * Builds everything, and listens. 0; ERR_NOMEM; or what front_listen() gives, with a
 * text that names the address. Call worker_close() after success and failure alike.
 */
int worker_open(struct worker *w, size_t index, const struct worker_shared *shared,
    struct errinfo *ei) MUST_CHECK;
void worker_close(struct worker *w);

/* Swaps what the next checks and callers are judged by. The tokens are borrowed and must
 * outlive the worker or the next swap; the policies are ref'd. */
void worker_set_policies(struct worker *w, struct policy_set *policies);
void worker_set_tokens(struct worker *w, const struct token_set *tokens);

/* Logs whether charges can be taken; from then on every change of it is logged. */
void worker_note_start(struct worker *w);

/* Stops accepting; what is under way is answered. */
void worker_drain(struct worker *w);
/* Whether nothing is under way any more: no check, no connection, not even one that
 * is only being closed. */
bool worker_is_idle(const struct worker *w);
/* Whether an end now would cut something off: a client connection in use, a check, an
 * answer that is not written yet. */
bool worker_is_owing(const struct worker *w);
size_t worker_connections(const struct worker *w);

#endif
