/* SPDX-License-Identifier: ISC */
/*
 * Takes of one batch that ask for the very same: same counters, same limits, same costs.
 * The first of them leads the others, which wait in a list behind it, and the call has
 * one entry for all. The script grants as many as fit, in the order of the list.
 */
#ifndef REDIS_TWINS_H
#define REDIS_TWINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* So many that are led are worth it: in all, and one in so many takes. Below that they
 * are charged one by one (measured with scripts/bench: a few of 512 cost Redis more
 * together than apart). */
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

/* Before the first of n takes, all of one shape. */
void twins_start(struct twins *twins, size_t n);

/* The leader of a take, which only differs from it in what it asks for; NULL when it
 * leads itself. A few that are hard to place lead themselves, too. */
struct take *twins_find(struct twins *twins, struct take *take);

/* The take is of no list; from now on it is one of the leader's. */
void twins_join(struct take *leader, struct take *take);

/* Makes of a granted take, whose counts are those after the last grant, what it was
 * answered when `later` grants of the same were still to come. */
void twins_rewind(struct take *take, int64_t later);

#endif
