/* SPDX-License-Identifier: ISC */
/*
 * Memory for very many small things of a few sizes, which come and go one by one. Things
 * of one size share slabs of SLAB_BYTES, without a header each; an empty slab can then
 * serve any other size, or go back to the system.
 *
 * Why not malloc: when ten million things have gone, glibc's merges all the pieces in one
 * go, at a time of its own choosing: that kept a worker busy for two seconds, and gave
 * nothing back to the system. Here no call does more than the work for one slab, and
 * giving back many is left to slabs_trim(), as many at a time as the caller has time for.
 *
 * Threads: none of its own; whoever holds the lock of what it belongs to.
 */
#ifndef STORE_SLAB_H
#define STORE_SLAB_H

#include <stddef.h>

#include "base/attr.h"

#define SLAB_BYTES 65536
/* Larger things come from malloc, which does not hoard such sizes. */
#define SLAB_THING_MAX 256
#define SLAB_GRAIN 8

struct slab;

/* All zero: empty. */
struct slabs {
	/* The slabs with room, by size: [i] has things of up to (i + 1) * SLAB_GRAIN bytes. */
	struct slab *open[SLAB_THING_MAX / SLAB_GRAIN];
	struct slab *spare; /* the empty ones, a list */
	size_t n_spare;
};

/* Memory that is not cleared, aligned to SLAB_GRAIN. NULL when out of memory. */
void *slab_get(struct slabs *slabs, size_t bytes) MUST_CHECK;
/* `bytes` must be what slab_get() was given. */
void slab_put(struct slabs *slabs, void *thing, size_t bytes);

/* Gives up to `most` empty slabs back to the system; returns how many. Keeps one, with
 * only a page of it resident: a thing that comes and goes should not cost a system call
 * each time. */
size_t slabs_trim(struct slabs *slabs, size_t most);

/* Everything must have been put back before. */
void slabs_fini(struct slabs *slabs);

/* Zeroed memory straight from the system, in whole pages: it costs nothing until it is
 * touched, and goes back when it is freed. NULL when out of memory. */
void *pages_get(size_t bytes) MUST_CHECK;
void pages_put(void *pages, size_t bytes); /* NULL is fine */

#endif
