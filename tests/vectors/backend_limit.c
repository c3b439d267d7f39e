/* SPDX-License-Identifier: ISC */
/* The plainest store there can be: an array of counters, and limit/ for the rest. It
 * is what the other two are held against. */
#include <stdlib.h>
#include <string.h>

#include "backend.h"

#define COUNTERS_MAX 10000

static struct {
	struct store store;
	int64_t now_us;
	struct {
		char *key;
		size_t len;
		struct limit_state state;
	} counters[COUNTERS_MAX];
	size_t n;
} model;

static struct limit_state *
find(struct slice key)
{
	size_t i;

	for (i = 0; i < model.n; i++) {
		struct slice name =
		    slice_make(model.counters[i].key, model.counters[i].len);

		if (slice_eq(name, key))
			return &model.counters[i].state;
	}
	if (i == COUNTERS_MAX)
		abort();
	model.counters[i].key = malloc(key.len);
	if (!model.counters[i].key)
		abort();
	memcpy(model.counters[i].key, key.ptr, key.len);
	model.counters[i].len = key.len;
	model.counters[i].state = (struct limit_state){ 0 };
	model.n++;
	return &model.counters[i].state;
}

static void
limit_take(struct store *store, struct take *take)
{
	(void)store;
	take->now_us = model.now_us;
	take->status = TAKE_ADMITTED;
	for (size_t i = take->n; i-- > 0;) {
		struct charge *c = &take->charges[i];

		c->count = limit_count(c->limit, find(c->key), model.now_us);
		c->lacked =
		    !limit_has_room(c->limit, find(c->key), c->cost, model.now_us);
		if (!c->lacked || c->shadow)
			continue;
		take->status = TAKE_REFUSED;
		take->refused = i;
	}
	for (size_t i = 0; take->status == TAKE_ADMITTED && !take->look && i < take->n;
	     i++) {
		struct charge *c = &take->charges[i];

		if (c->cost > 0)
			limit_charge(c->limit, find(c->key), c->cost, model.now_us);
		c->count = limit_count(c->limit, find(c->key), model.now_us);
	}
	take->done(take);
}

static bool
limit_clear(void)
{
	while (model.n > 0)
		free(model.counters[--model.n].key);
	return true;
}

static void
limit_set_time(int64_t now_us)
{
	model.now_us = now_us;
}

static struct store *
limit_open(struct metric_cells *cells)
{
	static const struct store_ops ops = { .name = "limit", .take = limit_take };

	model.store = (struct store){ &ops, cells };
	return &model.store;
}

static void
limit_close(void)
{
	limit_clear();
}

const struct backend_ops backend_limit = {
	.name = "limit",
	.open = limit_open,
	.close = limit_close,
	.clear = limit_clear,
	.set_time = limit_set_time,
};
