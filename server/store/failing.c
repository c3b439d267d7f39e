/* SPDX-License-Identifier: ISC */
#include "store/failing.h"

#include <stdlib.h>

#include "base/err.h"

struct failing {
	struct store store;
	enum store_fault fault;
};

static void
failing_take(struct store *store, struct take *take)
{
	struct failing *f = CONTAINER_OF(store, struct failing, store);

	store_fail(store, take, f->fault, NULL);
}

static void
failing_settle(struct store *store, struct settle *settle)
{
	struct failing *f = CONTAINER_OF(store, struct failing, store);

	store_fail_settle(store, settle, f->fault, NULL);
}

static void
failing_reset(struct store *store, struct reset *reset)
{
	struct failing *f = CONTAINER_OF(store, struct failing, store);

	store_fail_reset(store, reset, f->fault, NULL);
}

static bool
failing_ready(struct store *store, struct errinfo *why)
{
	struct failing *f = CONTAINER_OF(store, struct failing, store);

	err_set(why, ERR_UNAVAILABLE, "%s", store_fault_table[f->fault].phrase);
	return false;
}

static void
failing_close(struct store *store)
{
	free(CONTAINER_OF(store, struct failing, store));
}

static const struct store_ops ops = {
	.name = "failing",
	.take = failing_take,
	.settle = failing_settle,
	.reset = failing_reset,
	.ready = failing_ready,
	.close = failing_close,
};

struct store *
failing_store_new(enum store_fault fault, struct metric_cells *cells)
{
	struct failing *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->store = (struct store){ &ops, cells };
	f->fault = fault;
	return &f->store;
}
