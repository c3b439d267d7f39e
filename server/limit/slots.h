/* SPDX-License-Identifier: ISC */
/*
 * The state of a concurrency limit: who holds a slot, and until when. An expired lease
 * does not count, whether or not it was removed. Pure, except that it allocates its one
 * block; time is a parameter.
 *
 * NULL slots mean "none are held" to all functions. A holder is its SLOT_HOLDER_LEN hex
 * digits. A call looks at few slots however many are held: leases are in a heap, the one
 * that ends first in front, holders in a hash table. Only when the block has to grow or
 * shrink, or many leases have expired, is all of it gone through once.
 *
 * Threads: none of its own; whoever holds the lock of the counter.
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
	int64_t until_ms; /* held as long as now is before it */
	uint32_t slot;    /* index of the holder */
};

/* One block; free() frees it. */
struct slots {
	uint32_t n;
	uint32_t cap;   /* a power of two */
	int64_t end_ms; /* no lease ends later */
	/* A heap; the holders and their hash table follow it in the same block. */
	struct slot_lease leases[];
};

/* How many are held, and the time until the first of their leases ends (0: none). Drops
 * expired leases once there are many of them. */
struct limit_count slots_count(struct slots *slots, int64_t now_us);

/* A time in ms at which all leases have ended; where slots were freed, they may have
 * before. 0 when none is held. */
int64_t slots_end_ms(const struct slots *slots, int64_t now_us);

/* Takes a slot, whether or not there is room; drops expired leases. Returns the block,
 * which may have moved; NULL when out of memory, and then `slots` is as it was. */
struct slots *slots_take(struct slots *slots, struct slice holder, int64_t until_ms,
    int64_t now_us) MUST_CHECK;

/* Frees the holder's slot. Returns whether it was held. */
bool slots_free(struct slots *slots, struct slice holder, int64_t now_us);

/* Prolongs the holder's lease; never shortens it. Returns whether it was still held. */
bool slots_renew(
    struct slots *slots, struct slice holder, int64_t until_ms, int64_t now_us);

#endif
