/* SPDX-License-Identifier: ISC */
/*
 * One connection to a Redis that takes charges. It connects, greets (AUTH, SELECT,
 * version and role, scripts), carries commands and brings back their replies in order.
 * When it is lost it connects again, for ever, after growing, jittered pauses. These
 * start again from the shortest once a connection has proved itself, by a useful answer
 * or by having been ready for a second: a server that merely greets well proves nothing.
 *
 * Threads: belongs to its loop's thread. Callbacks may call any function but
 * link_free().
 */
#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/metric.h"
#include "net/loop.h"
#include "net/tls.h"
#include "redis/reply.h"
#include "redis/url.h"
#include "store/store.h"

/* A connection that has owed a reply for this long may be lost: its owner then makes
 * another one beside it. */
#define LINK_STALL_US INT64_C(3000000)

struct link;

struct link_ops {
	/* Commands may be sent from now on. May be NULL. */
	void (*on_ready)(void *arg);
	/* The connection is gone; before, everyone who was owed a reply got NULL. */
	void (*on_down)(void *arg);
	/* An attempt to connect has failed, or the server is a replica; the next attempt
	 * follows after a pause. May be NULL. */
	void (*on_missed)(void *arg);
};

struct link_options {
	struct loop *loop;
	const struct redis_url *url;   /* borrowed: user, password, database, TLS */
	struct tls_source *tls;        /* borrowed; NULL without TLS */
	const struct address *address; /* the server's, copied; NULL: not known yet,
	                                  link_move() will tell */
	const struct link_ops *ops;
	void *arg;
	struct metric_cells *cells;
	bool
	    asks_only; /* it only asks questions and charges nothing: role and scripts do
			   not matter, and what is wrong is for its owner to log */
};

/* `reply` is a view, valid during the call; NULL: the connection was lost, and nobody
 * knows whether the command ran. */
typedef void link_reply_fn(void *arg, const struct reply *reply);

/* Begins to connect at the next turn. NULL when out of memory. */
struct link *link_new(const struct link_options *options) MUST_CHECK;
/* Everyone who is owed a reply gets NULL; on_down does not run. NULL is fine. */
void link_free(struct link *link);

/* The server is at another address from now on: drops the connection and tries the new
 * address at once. Does nothing if it is the same. */
void link_move(struct link *link, const struct address *address);

/* Sets why the address is not known; does nothing once it is. */
void link_explain(struct link *link, enum store_fault fault, const char *why);

/* clock_mono_us() when something last came from the server. */
int64_t link_heard_us(const struct link *link);

const struct address *link_address(const struct link *link);

/* The server's address as people should see it; a view. */
const char *link_shown(const struct link *link);

bool link_ready(const struct link *link);

/* A call was answered as it should be: that proves the connection. */
void link_prove(struct link *link);

/* Whether the connection before this one was given up because the server, which calls
 * itself a master, takes no writes. Then answers prove nothing (commands that only read
 * may succeed), only a second of being ready does. Commands may be sent meanwhile. */
bool link_doubted(const struct link *link);

/* Why it is not ready, or doubted: the last fault and its text. */
enum store_fault link_fault(const struct link *link, const char **text);

/* The SHA-1 of take.lua, as this server returned it; only while ready. */
struct slice link_take_sha(const struct link *link);

/* The same for settle.lua. */
struct slice link_settle_sha(const struct link *link);

/* Where to append one whole command; link_expect() must follow. Only while ready. */
struct buf *link_out(struct link *link);

/* Has the reply to the command just appended passed to fn(arg). 0, or ERR_NOMEM: then
 * the connection is dropped, since replies would reach the wrong owners. */
int link_expect(struct link *link, link_reply_fn *fn, void *arg) MUST_CHECK;

/* Appends a SCRIPT LOAD of take.lua, and expects its reply by itself. 0 or ERR_NOMEM. */
int link_load_take(struct link *link) MUST_CHECK;

/* Gives the connection up and connects again. */
void link_drop(struct link *link, enum store_fault fault, const char *why);

/* Appends one command of n words. */
void link_add_command(struct buf *out, const struct slice *words, size_t n);

#endif
