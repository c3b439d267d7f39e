/* SPDX-License-Identifier: ISC */
#include "base/map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"

struct map_slot {
	uint64_t hash;
	struct slice key;
	void *value; /* NULL: free */
};

#define MAP_FIRST 16

void
map_fini(struct map *m)
{
	free(m->slots);
	memset(m, 0, sizeof(*m));
}

/* The slot of the key, or the free one where it belongs. cap > n. */
static struct map_slot *
map_find(const struct map *m, struct slice key, uint64_t hash)
{
	size_t i = hash & (m->cap - 1);

	while (m->slots[i].value) {
		if (m->slots[i].hash == hash && slice_eq(m->slots[i].key, key))
			break;
		i = (i + 1) & (m->cap - 1);
	}
	return &m->slots[i];
}

static int
map_grow(struct map *m)
{
	struct map bigger = { .cap = m->cap ? m->cap * 2 : MAP_FIRST, .n = m->n };

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return ERR_NOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		const struct map_slot *old = &m->slots[i];

		if (old->value)
			*map_find(&bigger, old->key, old->hash) = *old;
	}
	free(m->slots);
	*m = bigger;
	return 0;
}

int
map_set(struct map *m, struct slice key, void *value)
{
	uint64_t hash = hash_bytes(key.ptr, key.len);
	struct map_slot *slot;

	if ((m->n + 1) * 4 > m->cap * 3 && map_grow(m) < 0)
		return ERR_NOMEM;
	slot = map_find(m, key, hash);
	if (!slot->value)
		m->n++;
	*slot = (struct map_slot){ hash, key, value };
	return 0;
}

void *
map_get(const struct map *m, struct slice key)
{
	if (m->n == 0)
		return NULL;
	return map_find(m, key, hash_bytes(key.ptr, key.len))->value;
}
