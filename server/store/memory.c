/* SPDX-License-Identifier: ISC */
#include "store/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "store/memory_inner.h"

/* How many slots of each of its shards a take sweeps: more than it can fill, so that the
 * sweep keeps up with whatever comes in. */
#define SWEEP_SLOTS 4
/* The same when the store is full, in other shards, too: a bound on what a refused take
 * may cost. */
#define SWEEP_SLOTS_FULL 512
/* How many slots one memory_tend() looks at, and how many at a time, while it holds one
 * shard's lock. */
#define TEND_SLOTS 4096
#define TEND_SLOTS_SHARD 1024
/* Going on is worthwhile if at least one in so many slots had expired. */
#define TEND_WORTH 16

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

/* By the high bits: the table inside a shard uses the low half of the hash. */
static size_t
shard_index(uint64_t hash)
{
	return hash >> 56;
}

static struct shard *
spot_shard(struct memory *m, const struct spot *spot)
{
	return &m->cells[shard_index(spot->hash)].shard;
}

static void
forget(struct memory *m, size_t count)
{
	if (count > 0)
		atomic_fetch_sub_explicit(
		    &m->count, (int64_t)count, memory_order_relaxed);
}

/* The first shard of the set at or after `from`; SHARDS when there is none. */
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

/* In ascending order, as all calls do: see struct shard_set. */
void
memory_lock_all(struct memory *m, const struct shard_set *set)
{
	for (size_t i = next_shard(set, 0); i < SHARDS; i = next_shard(set, i + 1))
		pthread_mutex_lock(&m->cells[i].lock);
}

void
memory_unlock_all(struct memory *m, const struct shard_set *set)
{
	for (size_t i = next_shard(set, 0); i < SHARDS; i = next_shard(set, i + 1))
		pthread_mutex_unlock(&m->cells[i].lock);
}

enum entry_kind
spot_kind(enum algorithm algorithm)
{
	return algorithm == ALGORITHM_CONCURRENCY ? ENTRY_SLOTS : ENTRY_COUNTER;
}

void
spot_set(
    struct spot *spot, enum entry_kind kind, struct slice key, struct shard_set *set)
{
	size_t shard;

	spot->key = key;
	spot->hash = hash_bytes(key.ptr, key.len);
	spot->kind = kind;
	spot->added = false;
	shard = shard_index(spot->hash);
	set->bits[shard / 64] |= UINT64_C(1) << (shard % 64);
}

void
spot_find(struct memory *m, struct spot *spot)
{
	spot->entry =
	    shard_find(spot_shard(m, spot), spot->kind, spot->key, spot->hash);
}

bool
spot_add(struct memory *m, struct spot *spot)
{
	int64_t before = atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);

	if (before < m->max_counters)
		spot->entry = shard_insert(
		    spot_shard(m, spot), spot->kind, spot->key, spot->hash);
	spot->added = spot->entry != NULL;
	if (!spot->added)
		forget(m, 1);
	return spot->added;
}

void
spot_drop(struct memory *m, struct spot *spot)
{
	shard_remove(spot_shard(m, spot), spot->entry, spot->hash);
	spot->entry = NULL;
	spot->added = false;
	forget(m, 1);
}

void
spot_undo_all(struct memory *m, struct spot *spots, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (spots[i].added)
			spot_drop(m, &spots[i]);
}

/* How a counter, or a limit's slots, stand. */
static struct limit_count
spot_count(const struct spot *spot, const struct limit *limit, int64_t now_us)
{
	static const struct limit_state none;

	if (spot->kind == ENTRY_SLOTS)
		return slots_count(
		    spot->entry ? entry_block(spot->entry) : NULL, now_us);
	return limit_count(limit, spot->entry ? &spot->entry->state : &none, now_us);
}

void
spot_set_slots(struct spot *spot, struct slots *slots, int64_t now_us)
{
	entry_set_block(spot->entry, slots);
	spot->entry->state.end_ms = slots_end_ms(slots, now_us);
}

void
memory_prepare(struct memory *m, const struct shard_set *set, size_t n, int64_t now_us)
{
	for (size_t i = next_shard(set, 0); i < SHARDS; i = next_shard(set, i + 1)) {
		struct shard *s = &m->cells[i].shard;

		forget(m, shard_sweep(s, SWEEP_SLOTS, now_us));
		shard_make_room(s, n);
	}
}

/* Finds every counter and fills in how it stands. Returns the index of the first charge
 * without room; n when all have it. */
static size_t
weigh(struct memory *m, struct take *take, struct spot *spots)
{
	size_t refused = take->n;

	for (size_t i = 0; i < take->n; i++) {
		struct charge *c = &take->charges[i];

		spot_find(m, &spots[i]);
		c->count = spot_count(&spots[i], c->limit, take->now_us);
		c->lacked = !limit_fits(c->limit, c->count, c->cost, take->now_us);
		if (refused == take->n && c->lacked && !c->shadow)
			refused = i;
	}
	return refused;
}

bool
memory_add_spots(struct memory *m, struct take *take, struct spot *spots)
{
	for (size_t i = 0; i < take->n; i++) {
		struct charge *c = &take->charges[i];

		if (spots[i].entry || c->cost == 0 || spot_add(m, &spots[i]))
			continue;
		if (!c->shadow) {
			spot_undo_all(m, spots, i);
			return false;
		}
		c->lacked = true;
	}
	return true;
}

int64_t
memory_charge(struct charge *c, const struct spot *spot, int64_t now_us)
{
	int64_t counted = c->cost;

	if (c->cost == 0 || !spot->entry)
		return 0;
	if (spot->kind == ENTRY_COUNTER)
		counted = limit_charge(c->limit, &spot->entry->state, c->cost, now_us);
	c->count = spot_count(spot, c->limit, now_us);
	return counted;
}

static size_t
spots_of(const struct take *take)
{
	return take->n + (take->ledger ? LEDGER_SPOTS : 0);
}

/* False: there was no room for another entry, and nothing was charged. */
static bool
take_locked(struct memory *m, struct take *take, struct spot *spots,
    const struct shard_set *set)
{
	take->now_us = memory_now_us(m);
	memory_prepare(m, set, spots_of(take), take->now_us);
	if (take->ledger && ledger_answers(m, take, spots))
		return true;
	take->refused = weigh(m, take, spots);
	take->status = take->refused < take->n ? TAKE_REFUSED : TAKE_ADMITTED;
	if (take->status == TAKE_REFUSED || take->look)
		return true;
	if (take->ledger)
		return ledger_take(m, take, spots);
	if (!memory_add_spots(m, take, spots))
		return false;
	for (size_t i = 0; i < take->n; i++)
		memory_charge(&take->charges[i], &spots[i], take->now_us);
	return true;
}

bool
memory_sweep(struct memory *m)
{
	int64_t now_us = memory_now_us(m);
	size_t left = SWEEP_SLOTS_FULL;
	size_t freed = 0;

	for (size_t i = 0; i < SHARDS && left > 0 && freed == 0; i++) {
		uint32_t at =
		    atomic_fetch_add_explicit(&m->hand, 1, memory_order_relaxed);
		struct cell *c = &m->cells[at % SHARDS];
		size_t slots = 1;

		pthread_mutex_lock(&c->lock);
		if (shard_count(&c->shard) > 0) {
			slots = c->shard.table.cap < left ? c->shard.table.cap : left;
			freed = shard_sweep(&c->shard, slots, now_us);
		}
		pthread_mutex_unlock(&c->lock);
		left -= slots;
	}
	forget(m, freed);
	return freed > 0;
}

struct tending {
	size_t looked; /* slots looked at, or other work in that unit */
	size_t freed;
	bool more; /* there is still memory to give back */
};

static void
tend_shard(struct shard *s, int64_t now_us, struct tending *t)
{
	/* Giving slabs back takes as long as looking at all the slots. */
	bool spares = s->slabs.n_spare > 1;
	bool small = s->table.cap < TEND_SLOTS_SHARD && !spares;

	if (shard_is_clean(s))
		return;
	t->looked += small ? s->table.cap : TEND_SLOTS_SHARD;
	t->freed += shard_sweep(s, TEND_SLOTS_SHARD, now_us);
	t->more |= s->slabs.n_spare > 1;
}

bool
memory_tend(struct memory *memory)
{
	int64_t now_us = memory_now_us(memory);
	struct tending t = { 0 };

	for (size_t i = 0; i < SHARDS && t.looked < TEND_SLOTS; i++) {
		uint32_t at =
		    atomic_fetch_add_explicit(&memory->hand, 1, memory_order_relaxed);
		struct cell *c = &memory->cells[at % SHARDS];

		pthread_mutex_lock(&c->lock);
		tend_shard(&c->shard, now_us, &t);
		pthread_mutex_unlock(&c->lock);
	}
	forget(memory, t.freed);
	return t.more || t.freed * TEND_WORTH > t.looked;
}

static void
memory_take(struct store *store, struct take *take)
{
	struct memory *m = memory_of(store);
	struct spot spots[TAKE_CHARGES_MAX + LEDGER_SPOTS];
	struct shard_set set = { { 0 } };
	bool taken = false;

	for (size_t i = 0; i < take->n; i++)
		spot_set(&spots[i], spot_kind(take->charges[i].limit->algorithm),
		    take->charges[i].key, &set);
	if (take->ledger)
		ledger_set_spots(take, spots, &set);
	/* One sweep may find less than the entries that this take needs. */
	for (size_t tries = 0; !taken && tries <= spots_of(take); tries++) {
		if (tries > 0 && !memory_sweep(m))
			break;
		memory_lock_all(m, &set);
		taken = take_locked(m, take, spots, &set);
		memory_unlock_all(m, &set);
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
	.settle = memory_settle,
	.reset = memory_reset,
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
