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

/* The longest time that a bucket may take to fill: 7300 days. */
#define BUCKET_FILL_US_MAX (2 * WINDOW_SECONDS_MAX * 1000000)

/* The most that a bucket may owe when it is charged past what is in it, in fillings:
 * one for the tokens that were in it, one for the debt. lua/take.lua knows it too. */
#define BUCKET_FILLINGS_MAX 2

/* How much may be given back to a bucket before it has to be full once: 30 days of its
 * filling. It lives so much longer than it counts. */
#define BUCKET_GIVEN_US_MAX INT64_C(2592000000000)

struct limit {
	enum algorithm algorithm;
	int64_t max;          /* 0 ... NUM_MAX */
	struct window window; /* concurrency has none but its name, "slots" */
	int64_t burst;        /* token_bucket: how many at once; 0: max */

	/* Of token_bucket, worked out by limit_prepare(). */
	int64_t capacity;    /* tokens of a full bucket */
	int64_t interval_us; /* until one token more, 1 ... */
};

/*
 * What a store remembers of one counter. All zero: nothing was counted yet.
 * From end_ms on nothing of it counts any more.
 *
 *	                used                       before
 *	fixed           this window's count        -
 *	sliding         this window's count        the window's before it
 *	token_bucket    when it is full again, µs  the same, had nothing been given back
 *
 * end_ms is the end of this window; with sliding, which looks back, of the next one.
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
	int64_t used;           /* 0 ... ; may exceed max when max was lowered */
	int64_t remaining;      /* never below 0 */
	int64_t reset_ms;       /* until the window ends, or the bucket is full */
	int64_t retry_after_ms; /* 0 admitted; -1 never, the cost exceeds max, or
	                           nobody knows */
	int64_t window_ms;      /* how long the window of this moment is; 0: none */
};

/* How much there can be of it at once. */
static inline int64_t
limit_capacity(const struct limit *l)
{
	return l->algorithm == ALGORITHM_TOKEN_BUCKET ? l->capacity : l->max;
}

/*
 * Works out what follows from max, burst and window; to be called again where one of
 * them was changed. 0, or ERR_INVALID when the limit cannot be kept: ei->text.
 */
int limit_prepare(struct limit *l, struct errinfo *ei) MUST_CHECK;

/*
 * What one of `parts` (1 ...) stores may give alone, where each of them has the same limit:
 * together they never give more than it, so that what does not divide is given by none.
 * A capacity of 0 is possible. `of` was prepared, and *out is.
 */
void limit_share(const struct limit *of, int64_t parts, struct limit *out);

/*
 * What works on a struct limit_state is not for concurrency limits, which have none.
 */

/* How the counter stands at now_us; what lies in the past counts as 0.
 * Where time went back, a later moment's count is kept, never rewound. */
struct limit_count limit_count(
    const struct limit *l, const struct limit_state *s, int64_t now_us);

/* Whether nothing that the state remembers counts any more, under any limit: a store
 * may then forget it. */
bool limit_expired(const struct limit_state *s, int64_t now_us);

/* Whether `cost` (0 ... NUM_MAX) more fits into a counter that stands at `count`. */
bool limit_fits(
    const struct limit *l, struct limit_count count, int64_t cost, int64_t now_us);

/* Charges, whether it fits or not, and returns how much of the cost was counted: a
 * count stops at NUM_MAX, and a bucket's debt at BUCKET_FILLINGS_MAX. What it takes to
 * correct it later has limit/charged.h. */
int64_t limit_charge(
    const struct limit *l, struct limit_state *s, int64_t cost, int64_t now_us);

/* The outcome for a counter that stands at `count`. `refused`: this limit is the one
 * that lacked room for `cost`, or, where it would fit, whose counter could not be
 * charged; then nothing says when it can. */
struct limit_outcome limit_report(const struct limit *l, struct limit_count count,
    int64_t cost, int64_t now_us, bool refused);

#endif
