/* SPDX-License-Identifier: ISC */
/*
 * Memory for very many small things of a few sizes, which come and go one by one. Things
 * of one size stand together in a slab of SLAB_BYTES, without a header of their own; one
 * that is empty serves things of any size, or goes back to the system.
 *
 * Why not malloc: what ten million things leave behind when they go, glibc's puts
 * together in one go, whenever it pleases: that kept a worker for two seconds, and it
 * gave nothing back. Here no call does more than the work for one slab, and to give many
 * back is left to slabs_trim(), as many at a time as the caller has time for.
 *
 * Threads: none of its own; whoever holds the lock of what it belongs to.
 */
#ifndef STORE_SLAB_H
#define STORE_SLAB_H

#include <stddef.h>

#include "base/attr.h"

#define SLAB_BYTES 65536
/* Larger things are malloc's, which has no hoard of them. */
#define SLAB_THING_MAX 256
#define SLAB_GRAIN 8

struct slab;

/* All zero: empty. */
struct slabs {
	/* Of each size those with room; [i]: for things of up to (i + 1) * SLAB_GRAIN. */
	struct slab *open[SLAB_THING_MAX / SLAB_GRAIN];
	struct slab *spare; /* empty ones, over next */
	size_t n_spare;
};

/* Not cleared, aligned to SLAB_GRAIN. NULL when out of memory. */
void *slab_get(struct slabs *slabs, size_t bytes) MUST_CHECK;
/* `bytes` as when it was got. */
void slab_put(struct slabs *slabs, void *thing, size_t bytes);

/* Gives up to `most` empty slabs back to the system; how many. One is kept, but a page of
 * it: a thing that comes and goes should not have the system asked each time. */
size_t slabs_trim(struct slabs *slabs, size_t most);

/* Everything was put back before. */
void slabs_fini(struct slabs *slabs);

/* Zeroed memory straight from the system, in whole pages: touched only where it is used,
 * and gone when it is freed. NULL when out of memory. */
void *pages_get(size_t bytes) MUST_CHECK;
void pages_put(void *pages, size_t bytes); /* NULL is fine */

#endif
