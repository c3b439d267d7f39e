/* SPDX-License-Identifier: ISC */
/*
 * The embedded store: counters in this process's memory, lost with it.
 *
 * One struct memory is shared by all workers (sharded locks); each worker has its own
 * handle on it. It never evicts: when it is full, new counters are refused with
 * FAULT_MEMORY, because forgetting a count would admit too much. Request ids and
 * reservations take up room as counters do.
 * The clock is the system's, or one that a test provides.
 */
#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H

#include "base/attr.h"
#include "store/store.h"

struct memory;

struct memory_options {
	int64_t max_counters;      /* 0: MEMORY_COUNTERS_DEFAULT */
	int64_t (*now_us)(void *); /* NULL: clock_real_us() */
	void *now_arg;
};

#define MEMORY_COUNTERS_DEFAULT INT64_C(10000000)

/* NULL when out of memory. Free it only after the last handle was closed. */
struct memory *memory_new(const struct memory_options *options) MUST_CHECK;
void memory_free(struct memory *memory);

/* How many counters, sets of held slots, request ids and reservations it has, including
 * those that have expired but were not swept yet. Any thread. */
int64_t memory_count(struct memory *memory);

/* Forgets some of what has expired; takes a ms at most. To be called now and then: takes
 * do this too, but only as much as they add. True: there is probably more, call it again
 * soon. Any thread. */
bool memory_tend(struct memory *memory);

/* A worker's handle; NULL when out of memory. Every `done` runs before the call that
 * started it returns. */
struct store *memory_store_new(
    struct memory *memory, struct metric_cells *cells) MUST_CHECK;

#endif
