/* SPDX-License-Identifier: ISC */
/*
 * One part of the embedded store: a table from keys to the state of counters, and to the
 * other things that expire. Entries of different kinds never collide, whatever their
 * keys. Open addressing with linear probing; probing compares 32 bits of each key's hash,
 * so a miss touches no entry. An entry has its key inline, and lives in a slab.
 *
 * A table that has become too small, or far too large, is not rebuilt at once: a new one
 * is made beside it, and every sweep moves a few entries over. Until the old one is empty,
 * both are searched. So no call does much work, however many entries there are.
 *
 * Threads: none of its own; whoever holds the lock. Ownership: owns its entries.
 * An entry does not move until it is removed or swept.
 */
#ifndef STORE_SHARD_H
#define STORE_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "limit/limit.h"
#include "store/slab.h"

/* What an entry holds. All kinds but a counter are a block of memory that it owns. */
enum entry_kind {
	ENTRY_COUNTER,
	ENTRY_SLOTS,  /* struct slots */
	ENTRY_NOTE,   /* of a reservation: struct note */
	ENTRY_ANSWER, /* of a request id: struct answer */
};

struct shard_entry {
	/* A counter's state. Other kinds use only `end_ms`, by which they expire, and keep
	 * the pointer to their block in `used`, so that counters do not pay for one. */
	struct limit_state state;
	uint32_t kind : 2;
	uint32_t key_len : 30;
	char key[];
};

static inline void *
entry_block(const struct shard_entry *entry)
{
	return (void *)(intptr_t)entry->state.used;
}

/* The entry takes the block; the one it had before becomes the caller's. */
static inline void
entry_set_block(struct shard_entry *entry, void *block)
{
	entry->state.used = (int64_t)(intptr_t)block;
}

struct shard_table {
	struct shard_entry **entries;
	uint32_t *tags; /* hash bits of each entry, in the same block; 0: free */
	uint32_t cap;   /* a power of two, or 0 */
	uint32_t n;
};

/* All zero: empty. */
struct shard {
	struct shard_table table;
	struct shard_table
	    old;        /* what is being emptied into `table`; cap 0: nothing is */
	uint32_t moved; /* slots of `old` that are emptied already */
	uint32_t hand;  /* where the next sweep of the table begins */
	struct slabs slabs;
};

static inline size_t
shard_count(const struct shard *s)
{
	return (size_t)s->table.n + s->old.n;
}

/* Whether a sweep has nothing to do. */
static inline bool
shard_is_clean(const struct shard *s)
{
	return shard_count(s) == 0 && s->slabs.n_spare <= 1;
}

/* Frees all entries. */
void shard_fini(struct shard *s);

/* NULL when there is none. `hash` is the key's; its low 32 bits are used. */
struct shard_entry *shard_find(
    const struct shard *s, enum entry_kind kind, struct slice key, uint64_t hash);

/* Makes room for `more` entries. When out of memory the table stays as it is, and
 * shard_insert() may fail. */
void shard_make_room(struct shard *s, size_t more);

/* Adds a key that is not there yet, copying it. Its state is all zero, so it counts as
 * expired. NULL when out of memory or of slots. */
struct shard_entry *shard_insert(
    struct shard *s, enum entry_kind kind, struct slice key, uint64_t hash) MUST_CHECK;

/* Removes and frees an entry that is there. */
void shard_remove(struct shard *s, struct shard_entry *entry, uint64_t hash);

/* Looks at up to `slots` slots, going round, and frees the expired entries in them;
 * returns how many. Also moves entries to the new table, starts one when this has become
 * far too large, and gives some memory back to the system. Pointers to entries do not
 * survive it. */
size_t shard_sweep(struct shard *s, size_t slots, int64_t now_us);

#endif
