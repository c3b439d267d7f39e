/* SPDX-License-Identifier: ISC */
/*
 * rationd as a whole: configuration, policies, tokens, the embedded store's memory,
 * workers. server_load() and server_run() build it in order, server_close() takes it
 * down in the reverse order.
 *
 * Threads: all functions in the main thread, which is also the head worker's.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "crew.h"
#include "ops/config.h"
#include "ops/documents.h"
#include "ops/in_force.h"
#include "ops/reload.h"
#include "ops/signals.h"

enum server_phase {
	SERVER_SERVING,
	SERVER_DRAINING, /* `stage` says how far */
	SERVER_STOPPED
};

struct server {
	const struct config *config; /* borrowed */
	struct documents documents;  /* the latest that the workers were given */
	struct in_force in_force;    /* what all of them judge by */
	struct memory *memory;       /* the embedded store; NULL with Redis */
	struct memory *local;      /* with Redis: counts while it is away; else NULL */
	struct redis_url redis;    /* valid when memory is NULL */
	struct tls_source *tls;    /* for the workers' stores; empty without TLS */
	struct deny_epoch denials; /* shared by the workers' stores */
	int64_t started_us;        /* clock_real_us() at the process's start */

	struct crew crew;
	struct signals_handler signals;
	struct loop_timer *drain_timer;
	struct log_writer *decision_log; /* NULL without --decision-log */
	struct reload *reload;
	enum server_phase phase;
	enum drain_stage stage;
	int exit_code;
	bool is_open; /* in_force is initialised */
	bool cut;     /* anything still unanswered makes the exit code EXIT_CODE_CUT */
};

/*
 * Reads everything that the configuration names: policies, tokens, the store's URL;
 * binds nothing. Borrows `config` until server_close(). Returns EXIT_CODE_OK, or the
 * exit code to leave with, with all faults added to `errors`. Call server_close() after
 * success and failure alike.
 */
int server_load(
    struct server *s, const struct config *config, struct errlist *errors) MUST_CHECK;

/* One line per policy and one for the rest, for --check-config. */
void server_summary(const struct server *s, struct buf *out);

/* Listens and serves until a signal ends it. Logs what goes wrong; returns the exit
 * code. */
int server_run(struct server *s) MUST_CHECK;

/* Frees everything; a zeroed server is fine. */
void server_close(struct server *s);

#endif
