/* SPDX-License-Identifier: ISC */
/*
 * The state of a concurrency limit: who holds a slot, and until when. A lease that is
 * over counts no more, whether or not it was taken out. Pure but for the memory of its
 * one block; the time is a parameter.
 *
 * All functions take slots that are NULL for "none are held", and a holder is its
 * SLOT_HOLDER_LEN hex digits. However many slots are held, a call looks at a few: leases
 * stand in a heap, the one that ends first in front, and holders in a hash table. Only a
 * block that has to grow or shrink, or of which many leases are over, is gone through
 * once.
 */
#ifndef LIMIT_SLOTS_H
#define LIMIT_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "limit/limit.h"

#define SLOT_HOLDER_LEN 32

struct slot_lease {
	int64_t until_ms; /* held while now is before it */
	uint32_t slot;    /* which holder's */
};

/* One block; free() frees it. */
struct slots {
	uint32_t n;
	uint32_t cap;   /* a power of two */
	int64_t end_ms; /* no lease ends later */
	/* A heap; behind it, in the same block, stand the holders and their hash table. */
	struct slot_lease leases[];
};

/* How many are held, and how long until the first of their leases ends (0: none). Of
 * leases that are over it drops many, and leaves few as they are. */
struct limit_count slots_count(struct slots *slots, int64_t now_us);

/* No lease ends later, in ms; it may be earlier where a slot was freed. 0 when none is
 * held. */
int64_t slots_end_ms(const struct slots *slots, int64_t now_us);

/* Takes a slot, whether or not there is room; drops leases that are over. Returns the
 * block, which may have moved, or NULL when out of memory: then `slots` holds what it
 * held. */
struct slots *slots_take(struct slots *slots, struct slice holder, int64_t until_ms,
    int64_t now_us) MUST_CHECK;

/* Frees the holder's slot. Whether it was held. */
bool slots_free(struct slots *slots, struct slice holder, int64_t now_us);

/* Prolongs the holder's lease; never shortens it. Whether the slot was held still. */
bool slots_renew(
    struct slots *slots, struct slice holder, int64_t until_ms, int64_t now_us);

#endif
