/* SPDX-License-Identifier: ISC */
/*
 * The nodes of a Cluster that serve slots, as far as they are known, each with its
 * connection, and which node serves which slot. A node is made when it is first named;
 * when nothing names it any more, it is freed once it owes no more replies.
 *
 * Threads: belongs to its loop's thread.
 */
#ifndef REDIS_MEMBERS_H
#define REDIS_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "redis/node.h"
#include "redis/slots.h"

#define MEMBERS_MAX 1024

enum member_health {
	MEMBER_UNKNOWN, /* it has not said yet */
	MEMBER_SERVES,
	MEMBER_FAILS
};

/* Others read the fields; only this file changes those before `health`. */
struct member {
	struct members *of;
	struct node *node;
	size_t slots; /* how many it serves */
	bool was_up;  /* it was ready when it was last looked at, or ever */
	int64_t born_us;
	int64_t named_us; /* when it was last named */
	/* What it says about itself; redis/cluster_health's. */
	enum member_health health;
	char trouble[TAKE_DETAIL_MAX]; /* MEMBER_FAILS: why */
	bool told;                     /* that it fails was logged */
	bool asking;                   /* it owes an answer */
	int64_t asked_us;
	unsigned looks; /* how many looks have found that it owes one */
};

/* No node is known while all but the first three fields are zero. */
struct members {
	struct node_shared *shared;
	const struct node_ops *ops;
	void *arg; /* of the nodes' events */
	struct member *at[MEMBERS_MAX];
	size_t n;
	bool known; /* a useful answer to CLUSTER SLOTS has come */
	struct member *table[SLOTS];
	uint8_t
	    moving[SLOTS / 8]; /* bits: slots some of whose keys were met elsewhere */
};

void members_fini(struct members *members);

/* The node at that address, made if it is new; NULL when out of memory or of room. */
struct member *members_get(struct members *members, const struct address *address);

/* The slot is at that node from now on. */
void members_set_slot(struct members *members, unsigned slot, struct member *member);

/* Takes over the answer to CLUSTER SLOTS. False, and nothing changes, when it is no such
 * answer or names no master. It may free nodes, so not to be called from a callback of
 * theirs. */
bool members_read(struct members *members, const struct reply *reply,
    const struct address *asked) MUST_CHECK;

/* How many nodes serve slots; *down: how many of those are not ready. */
size_t members_count(const struct members *members, size_t *down);

static inline bool
members_is_moving(const struct members *members, unsigned slot)
{
	return members->moving[slot / 8] >> slot % 8 & 1;
}

void members_set_moving(struct members *members, unsigned slot, bool moving);

#endif
