/* SPDX-License-Identifier: ISC */
/*
 * One part of the embedded store: a table from keys to the state of counters, and to what
 * else expires. Entries of different kinds never meet, whatever their keys. Open
 * addressing with linear probing; the probing runs over 32 bits of each key's hash,
 * so a miss touches no entry. An entry is one malloc with its key inline.
 *
 * Threads: none of its own; whoever holds the lock. Ownership: owns its entries.
 * An entry stays where it is until it is removed or swept.
 */
#ifndef STORE_SHARD_H
#define STORE_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "limit/limit.h"

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

/* All zero: empty. */
struct shard {
	struct shard_entry **entries;
	uint32_t *tags; /* beside entries, of the same block; 0: free */
	uint32_t cap;   /* a power of two, or 0 */
	uint32_t n;
	uint32_t hand; /* where the next sweep begins */
};

/* Frees all entries. */
void shard_fini(struct shard *s);

/* `hash` is of the key; its low 32 bits are used. NULL when there is none. */
struct shard_entry *shard_find(
    const struct shard *s, enum entry_kind kind, struct slice key, uint64_t hash);

/*
 * Makes room for `more` entries, dropping the dead ones when the table has to be built
 * anew; counts what was dropped. When memory lacks the table stays as it is, and
 * shard_insert() may fail. Frees entries: no pointer survives it.
 */
size_t shard_make_room(struct shard *s, size_t more, int64_t now_us);

/* Adds a key that is not there, copying it, with a state that is all zero: it has expired
 * already. NULL when out of memory or of slots. */
struct shard_entry *shard_insert(
    struct shard *s, enum entry_kind kind, struct slice key, uint64_t hash) MUST_CHECK;

/* Takes out and frees an entry that is there. */
void shard_remove(struct shard *s, struct shard_entry *entry, uint64_t hash);

/* Looks at up to `slots` slots, going round, and frees the dead entries in them;
 * returns how many. Gives the memory of a table back that became far too large. */
size_t shard_sweep(struct shard *s, size_t slots, int64_t now_us);

#endif
