/* SPDX-License-Identifier: ISC */
/*
 * A front: one protocol on its listeners = wire + net + check. Each protocol is a struct
 * front_protocol; worker.c, which creates fronts, sees only this header.
 *
 * A connection's answers leave in the order of its requests, whichever check ends first.
 * A client that goes away detaches from its checks; they finish without it. Every reset
 * is logged, with who asked for it and what came of it.
 * Threads: a front belongs to its loop's thread.
 */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/metric.h"
#include "check/check.h"
#include "check/settlement.h"
#include "check/throttle.h"
#include "net/address.h"
#include "net/loop.h"
#include "wire/http.h"
#include "wire/token.h"

struct front;
struct front_protocol;

extern const struct front_protocol front_http;
extern const struct front_protocol front_resp;

/* What all fronts of all workers share: the maximum of connections, which count until
 * their descriptors are closed, and the ids of RESP connections. */
struct front_quota {
	size_t max;
	_Atomic int64_t last_id; /* of CLIENT ID */
};

/* How many clients over the maximum may be being told so at one time; beyond that they
 * are closed without a word. */
#define FRONT_REFUSED_MAX 32

struct front_options {
	struct check_engine *engine;    /* borrowed */
	struct settler *settler;        /* borrowed */
	struct throttler *throttler;    /* borrowed; RESP only */
	struct metric_cells *cells;     /* borrowed */
	struct front_quota *quota;      /* borrowed */
	const struct token_set *tokens; /* borrowed; NULL: none are asked for. Else a
					   listener that other hosts can reach asks for
					   one before anything, and every listener
					   before commit, rollback, renew and reset */
	size_t request_max;             /* bytes of one request's body or command */
	size_t pending_max;             /* unanswered requests of one connection; then
					   reading pauses */
	int64_t idle_ms;                /* 0: never */
	int64_t message_ms;             /* for one request to arrive, once begun */
	int64_t write_ms;               /* for a client that does not read */
	/*
	 * Called with each connection that a listener of this front has accepted and for
	 * which there is room. True: another front of the same protocol takes `fd`, with
	 * front_admit(). False: this front keeps it. NULL: it keeps all. `local` is as
	 * in front_admit().
	 */
	bool (*pass)(void *arg, int fd, bool local);
	void *pass_arg;
	/* HTTP: further paths to serve; ends with a row whose path is NULL. May be NULL. */
	const struct http_endpoint *endpoints;
	/* RESP: appends the text of INFO ("# Server\r\n..."). May be NULL. */
	void (*info)(void *arg, struct slice section, struct buf *out);
	void *info_arg;
};

/* `options` is copied. NULL when out of memory. */
struct front *front_new(struct loop *loop, const struct front_protocol *protocol,
    const struct front_options *options) MUST_CHECK;

/* Adds a listener. 0, ERR_INUSE, ERR_IO. */
int front_listen(
    struct front *front, const struct address *address, struct errinfo *ei) MUST_CHECK;
/* The i-th listener's bound address, NULL past the last. */
const char *front_address(const struct front *front, size_t i);

/* Takes a connection that a front of another loop of the group accepted and passed on;
 * call loop_meet_client() first. `local`: it came over a listener that only this host
 * can reach. */
void front_admit(struct front *front, int fd, bool local);

/* Swaps the tokens that are valid from now on (a RESP connection that has shown one
 * need not show one again). Borrowed. NULL if and only if it was NULL before. */
void front_set_tokens(struct front *front, const struct token_set *tokens);

/* Accepts the clients that wait in the listeners' queues in the kernel. */
void front_accept_waiting(struct front *front);

/* From now on each answer is the last of its connection, unless another request has
 * arrived behind it; HTTP says so with "Connection: close". Goes on accepting. */
void front_part(struct front *front);

/* Stops accepting. Connections close once all requests are answered that have arrived on
 * them by now, idle ones at once; the last HTTP answer says "Connection: close". */
void front_drain(struct front *front);
/* Connections that it has now. */
size_t front_connections(const struct front *front);

/* Closes everything at once. NULL is fine. */
void front_free(struct front *front);

#endif
