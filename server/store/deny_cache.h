/* SPDX-License-Identifier: ISC */
/*
 * What refusals taught: the counts of a take that a fixed limit refused. Within a window
 * such a count only grows, unless something is given back; so for a short while a take
 * of the same counters may be refused without asking the store, as long as it is too
 * much for that count and the limit's max of now. An agent that asks in a loop then
 * costs the store a few calls a second.
 *
 * Shortly before a refusal is forgotten one take is let through to the store, whose
 * answer takes its place: so a loop never comes to the store all at once.
 *
 * Bounded: a table of fixed size, in which the oldest makes room; no malloc after
 * deny_cache_new(). Pure: time is a parameter. Threads: each cache belongs to one;
 * a struct deny_epoch is shared by all caches of a process.
 */
#ifndef STORE_DENY_CACHE_H
#define STORE_DENY_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "store/store.h"

/* Moves on when something is given back, settled or reset: what was learnt before, or is
 * under way to be learnt, counts no more. All zero is a valid one. */
struct deny_epoch {
	_Atomic uint64_t n;
};

/* When a take that was refused was on its way; both clock_mono_us(). */
struct deny_moment {
	uint64_t epoch; /* deny_epoch_now() when it was sent */
	int64_t sent_us;
	int64_t decided_us; /* when the store refused it, about: not before it was sent,
	                       nor after its answer came */
};

struct deny_cache;

/* Keeps a refusal for keep_ms (1 ...) after it was sent at most, and never past the end
 * of a window. Borrows the epoch. NULL when out of memory. */
struct deny_cache *deny_cache_new(int64_t keep_ms, struct deny_epoch *epoch) MUST_CHECK;
void deny_cache_free(struct deny_cache *dc); /* NULL is fine */

uint64_t deny_epoch_now(const struct deny_epoch *epoch);
/* All caches of the epoch forget all. */
void deny_epoch_end(struct deny_epoch *epoch);

/* Remembers a take that the store refused (not a look), if a fixed limit did, and it
 * holds no slots, whose counts nobody can foretell. */
void deny_cache_put(
    struct deny_cache *dc, const struct take *take, const struct deny_moment *moment);

/* Whether there is nothing to look for: costs nothing where nobody is refused. */
bool deny_cache_is_empty(const struct deny_cache *dc);

/* Refuses the take as the store would, if it is known that it would: counts, now_us,
 * refused and status are filled in. Never a look, nor one with a request id. */
bool deny_cache_refuse(
    struct deny_cache *dc, struct take *take, int64_t mono_us) MUST_CHECK;

#endif
