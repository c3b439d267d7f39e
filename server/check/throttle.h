/* SPDX-License-Identifier: ISC */
/*
 * CL.THROTTLE, the command of redis-cell: one token bucket whose numbers come with each
 * request. No policy is asked; the store is the one that checks use, and throttles travel
 * in the same batches.
 *
 * A throttler belongs to one worker, and to its thread. A throttle belongs to whoever
 * started it, from throttle_start() until throttle_release(); in the steady state it
 * costs no malloc.
 */
#ifndef CHECK_THROTTLE_H
#define CHECK_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/metric.h"
#include "base/slice.h"
#include "store/store.h"

struct throttle;
struct throttler;

struct throttle_request {
	struct slice key;  /* any bytes, or none */
	int64_t max_burst; /* 0 ... NUM_MAX - 1 */
	int64_t count;     /* 1 ... NUM_MAX, per period */
	int64_t period_s;  /* 1 ... WINDOW_SECONDS_MAX */
	int64_t quantity;  /* tokens to take, 0 ... NUM_MAX; 0 only looks */
};

struct throttle_result {
	enum store_fault fault; /* unless FAULT_NONE, nothing else is filled in */
	bool limited;
	int64_t limit; /* max_burst + 1 */
	int64_t remaining;
	int64_t retry_after_s; /* rounded up; -1: not limited, or it never fits */
	int64_t reset_after_s; /* until the bucket is full, rounded up */
};

struct throttler_options {
	struct store *store;        /* borrowed, must outlive the throttler */
	struct metric_cells *cells; /* borrowed */
	const char *key_prefix;     /* borrowed */
	int64_t deadline_ms;        /* of every throttle, 1 ... */
};

/* NULL when out of memory. */
struct throttler *throttler_new(const struct throttler_options *options) MUST_CHECK;
/* Only while nothing is pending. NULL is fine. */
void throttler_free(struct throttler *throttler);
/* How many throttles are between start and done. */
size_t throttler_pending(const struct throttler *throttler);

/*
 * Starts a throttle; the key is copied. `done` runs exactly once, possibly before the
 * return; never after throttle_release(). NULL, and `done` does not run: ERR_INVALID
 * when the numbers do not make a bucket (ei->text names the argument), or ERR_NOMEM.
 */
struct throttle *throttle_start(struct throttler *throttler,
    const struct throttle_request *request,
    void (*done)(struct throttle *throttle, void *arg), void *arg,
    struct errinfo *ei) MUST_CHECK;

bool throttle_is_done(const struct throttle *throttle);
/* Valid once done, until the release. */
const struct throttle_result *throttle_result(const struct throttle *throttle);
/* The store's own words about its fault, or "". */
const char *throttle_detail(const struct throttle *throttle);

/* Gives the throttle back, as check_release() does. */
void throttle_release(struct throttle *throttle);

#endif
