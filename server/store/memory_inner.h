/* SPDX-License-Identifier: ISC */
/* What the files of the embedded store share. Nobody else includes this. */
#ifndef STORE_MEMORY_INNER_H
#define STORE_MEMORY_INNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "limit/slots.h"
#include "store/memory.h"
#include "store/shard.h"

#define SHARDS 256

struct cell {
	_Alignas(64) pthread_mutex_t lock;
	struct shard shard;
};

struct memory {
	struct cell cells[SHARDS];
	_Alignas(64) _Atomic int64_t count; /* entries in all shards */
	_Atomic uint32_t hand; /* the shard to sweep next when the store is full */
	int64_t max_counters;
	int64_t (*now_us)(void *);
	void *now_arg;
};

struct memory_store {
	struct store store;
	struct memory *memory;
};

/* The shards that a call needs. Their locks are always taken in the same order, so that
 * two calls never wait for each other. */
struct shard_set {
	uint64_t bits[SHARDS / 64];
};

/* Where one key of a call is; valid while its shard is locked. */
struct spot {
	struct slice key;
	uint64_t hash;
	enum entry_kind kind;
	bool added;                /* the entry is new, made by this call */
	struct shard_entry *entry; /* NULL: there is none */
};

/* A reservation: the text of its record (store/record.h), and one number of each charge
 * that the text does not have. */
struct note {
	uint32_t len;       /* bytes of the text, which follows after_ms */
	uint32_t n;         /* charges; 0 once it was settled */
	int64_t after_ms[]; /* see struct charged */
};

/* A request id: what its check was answered. */
struct answer {
	char print[LEDGER_PRINT_LEN];
	char holder[LEDGER_HOLDER_LEN + 1]; /* "" if it was no reservation */
	int64_t now_us;
	size_t n;
	struct {
		struct limit_count count;
		bool lacked;
	} charges[];
};

static inline struct memory *
memory_of(struct store *store)
{
	return CONTAINER_OF(store, struct memory_store, store)->memory;
}

static inline int64_t
memory_now_us(const struct memory *m)
{
	return m->now_us(m->now_arg);
}

static inline struct slice
note_text(const struct note *note)
{
	return slice_make((const char *)&note->after_ms[note->n], note->len);
}

enum entry_kind spot_kind(enum algorithm algorithm);

void memory_lock_all(struct memory *m, const struct shard_set *set);
void memory_unlock_all(struct memory *m, const struct shard_set *set);

/* Sweeps a little in each shard of the set and makes sure of `n` free slots. Call before
 * looking for entries, which it may move or free. */
void memory_prepare(
    struct memory *m, const struct shard_set *set, size_t n, int64_t now_us);

/* Frees expired entries of a full store, going on from where the last call stopped, by a
 * bounded number of slots. Holds one lock at a time; the caller must hold none. Returns
 * whether it freed any. */
bool memory_sweep(struct memory *m);

/* Sets the spot's key, and adds its shard to the set. */
void spot_set(
    struct spot *spot, enum entry_kind kind, struct slice key, struct shard_set *set);

/* Looks for the key's entry; its shard must be locked. */
void spot_find(struct memory *m, struct spot *spot);

/* Adds an entry whose state is still that of an expired one. False when the store has no
 * room for it. */
bool spot_add(struct memory *m, struct spot *spot) MUST_CHECK;

/* Removes the entry. */
void spot_drop(struct memory *m, struct spot *spot);

/* Removes those of the n entries that this call added. */
void spot_undo_all(struct memory *m, struct spot *spots, size_t n);

/* Stores a limit's slots after a change; the entry expires with the last lease. */
void spot_set_slots(struct spot *spot, struct slots *slots, int64_t now_us);

/* Adds an entry for every charge that has none. False, and none was added, when there is
 * no room; a shadow charge just goes without one then. */
bool memory_add_spots(struct memory *m, struct take *take, struct spot *spots);

/* Charges a counter (of a slot, which was taken already, it only reads how they stand)
 * and sets c->count. Returns how much of the cost was counted. */
int64_t memory_charge(struct charge *c, const struct spot *spot, int64_t now_us);

/* --- memory_ledger.c: a take with a ledger; its spots follow those of the charges --- */

#define LEDGER_SPOTS 2

void ledger_set_spots(
    const struct take *take, struct spot *spots, struct shard_set *set);

/* Whether the request id decides the take, as a replay or a conflict; fills it in. */
bool ledger_answers(struct memory *m, struct take *take, struct spot *spots);

/* Charges an admitted take and records it. False: no room, and nothing was done. */
bool ledger_take(struct memory *m, struct take *take, struct spot *spots);

/* --- memory_settle.c --- */

void memory_settle(struct store *store, struct settle *settle);
void memory_reset(struct store *store, struct reset *reset);

#endif
