/* SPDX-License-Identifier: ISC */
/*
 * Identical takes of one batch: same counters, same limits, same costs. The first of them
 * leads the others, which wait in a list behind it, and the call has one entry for all of
 * them. The script grants as many as fit, in the order of the list.
 */
#ifndef REDIS_TWINS_H
#define REDIS_TWINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* Twins are worth the trouble from this many takes that are led, and when they are at
 * least one in so many of the batch. Otherwise all are charged one by one (measured with
 * scripts/bench: a few twins among 512 cost Redis more together than apart). */
#define TWINS_MIN 4
#define TWINS_SHARE 8

#define TWINS_TABLE 1024 /* a power of two; twice as many as a batch has checks */

/* The leaders met so far. */
struct twins {
	struct {
		struct take *take; /* NULL: free */
		uint64_t hash;
	} slots[TWINS_TABLE];
	size_t mask;
};

/* Whether such takes may be led: they charge enforced limits, and leave no record. */
bool twins_allow(const struct take *take);

/* Call before the first of n takes, all of one shape. */
void twins_start(struct twins *twins, size_t n);

/* The leader of a take that twins_allow(), one identical to it; NULL: it leads itself, as
 * do a few that are hard to place in the table. */
struct take *twins_find(struct twins *twins, struct take *take);

/* Adds a take, which must be in no list, to those that the leader leads. */
void twins_join(struct take *leader, struct take *take);

/* Turns the counts of a granted take, which are those after the last grant, into those
 * after its own, when `later` grants were still to come. */
void twins_rewind(struct take *take, int64_t later);

#endif
