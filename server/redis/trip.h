/* SPDX-License-Identifier: ISC */
/*
 * Settlements and resets on their way to Redis, each a command of its own beside the
 * batches of takes. A settlement first reads its reservation's record, to learn the keys,
 * and then calls lua/settle.lua, which acts only if the record is still the same; if not,
 * it starts over.
 *
 * A trip that outlives its deadline goes on without its settlement or reset, until the
 * reply it is owed has come. What it did then stands: both are idempotent.
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
	/* The link has owed a reply for LINK_STALL_US, and nobody waits for it any more. */
	void (*on_stalled)(void *arg);
	/* A command that may have changed counters has ended; called before its `done`. */
	void (*on_made)(void *arg);
	/* What went wrong with a command, to be logged for people who can mend it. */
	void (*on_fault)(void *arg, enum store_fault fault, const char *detail);
	/* A command was refused with this error before it ran. True: the settlement or
	 * reset, if not NULL, is the owner's again. False: it fails. */
	bool (*on_refused)(
	    void *arg, struct settle *settle, struct reset *reset, struct slice text);
	/* The record names parts that have to be settled first: the settlement is the
	 * owner's again, who sends it again with parts_done. NULL: parts are left out. */
	void (*on_parts)(void *arg, struct settle *settle, const struct record *record);
	void *arg;
};

/* NULL when out of memory. */
struct trips *trips_new(const struct trips_options *options) MUST_CHECK;
/* After link_free(), which has ended every trip. NULL is fine. */
void trips_free(struct trips *trips);

/* Uses another link from now on. The caller then drops the one before, which ends the
 * trips on it. */
void trips_set_link(struct trips *trips, struct link *link);

/* `done` may run before the return. asking: ASKING is sent before each command. */
void trips_settle(struct trips *trips, struct settle *settle, bool asking);
void trips_reset(struct trips *trips, struct reset *reset, bool asking);

bool trips_are_idle(const struct trips *trips);

#endif
