/* SPDX-License-Identifier: ISC */
/*
 * One connection to a Redis that takes charges: it connects, introduces itself (AUTH,
 * SELECT, version and role, scripts), carries commands and brings their replies in order,
 * and when it is lost, connects again with growing, jittered pauses, for ever. The pauses
 * begin anew once a connection has proved itself: by an answer of use, or by a second in
 * which it was ready. A server that only introduces itself well proves nothing.
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

/* A connection that owes a reply for so long may be lost: its owner makes another. */
#define LINK_STALL_US INT64_C(3000000)

struct link;

struct link_ops {
	/* Commands may be sent from now on. NULL: nobody asks. */
	void (*on_ready)(void *arg);
	/* The connection is gone; every reply owed was told as NULL before. */
	void (*on_down)(void *arg);
	/* An attempt to connect has failed, or the server is a replica; the next one
	 * follows after a pause. NULL: nobody asks. */
	void (*on_missed)(void *arg);
};

struct link_options {
	struct loop *loop;
	const struct redis_url *url;   /* borrowed: who we are, database, TLS */
	struct tls_source *tls;        /* borrowed; NULL without TLS */
	const struct address *address; /* copied: of this server; NULL: not known yet,
	                                  link_move() tells */
	const struct link_ops *ops;
	void *arg;
	struct metric_cells *cells;
	bool
	    asks_only; /* takes no charges: neither its role nor the scripts matter, and
	                   its owner tells people what is wrong */
};

/* `reply` is a view, valid during the call; NULL: lost, its fate is unknown. */
typedef void link_reply_fn(void *arg, const struct reply *reply);

/* Begins to connect at the next turn. NULL when out of memory. */
struct link *link_new(const struct link_options *options) MUST_CHECK;
/* Tells every reply owed as NULL, but not on_down. NULL is fine. */
void link_free(struct link *link);

/* The server is at another address from now on: what is there is dropped, and the new
 * one is tried at once. Nothing happens if it is the same. */
void link_move(struct link *link, const struct address *address);

/* Why the address is not known yet; nothing once it is. */
void link_explain(struct link *link, enum store_fault fault, const char *why);

/* clock_mono_us() when something last came from the server. */
int64_t link_heard_us(const struct link *link);

const struct address *link_address(const struct link *link);

/* The server's address, for people; a view. */
const char *link_shown(const struct link *link);

bool link_ready(const struct link *link);

/* A call was answered as it should be. */
void link_prove(struct link *link);

/* Whether the connection before this one was given up since the server, which calls itself
 * a master, takes no writes. Answers prove nothing then – it may well answer what only
 * reads –, a second does. Commands may be sent meanwhile. */
bool link_doubted(const struct link *link);

/* Why it is not ready, or doubted: the last fault and its text. */
enum store_fault link_fault(const struct link *link, const char **text);

/* The SHA-1 of take.lua as this server gave it; only while ready. */
struct slice link_take_sha(const struct link *link);

/* The same of settle.lua. */
struct slice link_settle_sha(const struct link *link);

/* Where to append one whole command, followed by link_expect(); only while ready. */
struct buf *link_out(struct link *link);

/* The reply of the command just appended goes to fn(arg). 0, or ERR_NOMEM, after which
 * the link is dropped (replies would go to the wrong owners). */
int link_expect(struct link *link, link_reply_fn *fn, void *arg) MUST_CHECK;

/* Appends "SCRIPT LOAD take.lua" and expects its reply itself. */
int link_load_take(struct link *link) MUST_CHECK;

/* Gives the connection up and connects again. */
void link_drop(struct link *link, enum store_fault fault, const char *why);

/* Appends one command of n words. */
void link_add_command(struct buf *out, const struct slice *words, size_t n);

#endif
