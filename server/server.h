/* SPDX-License-Identifier: ISC */
/*
 * rationd as a whole: configuration, policies, tokens, the embedded store's memory,
 * workers. server_open() is the order of birth, server_close() the same backwards.
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
	SERVER_DRAINING, /* in a stage of it */
	SERVER_STOPPED
};

struct server {
	const struct config *config; /* borrowed */
	struct documents documents;  /* the last that the workers were given */
	struct in_force in_force;    /* by what all of them judge */
	struct memory *memory;       /* NULL with Redis */
	struct memory *local;        /* with Redis: for while it is away; else NULL */
	struct redis_url redis;      /* valid when memory is NULL */
	struct tls_source *tls;      /* of the workers' stores; empty without TLS */
	struct deny_epoch denials;   /* of the workers' stores */
	int64_t started_us;

	struct crew crew;
	struct signals_handler signals;
	struct loop_timer *drain_timer;
	struct log_writer *decision_log; /* NULL without --decision-log */
	struct reload *reload;
	enum server_phase phase;
	enum drain_stage stage;
	int exit_code;
	bool is_open; /* in_force */
	bool cut;     /* what is not answered yet makes it EXIT_CODE_CUT */
};

/*
 * Reads everything that the configuration names: policies, tokens, the store's URL;
 * binds nothing. Returns EXIT_CODE_OK or the exit code, with all faults added to
 * `errors`. Call server_close() after success and failure alike.
 */
int server_load(
    struct server *s, const struct config *config, struct errlist *errors) MUST_CHECK;

/* One line per policy and one for the rest, for --check-config. */
void server_summary(const struct server *s, struct buf *out);

/* Listens and serves until a signal ends it; faults are logged. Returns the exit
 * code. */
int server_run(struct server *s) MUST_CHECK;

void server_close(struct server *s);

#endif
