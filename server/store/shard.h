/* SPDX-License-Identifier: ISC */
/*
 * One part of the embedded store: a table from keys to the state of counters. Open
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

struct shard_entry {
	struct limit_state state;
	uint32_t key_len;
	char key[];
};

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
struct shard_entry *shard_find(const struct shard *s, struct slice key, uint64_t hash);

/*
 * Makes room for `more` entries, dropping the dead ones when the table has to be built
 * anew; counts what was dropped. When memory lacks the table stays as it is, and
 * shard_insert() may fail. Frees entries: no pointer survives it.
 */
size_t shard_make_room(struct shard *s, size_t more, int64_t now_us);

/* Adds a key that is not there, with this state, copying both. NULL when out of
 * memory or of slots. */
struct shard_entry *shard_insert(struct shard *s, struct slice key, uint64_t hash,
    const struct limit_state *state) MUST_CHECK;

/* Takes out and frees the entry of a key that is there. */
void shard_remove(struct shard *s, struct slice key, uint64_t hash);

/* Looks at up to `slots` slots, going round, and frees the dead entries in them;
 * returns how many. Gives the memory of a table back that became far too large. */
size_t shard_sweep(struct shard *s, size_t slots, int64_t now_us);

#endif
