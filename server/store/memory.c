/* SPDX-License-Identifier: ISC */
#include "store/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "store/shard.h"

#define SHARDS 256
/* Slots that a take looks at in each of its shards for dead counters: more than it can
 * fill, so that the sweep keeps up with whatever comes in. */
#define SWEEP_SLOTS 4
/* The same when the store is full, over other shards too: a bound on what a refused
 * take may cost. */
#define SWEEP_SLOTS_FULL 512

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

/* A charge while its take holds the locks. */
struct spot {
	uint64_t hash;
	struct shard_entry *entry; /* NULL: nothing was counted yet */
	bool added;                /* by this take */
};

/* Which shards a take needs. */
struct shard_set {
	uint64_t bits[SHARDS / 64];
};

static int64_t
system_now_us(void *arg)
{
	(void)arg;
	return clock_real_us();
}

struct memory *
memory_new(const struct memory_options *options)
{
	struct memory *m = aligned_alloc(_Alignof(struct memory), sizeof(*m));

	if (!m)
		return NULL;
	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&m->cells[i].lock, NULL);
	m->max_counters =
	    options->max_counters ? options->max_counters : MEMORY_COUNTERS_DEFAULT;
	m->now_us = options->now_us ? options->now_us : system_now_us;
	m->now_arg = options->now_arg;
	return m;
}

void
memory_free(struct memory *memory)
{
	if (!memory)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		shard_fini(&memory->cells[i].shard);
		pthread_mutex_destroy(&memory->cells[i].lock);
	}
	free(memory);
}

int64_t
memory_count(struct memory *memory)
{
	return atomic_load_explicit(&memory->count, memory_order_relaxed);
}

/* The table inside a shard goes by the low half of the hash. */
static size_t
shard_index(uint64_t hash)
{
	return hash >> 56;
}

static struct shard *
shard_of(struct memory *m, uint64_t hash)
{
	return &m->cells[shard_index(hash)].shard;
}

static void
forget(struct memory *m, size_t count)
{
	if (count > 0)
		atomic_fetch_sub_explicit(
		    &m->count, (int64_t)count, memory_order_relaxed);
}

/* The next shard of the set from `from`, ascending, or SHARDS. */
static size_t
next_shard(const struct shard_set *set, size_t from)
{
	while (from < SHARDS) {
		uint64_t rest = set->bits[from / 64] >> (from % 64);

		if (rest)
			return from + (size_t)__builtin_ctzll(rest);
		from = (from / 64 + 1) * 64;
	}
	return SHARDS;
}

/* Ascending, so that two takes never wait for each other. */
static void
lock_all(struct memory *m, const struct shard_set *set)
{
	for (size_t i = next_shard(set, 0); i < SHARDS; i = next_shard(set, i + 1))
		pthread_mutex_lock(&m->cells[i].lock);
}

static void
unlock_all(struct memory *m, const struct shard_set *set)
{
	for (size_t i = next_shard(set, 0); i < SHARDS; i = next_shard(set, i + 1))
		pthread_mutex_unlock(&m->cells[i].lock);
}

static void
hash_charges(const struct take *take, struct spot *spots, struct shard_set *set)
{
	for (size_t i = 0; i < take->n; i++) {
		struct slice key = take->charges[i].key;
		size_t shard;

		spots[i].hash = hash_bytes(key.ptr, key.len);
		spots[i].added = false;
		shard = shard_index(spots[i].hash);
		set->bits[shard / 64] |= UINT64_C(1) << (shard % 64);
	}
}

/* Sweeps a little and makes sure of free slots; before any entry is looked for. */
static void
prepare(struct memory *m, const struct shard_set *set, size_t n, int64_t now_us)
{
	for (size_t i = next_shard(set, 0); i < SHARDS; i = next_shard(set, i + 1)) {
		struct shard *s = &m->cells[i].shard;
		size_t freed = shard_sweep(s, SWEEP_SLOTS, now_us);

		forget(m, freed + shard_make_room(s, n, now_us));
	}
}

/* Finds every counter, fills in what it holds; the first without room, or n. */
static size_t
weigh(struct memory *m, struct take *take, struct spot *spots)
{
	static const struct limit_state none;
	size_t refused = take->n;

	for (size_t i = 0; i < take->n; i++) {
		struct charge *c = &take->charges[i];
		const struct limit_state *state = &none;

		spots[i].entry =
		    shard_find(shard_of(m, spots[i].hash), c->key, spots[i].hash);
		if (spots[i].entry)
			state = &spots[i].entry->state;
		c->count = limit_count(c->limit, state, take->now_us);
		c->lacked = !limit_has_room(c->limit, state, c->cost, take->now_us);
		if (refused == take->n && c->lacked && !c->shadow)
			refused = i;
	}
	return refused;
}

static bool
add_counter(struct memory *m, const struct charge *c, struct spot *spot)
{
	static const struct limit_state none;
	int64_t before = atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);

	if (before < m->max_counters)
		spot->entry =
		    shard_insert(shard_of(m, spot->hash), c->key, spot->hash, &none);
	spot->added = spot->entry != NULL;
	if (!spot->added)
		forget(m, 1);
	return spot->added;
}

/* Gives every charge that needs one a counter, or none of them; a shadow charge goes
 * without where there is no room. */
static bool
add_counters(struct memory *m, struct take *take, struct spot *spots)
{
	size_t i;

	for (i = 0; i < take->n; i++) {
		struct charge *c = &take->charges[i];

		if (spots[i].entry || c->cost == 0 || add_counter(m, c, &spots[i]))
			continue;
		if (!c->shadow)
			break;
		c->lacked = true;
	}
	if (i == take->n)
		return true;
	while (i-- > 0) {
		if (!spots[i].added)
			continue;
		shard_remove(
		    shard_of(m, spots[i].hash), take->charges[i].key, spots[i].hash);
		spots[i].added = false;
		forget(m, 1);
	}
	return false;
}

static void
charge_all(struct take *take, struct spot *spots)
{
	for (size_t i = 0; i < take->n; i++) {
		struct charge *c = &take->charges[i];

		if (c->cost == 0 || !spots[i].entry)
			continue;
		limit_charge(c->limit, &spots[i].entry->state, c->cost, take->now_us);
		c->count = limit_count(c->limit, &spots[i].entry->state, take->now_us);
	}
}

/* False: no room for another counter, and nothing was charged. */
static bool
take_locked(struct memory *m, struct take *take, struct spot *spots,
    const struct shard_set *set)
{
	take->now_us = m->now_us(m->now_arg);
	prepare(m, set, take->n, take->now_us);
	take->refused = weigh(m, take, spots);
	take->status = take->refused < take->n ? TAKE_REFUSED : TAKE_ADMITTED;
	if (take->status == TAKE_REFUSED || take->look)
		return true;
	if (!add_counters(m, take, spots))
		return false;
	charge_all(take, spots);
	return true;
}

/* Looks for dead counters all over a full store, a bounded number of slots further
 * each time; holds one lock at a time. Whether there were any. */
static bool
sweep_full(struct memory *m)
{
	int64_t now_us = m->now_us(m->now_arg);
	size_t left = SWEEP_SLOTS_FULL;
	size_t freed = 0;

	for (size_t i = 0; i < SHARDS && left > 0 && freed == 0; i++) {
		uint32_t at =
		    atomic_fetch_add_explicit(&m->hand, 1, memory_order_relaxed);
		struct cell *c = &m->cells[at % SHARDS];
		size_t slots = 1;

		pthread_mutex_lock(&c->lock);
		if (c->shard.n > 0) {
			slots = c->shard.cap < left ? c->shard.cap : left;
			freed = shard_sweep(&c->shard, slots, now_us);
		}
		pthread_mutex_unlock(&c->lock);
		left -= slots;
	}
	forget(m, freed);
	return freed > 0;
}

static void
memory_take(struct store *store, struct take *take)
{
	struct memory *m = CONTAINER_OF(store, struct memory_store, store)->memory;
	struct spot spots[TAKE_CHARGES_MAX];
	struct shard_set set = { { 0 } };
	bool taken = false;

	hash_charges(take, spots, &set);
	/* One sweep may find less than the counters that this take needs. */
	for (size_t tries = 0; !taken && tries <= take->n; tries++) {
		if (tries > 0 && !sweep_full(m))
			break;
		lock_all(m, &set);
		taken = take_locked(m, take, spots, &set);
		unlock_all(m, &set);
	}
	if (!taken) {
		store_fail(store, take, FAULT_MEMORY, NULL);
		return;
	}
	take->fault = FAULT_NONE;
	take->detail[0] = '\0';
	take->done(take);
}

static bool
memory_ready(struct store *store, struct errinfo *why)
{
	(void)store;
	(void)why;
	return true;
}

static void
memory_close(struct store *store)
{
	metric_set(store->cells, METRIC_STORE_UP, 0);
	free(CONTAINER_OF(store, struct memory_store, store));
}

static const struct store_ops ops = {
	.name = "memory",
	.take = memory_take,
	.ready = memory_ready,
	.close = memory_close,
};

struct store *
memory_store_new(struct memory *memory, struct metric_cells *cells)
{
	struct memory_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->store = (struct store){ &ops, cells };
	s->memory = memory;
	metric_set(cells, METRIC_STORE_UP, 1);
	return &s->store;
}
