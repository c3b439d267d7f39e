/* SPDX-License-Identifier: ISC */
/*
 * A memory of refusals: the counts of takes that a fixed limit refused. Within a window
 * such a count only grows, unless something is given back; so for a short while a take
 * of the same counters may be refused without asking the store, as long as it is too
 * much for that count and the limit's current max. An agent that asks in a loop then
 * costs the store only a few calls a second.
 *
 * Shortly before a refusal is forgotten, one take is let through to the store, and its
 * answer replaces the old one: so a looping caller never reaches the store in a burst.
 *
 * Bounded: a table of fixed size, in which the oldest makes room; no malloc after
 * deny_cache_new(). Pure: time is a parameter. Threads: each cache belongs to one thread;
 * a struct deny_epoch is shared by all caches of a process.
 */
#ifndef STORE_DENY_CACHE_H
#define STORE_DENY_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "store/store.h"

/* Advances when something is given back, settled or reset: refusals from before, and
 * those whose answers are still on their way, are no longer valid. May be all zero. */
struct deny_epoch {
	_Atomic uint64_t n;
};

/* When a refused take was on its way; times are clock_mono_us(). */
struct deny_moment {
	uint64_t epoch; /* deny_epoch_now() when it was sent */
	int64_t sent_us;
	int64_t decided_us; /* about when the store refused it: not before it was sent,
	                       nor after the answer came */
};

struct deny_cache;

/* A refusal is kept for at most keep_ms (1 ...) after the take was sent, and never past
 * the window's end. Borrows the epoch. NULL when out of memory. */
struct deny_cache *deny_cache_new(int64_t keep_ms, struct deny_epoch *epoch) MUST_CHECK;
void deny_cache_free(struct deny_cache *dc); /* NULL is fine */

uint64_t deny_epoch_now(const struct deny_epoch *epoch);
/* Has all caches that share the epoch forget everything. */
void deny_epoch_end(struct deny_epoch *epoch);

/* Remembers a refused take (not a look) if a fixed limit refused it, and none of its
 * limits counts slots: those may be freed at any moment. */
void deny_cache_put(
    struct deny_cache *dc, const struct take *take, const struct deny_moment *moment);

/* Whether it remembers nothing, so that where nobody is refused a look-up costs
 * nothing. */
bool deny_cache_is_empty(const struct deny_cache *dc);

/* Refuses the take as the store would, if the cache knows that it would: fills in
 * counts, now_us, refused and status. Never a look, nor a take with a request id. */
bool deny_cache_refuse(
    struct deny_cache *dc, struct take *take, int64_t mono_us) MUST_CHECK;

#endif
