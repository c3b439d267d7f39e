/* SPDX-License-Identifier: ISC */
/*
 * The state of a concurrency limit: who holds a slot, and until when. A lease that is
 * over counts no more, whether or not it was taken out. Pure but for the memory of its
 * one block; the time is a parameter.
 *
 * All functions take slots that are NULL for "none are held", and a holder is its
 * SLOT_HOLDER_LEN hex digits. Cost is linear in the slots that are held.
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

struct slot {
	char holder[SLOT_HOLDER_LEN];
	int64_t until_ms; /* held while now is before it */
};

/* One block; free() frees it. */
struct slots {
	size_t n;
	size_t cap;
	struct slot items[];
};

/* How many are held, and how long until the first of their leases ends (0: none). */
struct limit_count slots_count(const struct slots *slots, int64_t now_us);

/* When the last lease ends, in ms; 0 when none is held. */
int64_t slots_end_ms(const struct slots *slots, int64_t now_us);

/* Takes a slot, whether or not there is room; drops leases that are over. Returns the
 * block, which may have moved, or NULL when out of memory: then `slots` is as it was. */
struct slots *slots_take(struct slots *slots, struct slice holder, int64_t until_ms,
    int64_t now_us) MUST_CHECK;

/* Frees the holder's slot. Whether it was held. */
bool slots_free(struct slots *slots, struct slice holder, int64_t now_us);

/* Prolongs the holder's lease; never shortens it. Whether the slot was held still. */
bool slots_renew(
    struct slots *slots, struct slice holder, int64_t until_ms, int64_t now_us);

#endif
