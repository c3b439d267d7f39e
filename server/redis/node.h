/* SPDX-License-Identifier: ISC */
/*
 * One Redis that holds counters, as the store uses it: its connection, the batches that
 * gather for it or are in flight, and the settlements and resets beside them. Checks that
 * arrive while earlier ones are in flight are gathered and sent as one script call; at
 * low load a check is sent at the end of the turn that brought it.
 *
 * A store has one node, or, over a Cluster, one for each master.
 *
 * Threads: belongs to its loop's thread. No callback may free the node that calls it.
 */
#ifndef REDIS_NODE_H
#define REDIS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "net/loop.h"
#include "net/tls.h"
#include "redis/gather.h"
#include "redis/link.h"
#include "redis/redirect.h"
#include "redis/twins.h"
#include "redis/url.h"
#include "store/deny_cache.h"
#include "store/store.h"

struct node;
struct record;

/* What all nodes of one store share; the store owns it. */
struct node_shared {
	struct loop *loop;
	struct store *store;          /* for store_fail(), and its metric cells */
	const struct redis_url *url;  /* user, password, database; borrowed */
	struct tls_source *tls;       /* borrowed; NULL without TLS */
	size_t waiting_max;           /* takes of all nodes; more is FAULT_OVERLOAD */
	size_t waiting;               /* takes that are not done yet */
	struct deny_cache *denials;   /* NULL: refusals are not remembered */
	struct deny_epoch *epoch;     /* with denials; else NULL */
	int64_t told_us[FAULT_COUNT]; /* when each fault was last logged; 0: never */
	struct twins twins;           /* scratch space of all batches */
};

/* What a node of a Cluster refused before it ran, so that it may be sent elsewhere: a list
 * of takes over `next`, or one of the other two. */
struct refused {
	struct take *takes;
	struct settle *settle;
	struct reset *reset;
};

struct node_ops {
	/* Each of these may be NULL. */
	/* The node can be asked from now on. */
	void (*on_up)(void *arg);
	/* The node takes no more charges. */
	void (*on_down)(void *arg);
	/* The node could not be reached, or is a replica. */
	void (*on_missed)(void *arg);
	/* Everything in *refused is the owner's again. NULL: it fails, as it must with a
	 * single server. */
	void (*on_refused)(
	    void *arg, const struct refused *refused, const struct redirect *where);
	/* Has to send a command, a view, that gives back what a late check was charged; all
	 * its keys are in the lane's slot. NULL: the node sends it itself. */
	void (*on_late)(void *arg, uint32_t lane, struct slice command);
	/* The settlement has parts in other slots: as in struct trips_options. */
	void (*on_parts)(void *arg, struct settle *settle, const struct record *record);
	/* It answered CLUSTERDOWN. */
	void (*on_cluster_down)(void *arg);
};

/* `shared`, `ops` and `arg` are borrowed, `address` is copied. Begins to connect in the
 * next turn of the loop, or, where `address` is NULL, once node_move() tells it, and tries
 * for ever. NULL when out of memory. */
struct node *node_new(struct node_shared *shared, const struct address *address,
    const struct node_ops *ops, void *arg) MUST_CHECK;
/* Fails everything under way with FAULT_DISCONNECTED. NULL is fine. */
void node_free(struct node *node);

/* The server is at another address from now on. */
void node_move(struct node *node, const struct address *address);
/* Sets why the address is not known; does nothing once it is. */
void node_explain(struct node *node, enum store_fault fault, const char *why);

bool node_ready(const struct node *node);
/* Why it is not ready: the last fault and its text. */
enum store_fault node_fault(const struct node *node, const char **text);

/* As in struct store_ops. `lane` (redis/gather) is where all keys are; for a settlement or
 * reset only its LANE_ASKING matters. While the node is ready, `done` runs before
 * node_take() returns only when the take is known to be refused, or there are too many. */
void node_take(struct node *node, struct take *take, uint32_t lane);
/* See store_stand(). */
void node_stand(struct take *take);
void node_settle(struct node *node, struct settle *settle, uint32_t lane);
void node_reset(struct node *node, struct reset *reset, uint32_t lane);
/* Whether node_flush() would send anything; whether that is so little that a second look
 * for more is worthwhile (store_wants_more()). */
bool node_may_send(const struct node *node);
bool node_wants_more(const struct node *node);
void node_flush(struct node *node);

/* Sends one whole command. False: it was not sent, and fn is not called. */
bool node_call(struct node *node, uint32_t lane, struct slice command,
    link_reply_fn *fn, void *arg) MUST_CHECK;
/* A command of node_call() is not answered: connects again, unless anything else is under
 * way, whose deadlines see to that. */
void node_give_up(struct node *node, const char *why);
/* A command of node_call() has changed counters: refusals from before are forgotten. */
void node_forget_denials(struct node *node);

/* Whether nothing is gathered or in flight, except commands of node_call(). */
bool node_is_idle(const struct node *node);
const struct address *node_address(const struct node *node);
/* As link_heard_us() of its connection. */
int64_t node_heard_us(const struct node *node);

#endif
