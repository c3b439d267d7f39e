/* SPDX-License-Identifier: ISC */
#include "check/settlement.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/spares.h"
#include "check/reservation.h"

#define SPARE_SETTLEMENTS_MAX 256 /* kept for reuse; more are freed */

_Static_assert(REQUEST_TTL_MAX_S * 1000 <= LEDGER_TTL_MS_MAX,
    "a store must be able to hold what may be asked for");

enum settlement_state {
	SETTLEMENT_FREE,    /* spare */
	SETTLEMENT_PENDING, /* with the store */
	SETTLEMENT_DONE,    /* answered; its owner's until the release */
	SETTLEMENT_DETACHED /* released while the store had it */
};

struct settlement {
	struct spare spare; /* must stay first */
	struct settler *settler;
	enum settlement_state state;
	void (*done)(struct settlement *settlement, void *arg);
	void *arg;
	struct buf key; /* the record's; it ends with the holder */
	struct settle settle;
};

struct settler {
	struct settler_options options;
	size_t pending;
	struct spares settlements;
};

/* The first series of each action: one for each status, in their order, then INVALID. */
#define INVALID ((int)SETTLE_FAILED + 1)
static const enum metric metrics[] = {
	[SETTLE_COMMIT] = METRIC_COMMITS_DONE,
	[SETTLE_ROLLBACK] = METRIC_ROLLBACKS_DONE,
	[SETTLE_RENEW] = METRIC_RENEWS_DONE,
};
_Static_assert(METRIC_COMMITS_FAILED - METRIC_COMMITS_DONE == (int)SETTLE_FAILED &&
	METRIC_COMMITS_INVALID - METRIC_COMMITS_DONE == INVALID,
    "the series of an action stand in the order of enum settle_status");

static void
settlement_free(void *object)
{
	struct settlement *settlement = object;

	buf_fini(&settlement->key);
	free(settlement);
}

struct settler *
settler_new(const struct settler_options *options)
{
	struct settler *settler = calloc(1, sizeof(*settler));

	if (!settler)
		return NULL;
	settler->options = *options;
	settler->settlements = (struct spares){ .size = sizeof(struct settlement),
		.max = SPARE_SETTLEMENTS_MAX,
		.free = settlement_free };
	return settler;
}

void
settler_free(struct settler *settler)
{
	if (!settler)
		return;
	spares_fini(&settler->settlements);
	free(settler);
}

size_t
settler_pending(const struct settler *settler)
{
	return settler->pending;
}

static struct settlement *
obtain(struct settler *settler)
{
	struct settlement *settlement = spares_get(&settler->settlements);

	if (settlement)
		settlement->settler = settler;
	return settlement;
}

static void
recycle(struct settlement *settlement)
{
	settlement->state = SETTLEMENT_FREE;
	spares_put(&settlement->settler->settlements, settlement);
}

static void
count(const struct settler *settler, enum settle_action action, int result)
{
	metric_add(settler->options.cells, (enum metric)(metrics[action] + result), 1);
}

void
settler_count_invalid(const struct settler *settler, enum settle_action action)
{
	count(settler, action, INVALID);
}

static void
on_local(struct settle *settle)
{
	(void)settle; /* the caller reads the answer once store_settle() has returned */
}

/* A reservation that this process made while the store was away may be known to the store
 * as well: it may just have been slow, and have taken the charges in the end. So both are
 * asked, and the answer that says more is passed on; "unknown" only if both say so. */
static void
settle_locally(struct settlement *settlement, struct settle *settle)
{
	static const int says[] = {
		[SETTLE_UNKNOWN] = 0,
		[SETTLE_FAILED] = 1,
		[SETTLE_ALREADY] = 2,
		[SETTLE_DONE] = 3,
	};
	struct settle local = *settle;

	local.done = on_local;
	store_settle(settlement->settler->options.local, &local);
	if (says[local.status] <= says[settle->status])
		return;
	settle->status = local.status;
	settle->fault = local.fault;
	memcpy(settle->detail, local.detail, sizeof(settle->detail));
}

static void
on_settled(struct settle *settle)
{
	struct settlement *settlement = CONTAINER_OF(settle, struct settlement, settle);
	struct settler *settler = settlement->settler;

	if (settler->options.local)
		settle_locally(settlement, settle);
	count(settler, settle->action, (int)settle->status);
	settler->pending--;
	if (settlement->state == SETTLEMENT_DETACHED) {
		recycle(settlement);
		return;
	}
	settlement->state = SETTLEMENT_DONE;
	settlement->done(settlement, settlement->arg);
}

/* Checks whose reservation it is, and finds its record's key. */
static int
find_record(struct settlement *settlement, const struct settlement_request *request,
    struct errinfo *ei)
{
	const struct settler *settler = settlement->settler;
	struct reservation reservation;
	int rc = reservation_parse(request->reservation, &reservation, ei);

	if (rc < 0)
		return rc;
	if (request->grant.len > 0 && !reservation_is_of(&reservation, request->grant))
		return err_set(ei, ERR_INUSE, "the reservation is another grant's");
	buf_clear(&settlement->key);
	reservation_key(&settlement->key, settler->options.key_prefix, &reservation);
	return settlement->key.failed ? err_set(ei, ERR_NOMEM, "out of memory") : 0;
}

static int64_t
deadline_us(const struct settler *settler, int64_t timeout_ms)
{
	int64_t ms = timeout_ms > 0 ? timeout_ms : settler->options.deadline_ms;

	return clock_mono_us() + ms * 1000;
}

static void
ask_store(struct settlement *settlement, const struct settlement_request *request)
{
	struct settler *settler = settlement->settler;
	const struct settler_options *o = &settler->options;
	const struct buf *key = &settlement->key;
	int64_t ttl_s = request->ttl_s > 0 ? request->ttl_s : REQUEST_TTL_DEFAULT_S;

	settlement->settle = (struct settle){
		.action = request->action,
		.key = buf_slice(key),
		.holder = slice_make(
		    key->data + key->len - LEDGER_HOLDER_LEN, LEDGER_HOLDER_LEN),
		.cost = request->action == SETTLE_COMMIT ? request->cost : -1,
		.ttl_ms = ttl_s * 1000,
		.keep_ms = o->dedup_ttl_ms,
		.deadline_us = deadline_us(settler, request->timeout_ms),
		.done = on_settled,
	};
	settlement->state = SETTLEMENT_PENDING;
	settler->pending++;
	store_settle(o->store, &settlement->settle);
}

struct settlement *
settlement_start(struct settler *settler, const struct settlement_request *request,
    void (*done)(struct settlement *settlement, void *arg), void *arg,
    struct errinfo *ei)
{
	struct settlement *settlement = obtain(settler);
	int rc;

	if (!settlement) {
		err_set(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	rc = find_record(settlement, request, ei);
	if (rc < 0) {
		if (rc != ERR_NOMEM)
			settler_count_invalid(settler, request->action);
		recycle(settlement);
		return NULL;
	}
	settlement->done = done;
	settlement->arg = arg;
	ask_store(settlement, request);
	return settlement;
}

bool
settlement_is_done(const struct settlement *settlement)
{
	return settlement->state == SETTLEMENT_DONE;
}

const struct settle *
settlement_result(const struct settlement *settlement)
{
	return &settlement->settle;
}

void
settlement_release(struct settlement *settlement)
{
	if (settlement->state == SETTLEMENT_PENDING)
		settlement->state = SETTLEMENT_DETACHED;
	else
		recycle(settlement);
}
