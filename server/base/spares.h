/* SPDX-License-Identifier: ISC */
/*
 * Objects of one kind that nobody uses just now, kept so that the next ones need no
 * memory of the system. Such an object begins with a struct spare, which is this file's
 * while the object is kept.
 *
 * Ownership: what is kept is the spares'; what was got is the caller's until it is put
 * back. Threads: not shared.
 */
#ifndef BASE_SPARES_H
#define BASE_SPARES_H

#include <stddef.h>

#include "base/attr.h"

struct spare {
	struct spare *next;
};

struct spares {
	size_t size; /* of an object */
	size_t max;  /* how many are kept; more are freed */
	void (*free)(void *object);
	/* its own; 0 at first */
	struct spare *first;
	size_t n;
};

/* One that was put back, as it was then, or else a new one, all of it 0. NULL: out of
 * memory. */
void *spares_get(struct spares *spares) MUST_CHECK;
void spares_put(struct spares *spares, void *object);
/* Frees all that are kept. */
void spares_fini(struct spares *spares);

#endif
