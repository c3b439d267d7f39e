/* SPDX-License-Identifier: ISC */
/*
 * Settlements and resets on their way to Redis, each a command of its own beside the
 * batches of takes. A settlement reads the record of its reservation, for the keys it
 * names, and then calls lua/settle.lua, which acts only if the record is the same still;
 * else it begins anew.
 *
 * A trip that outlives its deadline goes on without its settlement or reset, until the
 * reply it is owed has come; what that did stands, since it may be asked for again.
 *
 * Threads: belongs to its loop's thread.
 */
#ifndef REDIS_TRIP_H
#define REDIS_TRIP_H

#include <stdbool.h>

#include "base/attr.h"
#include "net/loop.h"
#include "redis/link.h"
#include "store/store.h"

struct record;
struct trips;

struct trips_options {
	struct loop *loop;
	struct store *store; /* for failures */
	struct link *link;
	size_t max; /* trips under way; one more is FAULT_OVERLOAD */
	/* The link has owed a reply for LINK_STALL_US, and nobody waits for it. */
	void (*on_stalled)(void *arg);
	/* A command that may have changed counters is over; before it is told. */
	void (*on_made)(void *arg);
	/* What went wrong with a command, for those who can mend it. */
	void (*on_fault)(void *arg, enum store_fault fault, const char *detail);
	/* A command was refused before it ran, with that error. True: what was asked for,
	 * if anybody still asks, is the owner's again; false: it fails. */
	bool (*on_refused)(
	    void *arg, struct settle *settle, struct reset *reset, struct slice text);
	/* The record names others, which are to be settled before it: the settlement is
	 * the owner's again, who comes back with parts_done. NULL: they are left out. */
	void (*on_parts)(void *arg, struct settle *settle, const struct record *record);
	void *arg;
};

/* NULL when out of memory. */
struct trips *trips_new(const struct trips_options *options) MUST_CHECK;
/* After link_free(), which has ended every trip. NULL is fine. */
void trips_free(struct trips *trips);

/* Another link from now on; the one before is to be dropped at once, by which its trips
 * end. */
void trips_set_link(struct trips *trips, struct link *link);

/* Done may run before the return. asking: each command goes behind ASKING. */
void trips_settle(struct trips *trips, struct settle *settle, bool asking);
void trips_reset(struct trips *trips, struct reset *reset, bool asking);

bool trips_are_idle(const struct trips *trips);

#endif
