/* SPDX-License-Identifier: ISC */
#include "store/store.h"

#include <string.h>

#include "base/utf8.h"

const struct store_fault_desc store_fault_table[FAULT_COUNT] = {
	/* Never counted: a take that ends with FAULT_NONE did not fail. */
	[FAULT_NONE] = { "none", "the store answered", METRIC_FAULT_OTHER },
	[FAULT_TIMEOUT] = { "timeout", "the store did not answer in time",
	    METRIC_FAULT_TIMEOUT },
	[FAULT_DISCONNECTED] = { "disconnected", "there is no connection to the store",
	    METRIC_FAULT_DISCONNECTED },
	[FAULT_OVERLOAD] = { "overload", "too many checks are waiting for the store",
	    METRIC_FAULT_OVERLOAD },
	[FAULT_LOADING] = { "loading", "the store is still reading its data",
	    METRIC_FAULT_LOADING },
	[FAULT_READONLY] = { "readonly", "the store is a replica that takes no writes",
	    METRIC_FAULT_READONLY },
	[FAULT_MASTERDOWN] = { "masterdown", "the store has lost its primary",
	    METRIC_FAULT_MASTERDOWN },
	[FAULT_CLUSTER] = { "clusterdown",
	    "the store's cluster does not serve this key", METRIC_FAULT_CLUSTER },
	[FAULT_TRYAGAIN] = { "tryagain",
	    "the counters are on their way to another node of the cluster",
	    METRIC_FAULT_TRYAGAIN },
	[FAULT_MOVED] = { "moved",
	    "the counters are on another node of a cluster; is it redis+cluster://?",
	    METRIC_FAULT_MOVED },
	[FAULT_BUSY] = { "busy", "a script keeps the store busy", METRIC_FAULT_BUSY },
	[FAULT_MEMORY] = { "memory", "the store has no room for another counter",
	    METRIC_FAULT_MEMORY },
	[FAULT_MISCONF] = { "misconf", "the store cannot save and takes no writes",
	    METRIC_FAULT_MISCONF },
	[FAULT_NOREPLICAS] = { "noreplicas",
	    "the store takes no writes, since too few replicas follow it",
	    METRIC_FAULT_NOREPLICAS },
	[FAULT_MAXCLIENTS] = { "maxclients", "the store has too many clients",
	    METRIC_FAULT_MAXCLIENTS },
	[FAULT_BREAKER] = { "breaker", "the store keeps failing and is not asked",
	    METRIC_FAULT_BREAKER },
	[FAULT_CONFIG] = { "configuration", "the store does not accept this daemon",
	    METRIC_FAULT_CONFIG },
	[FAULT_TLS] = { "tls", "there is no TLS with the store", METRIC_FAULT_TLS },
	[FAULT_WRONGTYPE] = { "wrongtype", "a counter's key holds something else",
	    METRIC_FAULT_WRONGTYPE },
	[FAULT_OTHER] = { "other", "the store reported an error", METRIC_FAULT_OTHER },
};

void
store_take(struct store *store, struct take *take)
{
	metric_add(store->cells, METRIC_STORE_TAKES, 1);
	if (store->ops->stand)
		take->late = NULL;
	store->ops->take(store, take);
}

void
store_stand(struct store *store, struct take *take)
{
	if (store->ops->stand)
		store->ops->stand(store, take);
}

void
store_settle(struct store *store, struct settle *settle)
{
	store->ops->settle(store, settle);
}

void
store_reset(struct store *store, struct reset *reset)
{
	store->ops->reset(store, reset);
}

void
store_flush(struct store *store)
{
	if (store->ops->flush)
		store->ops->flush(store);
}

bool
store_ready(struct store *store, struct errinfo *why)
{
	return store->ops->ready(store, why);
}

void
store_close(struct store *store)
{
	if (store)
		store->ops->close(store);
}

static void
set_detail(char to[TAKE_DETAIL_MAX], const char *detail)
{
	size_t len = detail ? strlen(detail) : 0;

	if (len >= TAKE_DETAIL_MAX)
		len = utf8_cut(detail, TAKE_DETAIL_MAX - 1);
	if (len > 0)
		memcpy(to, detail, len);
	to[len] = '\0';
}

void
store_fail(
    struct store *store, struct take *take, enum store_fault fault, const char *detail)
{
	set_detail(take->detail, detail);
	take->status = TAKE_FAILED;
	take->fault = fault;
	take->now_us = 0;
	metric_add(store->cells, store_fault_table[fault].metric, 1);
	take->done(take);
}

void
store_fail_settle(struct store *store, struct settle *settle, enum store_fault fault,
    const char *detail)
{
	set_detail(settle->detail, detail);
	settle->status = SETTLE_FAILED;
	settle->fault = fault;
	metric_add(store->cells, store_fault_table[fault].metric, 1);
	settle->done(settle);
}

void
store_fail_reset(struct store *store, struct reset *reset, enum store_fault fault,
    const char *detail)
{
	set_detail(reset->detail, detail);
	reset->held = 0;
	reset->fault = fault;
	metric_add(store->cells, store_fault_table[fault].metric, 1);
	reset->done(reset);
}
