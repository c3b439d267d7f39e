/* SPDX-License-Identifier: ISC */
/* A store over a Cluster from within. */
#ifndef REDIS_CLUSTER_INNER_H
#define REDIS_CLUSTER_INNER_H

#include "redis/members.h"
#include "redis/node.h"
#include "redis/redis_store.h"
#include "redis/scout.h"

struct cluster;

/* What waits to be asked for again. */
enum parked_kind { PARKED_TAKE, PARKED_SETTLE, PARKED_RESET, PARKED_ERRAND };

struct parked {
	enum parked_kind kind;
	void *what;
	int64_t due_us;
};

/* A command for one slot that is to be carried out in the end, whoever waits. */
struct errand {
	struct cluster *cluster;
	unsigned slot;
	unsigned moves;
	int64_t give_up_us;
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
	struct loop_timer *timer; /* the first that is due */
	int64_t timer_us;         /* when it fires; INT64_MAX: not armed */
	size_t n_errands;
	bool closing;
	struct loop_timer *look_timer; /* at the masters' health */
	int64_t look_us;               /* when it fires */
	bool told_unasked;             /* that a node does not tell of its health */
	bool troubled;          /* nobody could say where the slots are, so far */
	enum store_fault fault; /* why the slots are not known */
	char why[TAKE_DETAIL_MAX];
};

/* Asks for it at the node that serves the slot. */
void cluster_send_take(struct cluster *cluster, struct take *take);
void cluster_send_settle(struct cluster *cluster, struct settle *settle);
void cluster_send_reset(struct cluster *cluster, struct reset *reset);

/* Why what waited for this slot has not got there in time. */
enum store_fault cluster_late_fault(
    const struct cluster *cluster, unsigned slot, const char **why);

/* Where a redirected command goes, and by which lane; what it says of the slot is
 * remembered. NULL: after a pause to whoever serves the slot then. */
struct member *cluster_follow(struct cluster *cluster, const struct redirect *where,
    unsigned slot, unsigned moves, uint32_t *lane) MUST_CHECK;

unsigned cluster_take_slot(const struct take *take);

/* --- waiting: redis/cluster_park.c --- */

/* Asks for it once more, after a pause that grows with `moves`, or when its deadline
 * has come: then it fails. False: out of memory. */
bool cluster_park(struct cluster *cluster, enum parked_kind kind, void *what,
    unsigned moves, int64_t deadline_us) MUST_CHECK;

/* A loop timer's, of the cluster. */
void cluster_on_timer(void *arg);
/* Ends all, with closing set, and frees the list. */
void cluster_wake_all(struct cluster *cluster);

/* --- whether the masters serve: redis/cluster_health.c --- */

/* A loop timer's, of the cluster. */
void cluster_on_look(void *arg);
/* Something seems amiss. */
void cluster_look_soon(struct cluster *cluster);
/* Asks those that have not said yet whether they serve. */
void cluster_greet_new(struct cluster *cluster);
/* As `ready` of struct store_ops: with one master there are checks that it can answer. */
bool cluster_serves(const struct cluster *cluster, struct errinfo *why);

/* --- errands: redis/errand.c --- */

/* Copies the command. */
void errand_start(struct cluster *cluster, unsigned slot, struct slice command);
void errand_send(struct errand *errand);
void errand_free(struct errand *errand);

/* --- resets of keys in many slots: redis/cluster_reset.c --- */

/* Each slot's keys, or with `alone` each key, are a reset of its own. */
void cluster_split_reset(struct cluster *cluster, struct reset *reset, bool alone);

#endif
