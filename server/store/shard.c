/* SPDX-License-Identifier: ISC */
#include "store/shard.h"

#include <stdlib.h>
#include <string.h>

#define SHARD_FIRST 16
/* Not made smaller, however empty: as large as the largest take asks for, or its tables
 * would be built anew twice each time. */
#define SHARD_SMALL 256
#define SHARD_CAP_MAX (UINT32_C(1) << 30)
#define KEY_LEN_MAX ((UINT32_C(1) << 30) - 1)

/* Never 0, which says that a slot is free. */
static uint32_t
tag_of(uint64_t hash)
{
	uint32_t tag = (uint32_t)hash;

	return tag ? tag : 1;
}

static void
entry_free(struct shard_entry *entry)
{
	if (entry->kind != ENTRY_COUNTER)
		free(entry_block(entry));
	free(entry);
}

void
shard_fini(struct shard *s)
{
	for (uint32_t i = 0; i < s->cap; i++)
		if (s->tags[i])
			entry_free(s->entries[i]);
	free(s->entries);
	memset(s, 0, sizeof(*s));
}

/* The slot of the key, or cap. */
static uint32_t
find_slot(const struct shard *s, enum entry_kind kind, struct slice key, uint32_t tag)
{
	uint32_t mask = s->cap - 1;

	if (s->cap == 0)
		return 0;
	for (uint32_t i = tag & mask; s->tags[i]; i = (i + 1) & mask) {
		const struct shard_entry *e = s->entries[i];

		if (s->tags[i] == tag && e->key_len == key.len && e->kind == kind &&
		    memcmp(e->key, key.ptr, key.len) == 0)
			return i;
	}
	return s->cap;
}

struct shard_entry *
shard_find(const struct shard *s, enum entry_kind kind, struct slice key, uint64_t hash)
{
	uint32_t i = find_slot(s, kind, key, tag_of(hash));

	return i < s->cap ? s->entries[i] : NULL;
}

/* Entries and tags stand in one block, the wider first. */
static int
table_alloc(struct shard *s, uint32_t cap)
{
	size_t wide = sizeof(*s->entries);
	char *block = calloc(cap, wide + sizeof(*s->tags));

	if (!block)
		return -1;
	s->entries = (struct shard_entry **)(void *)block;
	s->tags = (uint32_t *)(void *)(block + cap * wide);
	s->cap = cap;
	return 0;
}

/* There is a free slot. */
static void
put(struct shard *s, struct shard_entry *entry, uint32_t tag)
{
	uint32_t mask = s->cap - 1;
	uint32_t i = tag & mask;

	while (s->tags[i])
		i = (i + 1) & mask;
	s->tags[i] = tag;
	s->entries[i] = entry;
	s->n++;
}

static size_t
count_live(const struct shard *s, int64_t now_us)
{
	size_t live = 0;

	for (uint32_t i = 0; i < s->cap; i++)
		if (s->tags[i] && !limit_expired(&s->entries[i]->state, now_us))
			live++;
	return live;
}

/*
 * Builds the table anew for its live entries and `more`. At most five eighths full
 * then, while three quarters ask for the next time: between two rebuilds lies work in
 * proportion, however counters come and go.
 */
static size_t
rebuild(struct shard *s, size_t more, int64_t now_us)
{
	size_t want = count_live(s, now_us) + more;
	struct shard fresh = { 0 };
	size_t cap = SHARD_FIRST;
	size_t dropped;

	while (cap < SHARD_CAP_MAX && want * 8 > cap * 5)
		cap *= 2;
	if (table_alloc(&fresh, (uint32_t)cap) < 0)
		return 0;
	for (uint32_t i = 0; i < s->cap; i++) {
		if (!s->tags[i])
			continue;
		if (limit_expired(&s->entries[i]->state, now_us))
			entry_free(s->entries[i]);
		else
			put(&fresh, s->entries[i], s->tags[i]);
	}
	dropped = s->n - fresh.n;
	free(s->entries);
	*s = fresh;
	return dropped;
}

size_t
shard_make_room(struct shard *s, size_t more, int64_t now_us)
{
	if (LIKELY((s->n + more) * 4 <= (size_t)s->cap * 3))
		return 0;
	return rebuild(s, more, now_us);
}

struct shard_entry *
shard_insert(struct shard *s, enum entry_kind kind, struct slice key, uint64_t hash)
{
	struct shard_entry *entry;

	/* One slot stays free, at which every search ends. */
	if (s->n + 1 >= s->cap || key.len > KEY_LEN_MAX)
		return NULL;
	entry = malloc(sizeof(*entry) + key.len);
	if (!entry)
		return NULL;
	memset(entry, 0, sizeof(*entry));
	entry->kind = kind;
	entry->key_len = key.len & KEY_LEN_MAX;
	memcpy(entry->key, key.ptr, key.len);
	put(s, entry, tag_of(hash));
	return entry;
}

/* Empties slot i and moves up what only stands behind it because it was taken. */
static void
remove_slot(struct shard *s, uint32_t i)
{
	uint32_t mask = s->cap - 1;

	entry_free(s->entries[i]);
	s->n--;
	for (uint32_t k = (i + 1) & mask; s->tags[k]; k = (k + 1) & mask) {
		/* How far k is from home, against how far it is from the gap. */
		if (((k - s->tags[k]) & mask) < ((k - i) & mask))
			continue;
		s->tags[i] = s->tags[k];
		s->entries[i] = s->entries[k];
		i = k;
	}
	s->tags[i] = 0;
}

void
shard_remove(struct shard *s, struct shard_entry *entry, uint64_t hash)
{
	uint32_t mask = s->cap - 1;
	uint32_t i = tag_of(hash) & mask;

	while (s->entries[i] != entry || !s->tags[i])
		i = (i + 1) & mask;
	remove_slot(s, i);
}

size_t
shard_sweep(struct shard *s, size_t slots, int64_t now_us)
{
	uint32_t mask = s->cap - 1;
	size_t freed = 0;

	for (size_t looked = 0; looked < slots && looked < s->cap; looked++) {
		uint32_t i = s->hand & mask;

		/* A removal may put another entry here: look at the slot again. */
		if (s->tags[i] && limit_expired(&s->entries[i]->state, now_us)) {
			remove_slot(s, i);
			freed++;
		} else {
			s->hand = i + 1;
		}
	}
	if (s->cap > SHARD_SMALL && (size_t)s->n * 8 < s->cap)
		freed += rebuild(s, 0, now_us);
	return freed;
}
