/* SPDX-License-Identifier: ISC */
/*
 * One part of the embedded store: a table from keys to the state of counters, and to what
 * else expires. Entries of different kinds never meet, whatever their keys. Open
 * addressing with linear probing; the probing runs over 32 bits of each key's hash,
 * so a miss touches no entry. An entry has its key inline, and stands in a slab.
 *
 * A table that has become too small or far too large is not built anew at once: another
 * one stands beside it, into which every sweep moves a little. Until the old one is empty
 * both are searched. So no call does much, however many entries there are.
 *
 * Threads: none of its own; whoever holds the lock. Ownership: owns its entries.
 * An entry stays where it is until it is removed or swept.
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

/* What an entry holds. All but a counter is a block of memory that the entry owns. */
enum entry_kind {
	ENTRY_COUNTER,
	ENTRY_SLOTS,  /* struct slots */
	ENTRY_NOTE,   /* of a reservation: struct note */
	ENTRY_ANSWER, /* of a request id: struct answer */
};

struct shard_entry {
	/* A counter's. Of the other kinds `end_ms`, by which they expire, and in the place
	 * of `used` the block: plain counters should not pay for it. */
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

/* The entry takes the block; what it had is the caller's. */
static inline void
entry_set_block(struct shard_entry *entry, void *block)
{
	entry->state.used = (int64_t)(intptr_t)block;
}

struct shard_table {
	struct shard_entry **entries;
	uint32_t *tags; /* beside entries, of the same block; 0: free */
	uint32_t cap;   /* a power of two, or 0 */
	uint32_t n;
};

/* All zero: empty. */
struct shard {
	struct shard_table table;
	struct shard_table old; /* what is being emptied into it; cap 0: nothing is */
	uint32_t moved;         /* slots of old that are empty already */
	uint32_t hand;          /* where the next sweep of the table begins */
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

/* `hash` is of the key; its low 32 bits are used. NULL when there is none. */
struct shard_entry *shard_find(
    const struct shard *s, enum entry_kind kind, struct slice key, uint64_t hash);

/* Makes room for `more` entries. When memory lacks the table stays as it is, and
 * shard_insert() may fail. */
void shard_make_room(struct shard *s, size_t more);

/* Adds a key that is not there, copying it, with a state that is all zero: it has expired
 * already. NULL when out of memory or of slots. */
struct shard_entry *shard_insert(
    struct shard *s, enum entry_kind kind, struct slice key, uint64_t hash) MUST_CHECK;

/* Takes out and frees an entry that is there. */
void shard_remove(struct shard *s, struct shard_entry *entry, uint64_t hash);

/* Looks at up to `slots` slots, going round, and frees the dead entries in them;
 * returns how many. Goes on with what moves from one table to another, and begins with it
 * where a table became far too large; gives some memory back. Frees entries: no pointer survives it. */
size_t shard_sweep(struct shard *s, size_t slots, int64_t now_us);

#endif
