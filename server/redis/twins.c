/* SPDX-License-Identifier: ISC */
#include "redis/twins.h"

#include <string.h>

#include "redis/form.h"

/* How many slots of the table are looked at. Whoever chooses names may choose collisions;
 * those then cost bounded time, and their takes lead themselves. */
#define PROBES 8

bool
twins_allow(const struct take *take)
{
	if (take->ledger || take->look || take->n == 0)
		return false;
	for (size_t j = 0; j < take->n; j++) {
		const struct charge *c = &take->charges[j];

		if (c->shadow || c->cost == 0 ||
		    c->limit->algorithm == ALGORITHM_CONCURRENCY)
			return false;
	}
	return true;
}

void
twins_start(struct twins *twins, size_t n)
{
	size_t size = 16;

	while (size < 2 * n && size < TWINS_TABLE)
		size *= 2;
	twins->mask = size - 1;
	memset(twins->slots, 0, size * sizeof(twins->slots[0]));
}

static uint64_t
mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* Quick, not strong: keys are compared. */
static uint64_t
hash_keys(const struct take *take)
{
	uint64_t hash = 0;

	for (size_t j = 0; j < take->n; j++) {
		struct slice key = take->charges[j].key;
		uint64_t word;

		for (; key.len >= sizeof(word); key.len -= sizeof(word)) {
			memcpy(&word, key.ptr, sizeof(word));
			hash = mix(hash, word);
			key.ptr += sizeof(word);
		}
		word = key.len;
		memcpy((char *)&word + 1, key.ptr, key.len);
		hash = mix(hash, word);
	}
	return hash;
}

static bool
same_keys(const struct take *a, const struct take *b)
{
	for (size_t j = 0; j < a->n; j++)
		if (!slice_eq(a->charges[j].key, b->charges[j].key))
			return false;
	return true;
}

struct take *
twins_find(struct twins *twins, struct take *take)
{
	uint64_t hash = hash_keys(take);

	for (size_t i = 0; i < PROBES; i++) {
		size_t at = (hash + i) & twins->mask;

		if (!twins->slots[at].take) {
			twins->slots[at].take = take;
			twins->slots[at].hash = hash;
			return NULL;
		}
		if (twins->slots[at].hash == hash &&
		    same_keys(twins->slots[at].take, take))
			return twins->slots[at].take;
	}
	return NULL;
}

void
twins_join(struct take *leader, struct take *take)
{
	if (leader->n_twins++ == 0)
		leader->twins = take;
	else
		leader->last_twin->next = take;
	leader->last_twin = take;
	take->next = NULL;
}

void
twins_rewind(struct take *take, int64_t later)
{
	take->status = TAKE_ADMITTED;
	for (size_t j = 0; j < take->n; j++) {
		struct charge *c = &take->charges[j];

		c->lacked = false;
		c->count.used -= later * form_step(c->limit, c->cost);
	}
}
