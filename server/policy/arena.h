/* SPDX-License-Identifier: ISC */
/*
 * Memory that is handed out piece by piece and freed all at once: a policy has thousands
 * of small strings that live exactly as long as it does.
 *
 * Ownership: the arena owns every piece. Errors are sticky: once out of memory, `failed`
 * stays set.
 */
#ifndef POLICY_ARENA_H
#define POLICY_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

struct arena_chunk;

/* A zeroed struct arena is a valid empty one. */
struct arena {
	struct arena_chunk *newest;
	size_t left; /* bytes of the newest chunk that are not handed out yet */
	bool failed;
};

void arena_fini(struct arena *a);

/* `len` zero bytes, aligned for any type; NULL when out of memory. */
void *arena_get(struct arena *a, size_t len);

/* A copy of `text` with a final NUL; NULL when out of memory. */
char *arena_copy(struct arena *a, struct slice text);

#endif
