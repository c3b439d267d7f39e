/* SPDX-License-Identifier: ISC */
/*
 * A table from byte strings to pointers: open addressing, linear probing, keyed
 * hash, never more than three quarters full. Nothing can be removed.
 *
 * Ownership: borrows keys and values; both must outlive the map.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

struct map_slot;

struct map {
	struct map_slot *slots;
	size_t cap; /* a power of two, or 0 */
	size_t n;
};

/* A zeroed struct map is a valid empty one. */
void map_fini(struct map *m);

/* Sets the value of a key, new or present; `value` is not NULL. 0 or ERR_NOMEM. */
int map_set(struct map *m, struct slice key, void *value) MUST_CHECK;

/* NULL when there is none. */
void *map_get(const struct map *m, struct slice key);

#endif
