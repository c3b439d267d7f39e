/* SPDX-License-Identifier: ISC */
/*
 * A front: one protocol on its listeners = wire + net + check. Both protocols are a
 * struct front_protocol; whoever composes sees only this header.
 *
 * Answers leave in the order of the requests of a connection, however the checks end.
 * A client that goes away detaches from its checks; they finish without it. Every reset
 * is logged, with whoever asked for it and what became of it.
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

/* Of all fronts, those of other workers included: connections count against one maximum,
 * until their descriptors are closed, and each RESP one has an id of its own. */
struct front_quota {
	size_t max;
	_Atomic int64_t last_id;
};

/* Clients over the maximum that are told why at one time; others are just closed. */
#define FRONT_REFUSED_MAX 32

struct front_options {
	struct check_engine *engine;    /* borrowed */
	struct settler *settler;        /* borrowed */
	struct throttler *throttler;    /* borrowed; RESP only */
	struct metric_cells *cells;     /* borrowed */
	struct front_quota *quota;      /* borrowed */
	const struct token_set *tokens; /* borrowed; NULL: no token is asked for. Where
					   there are some, a listener that others can
					   reach asks for one, and every listener does
					   before what changes counters otherwise */
	size_t request_max;             /* bytes of one request's body or command */
	size_t pending_max;             /* unanswered requests of one connection; then
					   reading pauses */
	int64_t idle_ms;                /* 0: never */
	int64_t message_ms;             /* for one request to arrive, once begun */
	int64_t write_ms;               /* for a client that does not read */
	/*
	 * Asked of each connection that a listener of this front has accepted, while
	 * there is room for it: true when another front of the same protocol takes `fd`
	 * with front_admit(). NULL: this one takes all. `local`: as there.
	 */
	bool (*pass)(void *arg, int fd, bool local);
	void *pass_arg;
	/* HTTP: what else is served; ends with a row whose path is NULL. May be NULL.
	 */
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

/* Takes a connection that another front has accepted and passed on: a loop of the same
 * group, which met it (loop_meet_client()). `local`: it came over a listener that only
 * this host can reach. */
void front_admit(struct front *front, int fd, bool local);

/* Other tokens for those who show one from now on (RESP: who has shown one on his
 * connection need not again). Borrowed; NULL where it was NULL, and only there. */
void front_set_tokens(struct front *front, const struct token_set *tokens);

/* Lets in who has connected already, as far as the kernel's queues tell. */
void front_accept_waiting(struct front *front);

/* From now on each answer is the last of its connection, unless another request has
 * arrived behind it; HTTP says so. Goes on accepting. */
void front_part(struct front *front);

/* Stops accepting; connections close when all their requests are answered: idle ones
 * now, HTTP with "Connection: close". */
void front_drain(struct front *front);
size_t front_connections(const struct front *front);

/* Closes everything at once. NULL is fine. */
void front_free(struct front *front);

#endif
