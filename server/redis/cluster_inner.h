/* SPDX-License-Identifier: ISC */
/* The inside of a store over a Cluster: what cluster_*.c, errand.c and span*.c share. */
#ifndef REDIS_CLUSTER_INNER_H
#define REDIS_CLUSTER_INNER_H

#include "redis/members.h"
#include "redis/node.h"
#include "redis/redis_store.h"
#include "redis/scout.h"

struct cluster;

/* Something that waits to be sent again. */
enum parked_kind { PARKED_TAKE, PARKED_SETTLE, PARKED_RESET, PARKED_ERRAND };

struct parked {
	enum parked_kind kind;
	void *what;
	int64_t due_us;
};

/* A command for one slot for which nobody waits, but which has to be carried out in the
 * end: it gives charges back. */
struct errand {
	struct cluster *cluster;
	unsigned slot;
	unsigned moves;     /* how often it was sent elsewhere */
	int64_t give_up_us; /* clock_mono_us() */
	struct buf command;
};

struct cluster {
	struct store store;
	struct redis_url url;
	struct node_shared shared;
	struct members members;
	struct scout *scout;
	struct parked *parked;
	size_t n_parked, parked_cap;
	struct loop_timer *timer; /* for the first of `parked` that is due */
	int64_t timer_us;         /* when it fires; INT64_MAX: not armed */
	size_t n_errands;
	bool closing;
	struct loop_timer *look_timer; /* for the next look at the masters' health */
	int64_t look_us;               /* when it fires */
	bool
	    told_unasked; /* it was logged that a node does not tell about its health */
	bool troubled;    /* nobody has been able to say where the slots are */
	enum store_fault fault; /* with `why`: why the slots are not known */
	char why[TAKE_DETAIL_MAX];
};

/* Send it to the node that serves its slot. */
void cluster_send_take(struct cluster *cluster, struct take *take);
void cluster_send_settle(struct cluster *cluster, struct settle *settle);
void cluster_send_reset(struct cluster *cluster, struct reset *reset);

/* Why something that waited for this slot did not get there in time. */
enum store_fault cluster_late_fault(
    const struct cluster *cluster, unsigned slot, const char **why);

/* Where a redirected command is to go, and by which lane; remembers what the redirect
 * says about the slot. NULL: it should be parked, and then go to whoever serves the slot
 * by that time. */
struct member *cluster_follow(struct cluster *cluster, const struct redirect *where,
    unsigned slot, unsigned moves, uint32_t *lane) MUST_CHECK;

unsigned cluster_take_slot(const struct take *take);

/* --- waiting: redis/cluster_park.c --- */

/* Sends it again after a pause that grows with `moves`; if its deadline comes first, it
 * fails. False: out of memory. */
bool cluster_park(struct cluster *cluster, enum parked_kind kind, void *what,
    unsigned moves, int64_t deadline_us) MUST_CHECK;

/* For cluster->timer; `arg` is the cluster. */
void cluster_on_timer(void *arg);
/* For the end, with `closing` set: fails everything that is parked, frees the list. */
void cluster_wake_all(struct cluster *cluster);

/* --- whether the masters serve: redis/cluster_health.c --- */

/* For cluster->look_timer; `arg` is the cluster. */
void cluster_on_look(void *arg);
/* Something seems wrong: looks earlier than planned. */
void cluster_look_soon(struct cluster *cluster);
/* Asks the masters that have not yet said whether they serve. */
void cluster_greet_new(struct cluster *cluster);
/* The `ready` of struct store_ops: one master that serves is enough for some checks. */
bool cluster_serves(const struct cluster *cluster, struct errinfo *why);

/* --- errands: redis/errand.c --- */

/* Sends a command to the slot's node, again and again if need be. Copies it. */
void errand_start(struct cluster *cluster, unsigned slot, struct slice command);
void errand_send(struct errand *errand);

/* --- resets of keys in many slots: redis/cluster_reset.c --- */

/* Splits a reset into one for each slot, or with `alone` for each key. */
void cluster_split_reset(struct cluster *cluster, struct reset *reset, bool alone);

#endif
