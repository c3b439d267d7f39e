/* SPDX-License-Identifier: ISC */
/*
 * Asks a Cluster which node serves which slots: on a connection of its own, of any node,
 * master or replica, that answers – one after another, the slow refresh included, so that
 * one that was left behind does not mislead for long.
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
	/* What `asked` answered to CLUSTER SLOTS, an error too. Whether it was of use; if
	 * not, another one is asked. It may free nodes. */
	bool (*on_answer)(
	    void *arg, const struct reply *reply, const struct address *asked);
	/* Nobody answers, for this reason. */
	void (*on_trouble)(void *arg, enum store_fault fault, const char *why);
};

/* All is borrowed. Begins at the next turn. NULL when out of memory. */
struct scout *scout_new(const struct node_shared *shared, const struct scout_ops *ops,
    void *arg) MUST_CHECK;
void scout_free(struct scout *scout); /* NULL is fine */

/* What is known is out of date: asks soon, a few times a second at most. */
void scout_hurry(struct scout *scout);

#endif
