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
enum algorithm {
	ALGORITHM_FIXED,
	ALGORITHM_SLIDING,
	ALGORITHM_TOKEN_BUCKET,
	ALGORITHM_CONCURRENCY /* its state is struct slots, limit/slots.h */
};

/* The longest that a bucket may take to fill: 7300 days. */
#define BUCKET_FILL_US_MAX (2 * WINDOW_SECONDS_MAX * 1000000)

/* How far a bucket may be charged past what is in it, in multiples of its capacity: one
 * for the tokens that were in it, one for debt. lua/take.lua has the same number. */
#define BUCKET_FILLINGS_MAX 2

/* How much may be given back to a bucket until it was full once: 30 days of refilling.
 * Its state is kept that much longer than it counts. */
#define BUCKET_GIVEN_US_MAX INT64_C(2592000000000)

struct limit {
	enum algorithm algorithm;
	int64_t max;          /* 0 ... NUM_MAX */
	struct window window; /* concurrency uses only its name, "slots" */
	int64_t burst;        /* token_bucket: how many at once; 0: max */

	/* token_bucket only; worked out by limit_prepare() */
	int64_t capacity;    /* tokens of a full bucket */
	int64_t interval_us; /* between one token and the next, 1 ... */
};

/*
 * What a store remembers of one counter. All zero: nothing was counted yet.
 * From end_ms on, none of it counts any more.
 *
 *	                used                       before
 *	fixed           this window's count        -
 *	sliding         this window's count        the window's before it
 *	token_bucket    when it is full again, µs  the same, had nothing been given back
 *
 * end_ms is the end of this window, or, with sliding, which looks back, of the next one.
 */
struct limit_state {
	int64_t used;
	int64_t before;
	int64_t end_ms;
};

/*
 * How a counter stands at one moment, as every store tells it.
 *
 *	                used                       before
 *	fixed           this window's count        0
 *	sliding         this window's count        the window's before it
 *	token_bucket    µs until it is full        µs given back since it was full
 *	concurrency     slots held                 ms until the first lease ends
 */
struct limit_count {
	int64_t used;
	int64_t before;
};

/* How one limit stands after (or, when refused, without) a charge. */
struct limit_outcome {
	int64_t used;      /* 0 ...; may exceed max, where max was lowered */
	int64_t remaining; /* never below 0 */
	int64_t reset_ms;  /* until the window ends, or the bucket is full */
	int64_t
	    retry_after_ms; /* 0: admitted; -1: never, the cost exceeds max; or there
	                           is no way to know */
	int64_t window_ms;  /* the length of the current window; 0: it has none */
};

/* The most that a cost can be and still fit, into an unused counter. */
static inline int64_t
limit_capacity(const struct limit *l)
{
	return l->algorithm == ALGORITHM_TOKEN_BUCKET ? l->capacity : l->max;
}

/*
 * Works out what follows from max, burst and window; call it again after changing one of
 * them. 0, or ERR_INVALID when such a limit cannot be kept: ei->text says why.
 */
int limit_prepare(struct limit *l, struct errinfo *ei) MUST_CHECK;

/*
 * The share of a limit that each of `parts` (1 ...) stores may give out on its own, so
 * that together they never give more than the limit: the remainder of the division is
 * given by none, and a share may be 0. `of` must be prepared; *out is.
 */
void limit_share(const struct limit *of, int64_t parts, struct limit *out);

/*
 * The functions that take a struct limit_state are not for concurrency limits, which
 * have none.
 */

/* How the counter stands at now_us; a window that is over counts as 0. Where time went
 * back, the count of the later moment is kept, never rewound. */
struct limit_count limit_count(
    const struct limit *l, const struct limit_state *s, int64_t now_us);

/* Whether the state no longer matters to any limit, so that a store may forget it. */
bool limit_expired(const struct limit_state *s, int64_t now_us);

/* Whether `cost` (0 ... NUM_MAX) more fits into a counter that stands at `count`. */
bool limit_fits(
    const struct limit *l, struct limit_count count, int64_t cost, int64_t now_us);

/* Charges, whether it fits or not, and returns how much of the cost was counted: a
 * count stops at NUM_MAX, a bucket's debt at BUCKET_FILLINGS_MAX. limit/charged.h
 * corrects a charge later. */
int64_t limit_charge(
    const struct limit *l, struct limit_state *s, int64_t cost, int64_t now_us);

/* The outcome for a counter that stands at `count`. `refused`: this limit lacked room
 * for `cost`; or, if the cost would fit, its counter could not be charged, and then
 * nobody knows when it can be. */
struct limit_outcome limit_report(const struct limit *l, struct limit_count count,
    int64_t cost, int64_t now_us, bool refused);

#endif
