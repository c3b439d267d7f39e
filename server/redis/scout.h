/* SPDX-License-Identifier: ISC */
/*
 * Asks a Cluster which node serves which slots, over a connection of its own to any node,
 * master or replica, that answers. Each question goes to another one, also in the slow
 * routine refresh, so that a node that was left behind does not mislead for long.
 *
 * Threads: belongs to its loop's thread.
 */
#ifndef REDIS_SCOUT_H
#define REDIS_SCOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "redis/node.h"

struct scout;

struct scout_ops {
	/* The address to ask next; `turn` counts up. */
	const struct address *(*address)(void *arg, unsigned turn);
	/* What `asked` answered to CLUSTER SLOTS, possibly an error. Returns whether it was
	 * useful; if not, another node is asked. It may free nodes. */
	bool (*on_answer)(
	    void *arg, const struct reply *reply, const struct address *asked);
	/* Nobody answers, for this reason. */
	void (*on_trouble)(void *arg, enum store_fault fault, const char *why);
};

/* Borrows its arguments. Begins in the next turn. NULL when out of memory. */
struct scout *scout_new(const struct node_shared *shared, const struct scout_ops *ops,
    void *arg) MUST_CHECK;
void scout_free(struct scout *scout); /* NULL is fine */

/* What is known is out of date: asks soon, but at most a few times a second. */
void scout_hurry(struct scout *scout);

#endif
