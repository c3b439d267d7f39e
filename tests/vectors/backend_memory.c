/* SPDX-License-Identifier: ISC */
/* The embedded store on a clock of the runner's. */
#include "backend.h"
#include "store/memory.h"

static struct {
	int64_t now_us;
	struct memory *memory;
	struct store *store;
	struct store front; /* stays where it is while the store behind it is renewed */
	struct metric_cells *cells;
} here;

static int64_t
read_clock(void *arg)
{
	(void)arg;
	return here.now_us;
}

static void
drop(void)
{
	store_close(here.store);
	memory_free(here.memory);
	here.store = NULL;
	here.memory = NULL;
}

static bool
memory_clear(void)
{
	struct memory_options options = { .now_us = read_clock };

	drop();
	here.memory = memory_new(&options);
	if (here.memory)
		here.store = memory_store_new(here.memory, here.cells);
	return here.store != NULL;
}

static void
front_take(struct store *store, struct take *take)
{
	(void)store;
	store_take(here.store, take);
}

static void
front_settle(struct store *store, struct settle *settle)
{
	(void)store;
	store_settle(here.store, settle);
}

static void
front_reset(struct store *store, struct reset *reset)
{
	(void)store;
	store_reset(here.store, reset);
}

static struct store *
memory_open(struct metric_cells *cells)
{
	static const struct store_ops ops = { .name = "front",
		.take = front_take,
		.settle = front_settle,
		.reset = front_reset };

	here.front = (struct store){ &ops, cells };
	here.cells = cells;
	return memory_clear() ? &here.front : NULL;
}

static void
memory_set_time(int64_t now_us)
{
	here.now_us = now_us;
}

const struct backend_ops backend_memory = {
	.name = "memory",
	.open = memory_open,
	.close = drop,
	.clear = memory_clear,
	.set_time = memory_set_time,
};
