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
	[FAULT_CLUSTER] = { "cluster", "the store's cluster does not serve this key",
	    METRIC_FAULT_CLUSTER },
	[FAULT_BUSY] = { "busy", "a script keeps the store busy", METRIC_FAULT_BUSY },
	[FAULT_MEMORY] = { "memory", "the store has no room for another counter",
	    METRIC_FAULT_MEMORY },
	[FAULT_CONFIG] = { "configuration", "the store does not accept this daemon",
	    METRIC_FAULT_CONFIG },
	[FAULT_WRONGTYPE] = { "wrongtype", "a counter's key holds something else",
	    METRIC_FAULT_WRONGTYPE },
	[FAULT_OTHER] = { "other", "the store reported an error", METRIC_FAULT_OTHER },
};

void
store_take(struct store *store, struct take *take)
{
	metric_add(store->cells, METRIC_STORE_TAKES, 1);
	store->ops->take(store, take);
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

void
store_fail(
    struct store *store, struct take *take, enum store_fault fault, const char *detail)
{
	size_t len = detail ? strlen(detail) : 0;

	if (len >= sizeof(take->detail))
		len = utf8_cut(detail, sizeof(take->detail) - 1);
	if (len > 0)
		memcpy(take->detail, detail, len);
	take->detail[len] = '\0';
	take->status = TAKE_FAILED;
	take->fault = fault;
	take->now_us = 0;
	metric_add(store->cells, store_fault_table[fault].metric, 1);
	take->done(take);
}
