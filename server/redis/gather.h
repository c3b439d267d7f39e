/* SPDX-License-Identifier: ISC */
/*
 * The batches that gather for one node, in the order of their birth. Takes of one lane
 * may share a batch: over a Cluster that is a slot, since a script may touch one only;
 * a single server has one lane. Spare batches are kept for the next gathering.
 *
 * Threads: belongs to its node's.
 */
#ifndef REDIS_GATHER_H
#define REDIS_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "redis/batch.h"

/* A lane is a number below 2^16, with these flags. */
#define LANE_ASKING (UINT32_C(1) << 16) /* each call goes behind ASKING */
#define LANE_ALONE (UINT32_C(1) << 17)  /* each take has a batch of its own */

#define GATHER_BUCKETS 256

/* Open for its owner to keep; its fields are gather.c's. */
struct gather {
	struct twins *twins; /* borrowed */
	struct batch *first, *last;
	size_t n;                              /* how many gather */
	struct batch *buckets[GATHER_BUCKETS]; /* the one of a lane that may grow */
	struct batch *spare;
	size_t n_spare;
};

void gather_init(struct gather *gather, struct twins *twins);
/* No batch gathers any more; frees the spare ones. */
void gather_fini(struct gather *gather);

/* The lane's batch with room for the take, of less than keys_max keys; NULL when out of
 * memory. */
struct batch *gather_for(struct gather *gather, uint32_t lane, const struct take *take,
    size_t keys_max) MUST_CHECK;

/* The eldest; NULL when none gathers. It stays until gather_pop(). */
struct batch *gather_first(const struct gather *gather);
struct batch *gather_next(const struct batch *batch);
struct batch *gather_pop(struct gather *gather);

/* One that was popped comes back, as the eldest. */
void gather_push(struct gather *gather, struct batch *batch);

/* An empty one, of which nobody knows any more. */
void gather_put(struct gather *gather, struct batch *batch);

uint32_t gather_lane(const struct batch *batch);

#endif
