/* SPDX-License-Identifier: ISC */
/*
 * The inside of a node. node.c creates and frees it and has what a store asks of it;
 * node_send.c gathers and sends, node_answer.c deals with replies, node_watch.c with
 * deadlines and the connection.
 */
#ifndef REDIS_NODE_INNER_H
#define REDIS_NODE_INNER_H

#include <sys/queue.h>

#include "redis/admission.h"
#include "redis/batch.h"
#include "redis/breaker.h"
#include "redis/link.h"
#include "redis/node.h"
#include "redis/pace.h"
#include "redis/trip.h"

struct node {
	struct node_shared *shared;
	const struct node_ops *ops;
	void *arg;
	struct link *link;
	/* When the link has owed replies for long, there is no telling whether the server
	 * is frozen, and will give them, or the connection is lost, and never will. So
	 * another one is made beside it, which takes its place if it gets through first. */
	struct link *relief; /* NULL: none is needed */
	struct trips *trips; /* settlements and resets */
	struct pace pace;
	struct admission admission;
	struct breaker breaker;
	char trouble[TAKE_DETAIL_MAX]; /* why the breaker is not closed */
	struct gather gather;
	struct batch **ring; /* calls in flight, in the order of sending */
	size_t head, n, cap;
	int64_t loaded_us;        /* when the script was last loaded again */
	struct loop_timer *timer; /* for the earliest deadline */
	int64_t timer_us;         /* when it will fire; INT64_MAX: not armed */
	uint64_t answered_turn;   /* the turn of the loop in which a reply last came */
	size_t answered;          /* how many takes that turn's replies answered */
	int64_t progress_us; /* when a reply last came, or the first call was sent */
	struct batch_outcome outcome;
	/* Give-backs that the server was too BUSY for. */
	SLIST_HEAD(returning_list, returning) put_off;
	uint32_t lane;        /* of the reply that is being read */
	struct take *expired; /* takes that have left and are still to be told */
};

static inline struct metric_cells *
node_cells(const struct node *node)
{
	return node->shared->store->cells;
}

static inline struct batch *
node_ring_at(const struct node *node, size_t i)
{
	return node->ring[(node->head + i) % node->cap];
}

static inline bool
lane_is_asking(uint32_t lane)
{
	return lane & LANE_ASKING;
}

/* node_send.c: adds a take that is in no batch to the one that gathers. */
void node_gather(struct node *node, struct take *take, uint32_t lane);
/* Sends ASKING: the next command is for a slot that is moving to this node. False when
 * the link was dropped. */
bool node_send_asking(struct node *node);
/* Sends what may leave now. */
void node_send(struct node *node);

/* node_answer.c: takes the oldest call in flight out of the ring. */
struct batch *node_ring_pop(struct node *node);
/* The link_reply_fn of a script call; `arg` is the node. */
void node_on_reply(void *arg, const struct reply *reply);
/* The on_late of struct batch_outcome; `arg` is the node. */
void node_on_late(void *arg, struct slice command);
/* The connection is given up, or the node is: drops the give-backs that were put off. What
 * they would give back stands, since another connection may be to a server that has lost
 * it, and then it would be taken from others. */
void node_drop_put_off(struct node *node);
/* Logs what went wrong with a call, for people who can mend it. */
void node_tell_fault(struct node *node, enum store_fault fault, const char *detail);

/* node_watch.c: makes sure that node_on_deadline() runs by then; clock_mono_us(). */
void node_arm(struct node *node, int64_t deadline_us);
void node_on_deadline(void *arg);
/* Takes out of the batch whatever has its deadline at or before until_us. Call
 * node_tell_expired() only after all batches were gone through, since `done` may start
 * other takes. Returns the earliest deadline that is left. */
int64_t node_expire(struct node *node, struct batch *batch, int64_t until_us);
void node_tell_expired(struct node *node, enum store_fault fault);
void node_link_options(
    struct node *node, struct link_options *options, const struct address *address);
void node_log_breaker(struct node *node, const char *state);
/* Replies have been owed for long: makes another connection. */
void node_seek_relief(struct node *node);
void node_drop_relief(struct node *node);
/* Fails everything that gathers or is in flight. */
void node_fail_all(struct node *node, enum store_fault fault, const char *why);

#endif
