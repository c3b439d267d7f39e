/* SPDX-License-Identifier: ISC */
/*
 * The nodes of a Cluster that serve slots, as far as they are known, each with its
 * connection, and which one serves which. A node is made when it is first named; when
 * nothing names it any more it is freed, after what it owes has come.
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

/* Read by others, changed here, but for the last ones. */
struct member {
	struct members *of;
	struct node *node;
	size_t slots; /* that it serves */
	bool was_up;  /* it was ready when it was last looked at, or ever */
	int64_t born_us;
	int64_t named_us; /* when it was last named */
	/* What it says of itself (redis/cluster_health). */
	enum member_health health;
	char trouble[TAKE_DETAIL_MAX]; /* MEMBER_FAILS: why */
	bool told;                     /* that it fails was logged */
	bool asking;                   /* an answer is owed */
	int64_t asked_us;
	unsigned looks; /* that found it owed */
};

/* All zero but for the first three: no node is known. */
struct members {
	struct node_shared *shared;
	const struct node_ops *ops;
	void *arg; /* of the nodes' events */
	struct member *at[MEMBERS_MAX];
	size_t n;
	bool known; /* an answer of use has come */
	struct member *table[SLOTS];
	uint8_t moving[SLOTS / 8]; /* slots of which a part was met elsewhere */
};

void members_fini(struct members *members);

/* The one at that address, made when it is new; NULL when out of memory or of room. */
struct member *members_get(struct members *members, const struct address *address);

/* One slot is at that node from now on. */
void members_set_slot(struct members *members, unsigned slot, struct member *member);

/* Takes over the answer to CLUSTER SLOTS; false when it is not one, or names no master,
 * and nothing changes. Frees nodes: not inside a callback of theirs. */
bool members_read(struct members *members, const struct reply *reply,
    const struct address *asked) MUST_CHECK;

/* How many serve slots, and how many of those are not ready. */
size_t members_count(const struct members *members, size_t *down);

static inline bool
members_is_moving(const struct members *members, unsigned slot)
{
	return members->moving[slot / 8] >> slot % 8 & 1;
}

void members_set_moving(struct members *members, unsigned slot, bool moving);

#endif
