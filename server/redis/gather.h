/* SPDX-License-Identifier: ISC */
/*
 * The batches that gather for one node, oldest first. Takes of one lane may share a
 * batch: over a Cluster a lane is a slot, since a script may touch only one; a single
 * server has one lane. Empty batches are kept for re-use.
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
#define LANE_ASKING (UINT32_C(1) << 16) /* ASKING is sent before each call */
#define LANE_ALONE (UINT32_C(1) << 17)  /* each take gets a batch of its own */

#define GATHER_BUCKETS 256

/* Open so that its owner can embed it; the fields are private to gather.c. */
struct gather {
	struct twins *twins; /* borrowed */
	struct batch *first, *last;
	size_t n; /* how many batches gather */
	struct batch
	    *buckets[GATHER_BUCKETS]; /* by lane: the batch that may still grow */
	struct batch *spare;
	size_t n_spare;
};

void gather_init(struct gather *gather, struct twins *twins);
/* Frees the spare batches; none may be gathering. */
void gather_fini(struct gather *gather);

/* The lane's batch, one that has fewer than keys_max keys and room for the take; NULL
 * when out of memory. */
struct batch *gather_for(struct gather *gather, uint32_t lane, const struct take *take,
    size_t keys_max) MUST_CHECK;

/* The oldest batch, NULL when none gathers; the next one; gather_pop() takes out the
 * oldest. */
struct batch *gather_first(const struct gather *gather);
struct batch *gather_next(const struct batch *batch);
struct batch *gather_pop(struct gather *gather);

/* Puts a popped batch back, as the oldest. */
void gather_push(struct gather *gather, struct batch *batch);

/* Takes an empty batch that nobody else refers to, for re-use. */
void gather_put(struct gather *gather, struct batch *batch);

uint32_t gather_lane(const struct batch *batch);

#endif
