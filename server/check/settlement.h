/* SPDX-License-Identifier: ISC */
/*
 * The end of a reservation (commit, rollback) or its prolongation (renew). No policy is
 * asked: the ledger says what was charged.
 *
 * A settler belongs to one worker, and to its thread. A settlement belongs to whoever
 * started it, from settlement_start() until settlement_release().
 */
#ifndef CHECK_SETTLEMENT_H
#define CHECK_SETTLEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/metric.h"
#include "base/slice.h"
#include "check/request.h"
#include "store/store.h"

struct settlement;
struct settler;

struct settler_options {
	struct store *store;        /* borrowed, must outlive the settler */
	struct metric_cells *cells; /* borrowed */
	const char *key_prefix;     /* borrowed */
	/* Has the reservations that were made while the store was away; it must answer
	 * before store_settle() returns. Borrowed, must outlive the settler; NULL: there
	 * is none. */
	struct store *local;
	int64_t deadline_ms;  /* of every settlement that brings none, 1 ... */
	int64_t dedup_ttl_ms; /* how long it is remembered that one was settled */
};

/* NULL when out of memory. */
struct settler *settler_new(const struct settler_options *options) MUST_CHECK;
/* Only while nothing is pending. NULL is fine. */
void settler_free(struct settler *settler);
/* How many settlements are between start and done. */
size_t settler_pending(const struct settler *settler);
/* Counts, in the metrics, a settlement whose request could not even be parsed. */
void settler_count_invalid(const struct settler *settler, enum settle_action action);

/*
 * Starts; the request is copied. `done` runs exactly once, possibly before the return;
 * never after settlement_release(). NULL, and `done` does not run: ERR_INVALID when the
 * id is malformed, ERR_INUSE when it is another grant's, ERR_NOMEM.
 */
struct settlement *settlement_start(struct settler *settler,
    const struct settlement_request *request,
    void (*done)(struct settlement *settlement, void *arg), void *arg,
    struct errinfo *ei) MUST_CHECK;

bool settlement_is_done(const struct settlement *settlement);
/* What the store said; valid once done, until the release. */
const struct settle *settlement_result(const struct settlement *settlement);
void settlement_release(struct settlement *settlement);

#endif
