/* SPDX-License-Identifier: ISC */
/* What the files of the embedded store share; nobody else includes it. */
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
	_Atomic uint32_t hand; /* the shard that a full store sweeps next */
	int64_t max_counters;
	int64_t (*now_us)(void *);
	void *now_arg;
};

struct memory_store {
	struct store store;
	struct memory *memory;
};

/* Which shards a call needs. Their locks are taken in one order, so that two calls never
 * wait for each other. */
struct shard_set {
	uint64_t bits[SHARDS / 64];
};

/* A key while its shard is locked. */
struct spot {
	struct slice key;
	uint64_t hash;
	enum entry_kind kind;
	bool added;                /* by this call */
	struct shard_entry *entry; /* NULL: there is none */
};

/* What a reservation leaves: its record, store/record.h, and beside it of each charge
 * what only this store needs. */
struct note {
	uint32_t len;       /* of the text, which follows after_ms */
	uint32_t n;         /* charges; 0 once it was settled */
	int64_t after_ms[]; /* of struct charged */
};

/* What the check of a request id was answered. */
struct answer {
	char print[LEDGER_PRINT_LEN];
	char holder[LEDGER_HOLDER_LEN + 1]; /* "" where it was no reservation */
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

/* Sweeps a little in each shard of the set and makes sure of `n` free slots; before any
 * entry is looked for. */
void memory_prepare(
    struct memory *m, const struct shard_set *set, size_t n, int64_t now_us);

/* Looks for dead entries all over a full store, a bounded number of slots further each
 * time; holds one lock at a time, and none may be held. Whether there were any. */
bool memory_sweep(struct memory *m);

/* Names a key and adds its shard to the set. */
void spot_set(
    struct spot *spot, enum entry_kind kind, struct slice key, struct shard_set *set);

struct shard *spot_shard(struct memory *m, const struct spot *spot);
void spot_find(struct memory *m, struct spot *spot);

/* Adds an entry that expired already; false where the store has no room for it. */
bool spot_add(struct memory *m, struct spot *spot) MUST_CHECK;

/* Takes the entry out. */
void spot_drop(struct memory *m, struct spot *spot);

/* Takes out those of n entries that were added. */
void spot_undo_all(struct memory *m, struct spot *spots, size_t n);

/* How a counter or a limit's slots stand. */
struct limit_count spot_count(
    const struct spot *spot, const struct limit *limit, int64_t now_us);

/* The slots of a limit changed: they live as long as the last lease. */
void spot_set_slots(struct spot *spot, struct slots *slots, int64_t now_us);

/* Gives every charge that needs one an entry, or none of them; a shadow charge goes
 * without where there is no room. */
bool memory_add_spots(struct memory *m, struct take *take, struct spot *spots);

/* Charges a counter (a slot was taken already) and says how it stands then. How much of
 * the cost was counted. */
int64_t memory_charge(struct charge *c, const struct spot *spot, int64_t now_us);

/* --- a take with a ledger: memory_ledger.c; its spots stand behind the charges' -- */

#define LEDGER_SPOTS 2

void ledger_set_spots(
    const struct take *take, struct spot *spots, struct shard_set *set);

/* Whether the request id decides it: replayed, or a conflict. */
bool ledger_answers(struct memory *m, struct take *take, struct spot *spots);

/* Charges an admitted take and remembers it. False: no room, and nothing was done. */
bool ledger_take(struct memory *m, struct take *take, struct spot *spots);

/* --- memory_settle.c --- */

void memory_settle(struct store *store, struct settle *settle);
void memory_reset(struct store *store, struct reset *reset);

#endif
