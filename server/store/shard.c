/* SPDX-License-Identifier: ISC */
#include "store/shard.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SHARD_FIRST 16
/* Tables of this size are not made smaller, however empty. It is what the largest take
 * asks for: else each such take would have two tables built. Up to this size everything is
 * moved at once. */
#define SHARD_SMALL 256
#define SHARD_CAP_MAX (UINT32_C(1) << 30)
#define KEY_LEN_MAX ((UINT32_C(1) << 30) - 1)
/* How many slots of the old table are emptied for each slot that is swept. That makes 16
 * with every take, so that the old table is empty after one take for every 16 of its slots.
 * Until then the new one has room for four entries per take; if that does not do, all that
 * is left is moved at once. */
#define MOVE_PER_SWEPT 4
/* For every so many slots that are swept one slab goes back to the system, and one at
 * least. */
#define SWEPT_PER_SLAB 256
/* Larger tables are whole pages from the system: memory from malloc may need clearing. */
#define TABLE_PAGES_BYTES 65536

/* Never 0, which means that a slot is free. */
static uint32_t
tag_of(uint64_t hash)
{
	uint32_t tag = (uint32_t)hash;

	return tag ? tag : 1;
}

static size_t
entry_bytes(size_t key_len)
{
	return offsetof(struct shard_entry, key) + key_len;
}

static void
entry_free(struct shard *s, struct shard_entry *entry)
{
	if (entry->kind != ENTRY_COUNTER)
		free(entry_block(entry));
	slab_put(&s->slabs, entry, entry_bytes(entry->key_len));
}

/* --- one table -------------------------------------------------------------------- */

static size_t
table_bytes(uint32_t cap)
{
	struct shard_table *t = NULL;

	return cap * (sizeof(*t->entries) + sizeof(*t->tags));
}

/* Entries and tags share one block, the wider ones first. */
static int
table_init(struct shard_table *t, uint32_t cap)
{
	size_t bytes = table_bytes(cap);
	char *block = bytes >= TABLE_PAGES_BYTES ? pages_get(bytes) : calloc(1, bytes);

	if (!block)
		return -1;
	t->entries = (struct shard_entry **)(void *)block;
	t->tags = (uint32_t *)(void *)(block + cap * sizeof(*t->entries));
	t->cap = cap;
	t->n = 0;
	return 0;
}

static void
table_fini(struct shard_table *t)
{
	if (table_bytes(t->cap) >= TABLE_PAGES_BYTES)
		pages_put(t->entries, table_bytes(t->cap));
	else
		free(t->entries);
	memset(t, 0, sizeof(*t));
}

/* The key's slot, or cap when it has none. */
static uint32_t
find_slot(
    const struct shard_table *t, enum entry_kind kind, struct slice key, uint32_t tag)
{
	uint32_t mask = t->cap - 1;

	if (t->n == 0)
		return t->cap;
	for (uint32_t i = tag & mask; t->tags[i]; i = (i + 1) & mask) {
		const struct shard_entry *e = t->entries[i];

		if (t->tags[i] == tag && e->key_len == key.len && e->kind == kind &&
		    memcmp(e->key, key.ptr, key.len) == 0)
			return i;
	}
	return t->cap;
}

/* There must be a free slot. */
static void
put(struct shard_table *t, struct shard_entry *entry, uint32_t tag)
{
	uint32_t mask = t->cap - 1;
	uint32_t i = tag & mask;

	while (t->tags[i])
		i = (i + 1) & mask;
	t->tags[i] = tag;
	t->entries[i] = entry;
	t->n++;
}

/* Empties slot i and moves up the entries that are behind it only because it was taken. */
static void
empty_slot(struct shard_table *t, uint32_t i)
{
	uint32_t mask = t->cap - 1;

	t->n--;
	for (uint32_t k = (i + 1) & mask; t->tags[k]; k = (k + 1) & mask) {
		/* How far k is from home, against how far it is from the gap. */
		if (((k - t->tags[k]) & mask) < ((k - i) & mask))
			continue;
		t->tags[i] = t->tags[k];
		t->entries[i] = t->entries[k];
		i = k;
	}
	t->tags[i] = 0;
}

static bool
take_out(struct shard_table *t, const struct shard_entry *entry, uint32_t tag)
{
	uint32_t mask = t->cap - 1;

	if (t->n == 0)
		return false;
	for (uint32_t i = tag & mask; t->tags[i]; i = (i + 1) & mask)
		if (t->entries[i] == entry) {
			empty_slot(t, i);
			return true;
		}
	return false;
}

/* --- two of them ------------------------------------------------------------------ */

/*
 * Empties `slots` more slots of the old table, and then on to the next free one: entries
 * without a gap between them have to move together, so that a search in what is left ends
 * where it should.
 */
static void
move(struct shard *s, size_t slots)
{
	struct shard_table *old = &s->old;

	while (
	    s->moved < old->cap && old->n > 0 && (slots > 0 || old->tags[s->moved])) {
		uint32_t i = s->moved++;

		slots -= slots > 0;
		if (!old->tags[i])
			continue;
		put(&s->table, old->entries[i], old->tags[i]);
		old->tags[i] = 0;
		old->n--;
	}
	if (old->n == 0)
		table_fini(old);
}

/* Begins to move into a table of `cap` slots, enough for all entries. */
static void
begin_move(struct shard *s, size_t cap)
{
	struct shard_table fresh;

	if (s->old.cap)
		move(s, s->old.cap);
	if (table_init(&fresh, (uint32_t)cap) < 0)
		return;
	s->old = s->table;
	s->table = fresh;
	s->moved = 0;
	if (s->old.cap <= SHARD_SMALL)
		move(s, SHARD_SMALL);
}

/*
 * A new table is at most five eighths full, and a larger one is made at three quarters: so
 * however counters come and go, there is work in proportion between two moves.
 */
static size_t
cap_for(size_t entries)
{
	size_t cap = SHARD_FIRST;

	while (cap < SHARD_CAP_MAX && entries * 8 > cap * 5)
		cap *= 2;
	return cap;
}

void
shard_make_room(struct shard *s, size_t more)
{
	size_t want = shard_count(s) + more;

	if (UNLIKELY(want * 4 > (size_t)s->table.cap * 3))
		begin_move(s, cap_for(want));
}

/* --- entries ---------------------------------------------------------------------- */

struct shard_entry *
shard_find(const struct shard *s, enum entry_kind kind, struct slice key, uint64_t hash)
{
	uint32_t tag = tag_of(hash);
	uint32_t i = find_slot(&s->table, kind, key, tag);

	if (i < s->table.cap)
		return s->table.entries[i];
	i = find_slot(&s->old, kind, key, tag);
	return i < s->old.cap ? s->old.entries[i] : NULL;
}

struct shard_entry *
shard_insert(struct shard *s, enum entry_kind kind, struct slice key, uint64_t hash)
{
	struct shard_entry *entry;

	/* One slot stays free, at which every search ends. */
	if (shard_count(s) + 1 >= s->table.cap || key.len > KEY_LEN_MAX)
		return NULL;
	entry = slab_get(&s->slabs, entry_bytes(key.len));
	if (!entry)
		return NULL;
	memset(entry, 0, entry_bytes(0));
	entry->kind = kind;
	entry->key_len = key.len & KEY_LEN_MAX;
	memcpy(entry->key, key.ptr, key.len);
	put(&s->table, entry, tag_of(hash));
	return entry;
}

void
shard_remove(struct shard *s, struct shard_entry *entry, uint64_t hash)
{
	if (!take_out(&s->table, entry, tag_of(hash)))
		(void)take_out(&s->old, entry, tag_of(hash));
	entry_free(s, entry);
}

static size_t
sweep_table(struct shard *s, size_t slots, int64_t now_us)
{
	struct shard_table *t = &s->table;
	uint32_t mask = t->cap - 1;
	size_t freed = 0;

	for (size_t looked = 0; looked < slots && looked < t->cap; looked++) {
		uint32_t i = s->hand & mask;
		struct shard_entry *entry = t->entries[i];

		/* A removal may put another entry here: look at the slot again. */
		if (t->tags[i] && limit_expired(&entry->state, now_us)) {
			empty_slot(t, i);
			entry_free(s, entry);
			freed++;
		} else {
			s->hand = i + 1;
		}
	}
	return freed;
}

size_t
shard_sweep(struct shard *s, size_t slots, int64_t now_us)
{
	size_t freed;

	if (s->old.cap)
		move(s, slots * MOVE_PER_SWEPT);
	freed = sweep_table(s, slots, now_us);
	slabs_trim(&s->slabs, 1 + slots / SWEPT_PER_SLAB);
	if (s->table.cap <= SHARD_SMALL || s->old.cap)
		return freed;
	if (s->table.n == 0)
		table_fini(&s->table);
	else if ((size_t)s->table.n * 8 < s->table.cap)
		begin_move(s, s->table.cap / 2);
	return freed;
}

static void
free_all(struct shard *s, struct shard_table *t)
{
	for (uint32_t i = 0; i < t->cap; i++)
		if (t->tags[i])
			entry_free(s, t->entries[i]);
	table_fini(t);
}

void
shard_fini(struct shard *s)
{
	free_all(s, &s->table);
	free_all(s, &s->old);
	slabs_fini(&s->slabs);
	memset(s, 0, sizeof(*s));
}
