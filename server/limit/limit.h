/* SPDX-License-Identifier: ISC */
/*
 * The arithmetic of one limit: (state, limit, cost, now) -> outcome. Every store
 * answers through limit_report(), so that all of them say the same.
 * Pure: no clock, no memory of its own, no I/O.
 */
#ifndef LIMIT_LIMIT_H
#define LIMIT_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "limit/window.h"

/* An algorithm is one row of the table in limit.c. */
enum algorithm { ALGORITHM_FIXED };

struct limit {
	enum algorithm algorithm;
	int64_t max; /* 0 ... NUM_MAX */
	struct window window;
};

/* What a store remembers of one counter. All zero: nothing was counted yet. */
struct limit_state {
	int64_t used;
	int64_t end_ms; /* the end of the window that `used` belongs to */
};

/* How one limit stands after (or, when refused, without) a charge. */
struct limit_outcome {
	int64_t used;           /* 0 ... ; may exceed max when max was lowered */
	int64_t remaining;      /* never below 0 */
	int64_t reset_ms;       /* until the window ends */
	int64_t retry_after_ms; /* 0 admitted; -1 never, the cost exceeds max */
};

/* What is counted in the window that holds now_us; an older window counts as 0.
 * Where time went back, a later window's count is kept, never rewound. */
int64_t limit_used(const struct limit *l, const struct limit_state *s, int64_t now_us);

/* Whether nothing that the state remembers counts any more, under any limit: a store
 * may then forget it. */
bool limit_expired(const struct limit_state *s, int64_t now_us);

/* Whether `cost` (0 ... NUM_MAX) more fits. */
bool limit_has_room(
    const struct limit *l, const struct limit_state *s, int64_t cost, int64_t now_us);

/* Charges, whether it fits or not. */
void limit_charge(
    const struct limit *l, struct limit_state *s, int64_t cost, int64_t now_us);

/* Gives back what was charged in the window that ended, or will end, at end_ms.
 * Does nothing when the state has moved on; never goes below 0. */
void limit_give_back(
    const struct limit *l, struct limit_state *s, int64_t cost, int64_t end_ms);

/* The outcome for a counter that stands at `used`. `refused`: this limit is the one
 * that lacked room for `cost`. */
struct limit_outcome limit_report(
    const struct limit *l, int64_t used, int64_t cost, int64_t now_us, bool refused);

#endif
