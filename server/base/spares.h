/* SPDX-License-Identifier: ISC */
/*
 * A free list: unused objects of one kind, kept so that the next ones cost no malloc.
 * Such an object begins with a struct spare, which is this file's while the object is
 * kept.
 *
 * Ownership: kept objects belong to the list; one that was got belongs to the caller
 * until it is put back. Threads: not shared.
 */
#ifndef BASE_SPARES_H
#define BASE_SPARES_H

#include <stddef.h>

#include "base/attr.h"

struct spare {
	struct spare *next;
};

struct spares {
	size_t size; /* bytes of an object */
	size_t max;  /* how many are kept; what is put back beyond that is freed */
	void (*free)(void *object);
	/* private; 0 at first */
	struct spare *first;
	size_t n;
};

/* Returns an object that was put back, in the state it was in then, or else a new,
 * zeroed one. NULL: out of memory. */
void *spares_get(struct spares *spares) MUST_CHECK;
void spares_put(struct spares *spares, void *object);
/* Frees the kept objects. */
void spares_fini(struct spares *spares);

#endif
