/* SPDX-License-Identifier: ISC */
#include "store/store.h"

#include <string.h>

#include "base/utf8.h"

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

bool
store_wants_more(struct store *store)
{
	return store->ops->wants_more && store->ops->wants_more(store);
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
	if (why)
		why->text[0] = '\0';
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
