/* SPDX-License-Identifier: ISC */
/*
 * A node from within. node.c has its birth, its death and what a store asks of it;
 * node_send.c what gathers and leaves, node_answer.c what comes back, node_watch.c what
 * time and the connection bring.
 */
#ifndef REDIS_NODE_INNER_H
#define REDIS_NODE_INNER_H

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
	/* Where the link owes replies for long nobody can tell a frozen server, which
	 * will give them, from a lost connection, which never will. So another one is
	 * made beside it, and takes its place if it gets through first. */
	struct link *relief; /* NULL: none is wanted */
	struct trips *trips; /* settlements and resets */
	struct pace pace;
	struct admission admission;
	struct breaker breaker;
	char trouble[TAKE_DETAIL_MAX]; /* why the breaker is not closed */
	struct gather gather;
	struct batch **ring; /* calls in flight, in the order of sending */
	size_t head, n, cap;
	int64_t loaded_us;        /* when the script was last sent again */
	struct loop_timer *timer; /* the earliest deadline */
	int64_t timer_us;         /* when it will fire; INT64_MAX: not armed */
	uint64_t answered_turn;   /* of the loop: in which a reply last came */
	size_t answered;          /* how many takes the replies of that turn told */
	int64_t progress_us;      /* when a reply last came, or the first call went */
	struct batch_outcome outcome;
	uint32_t lane;        /* of the reply that is being read */
	struct take *expired; /* takes that left, before they are told */
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

/* node_send.c: a take that is in no batch joins the one that gathers. */
void node_gather(struct node *node, struct take *take, uint32_t lane);
/* Says that the next command is for a slot that is on its way to this node. False when
 * the link was dropped. */
bool node_send_asking(struct node *node);
/* Sends what may leave now. */
void node_send(struct node *node);

/* node_answer.c: the eldest call in flight, which is no more. */
struct batch *node_ring_pop(struct node *node);
void node_on_reply(void *arg, const struct reply *reply);
/* Of a batch: late charges are to be given back by this command. */
void node_on_late(void *arg, struct slice command);
/* Says what went wrong with a call, for those who can mend it. */
void node_tell_fault(struct node *node, enum store_fault fault, const char *detail);

/* node_watch.c: somebody's deadline. */
void node_arm(struct node *node, int64_t deadline_us);
void node_on_deadline(void *arg);
/* Those of a batch whose deadline is at or before until_us leave it; node_tell_expired()
 * tells them, once all batches were gone through: done may start other takes. Returns
 * the earliest deadline that is left. */
int64_t node_expire(struct node *node, struct batch *batch, int64_t until_us);
void node_tell_expired(struct node *node, enum store_fault fault);
void node_link_options(
    struct node *node, struct link_options *options, const struct address *address);
void node_log_breaker(struct node *node, const char *state);
/* Replies are owed for long: another connection is made. */
void node_seek_relief(struct node *node);
void node_drop_relief(struct node *node);
/* Ends all that gathers and is in flight. */
void node_fail_all(struct node *node, enum store_fault fault, const char *why);

#endif
