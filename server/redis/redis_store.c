/* SPDX-License-Identifier: ISC */
#include "redis/redis_store.h"

#include <stdlib.h>
#include <string.h>

#include "redis/cluster_store.h"
#include "redis/node.h"
#include "redis/pulse.h"
#include "redis/sentinels.h"

struct redis_store {
	struct store store;
	struct redis_url url;
	struct node_shared shared;
	struct node *node;
	struct pulse *pulse; /* of the node, while nobody asks it for anything */
	struct sentinels *sentinels; /* they say where the server is; else NULL */
};

static struct redis_store *
self(struct store *store)
{
	return (struct redis_store *)store;
}

static void
redis_take(struct store *store, struct take *take)
{
	node_take(self(store)->node, take, 0);
}

static void
redis_stand(struct store *store, struct take *take)
{
	(void)store;
	node_stand(take);
}

static void
redis_settle(struct store *store, struct settle *settle)
{
	node_settle(self(store)->node, settle, 0);
}

static void
redis_reset(struct store *store, struct reset *reset)
{
	node_reset(self(store)->node, reset, 0);
}

static bool
redis_wants_more(struct store *store)
{
	return node_wants_more(self(store)->node);
}

static void
redis_flush(struct store *store)
{
	node_flush(self(store)->node);
}

static bool
redis_ready(struct store *store, struct errinfo *why)
{
	const struct redis_store *rs = self(store);
	const char *text;

	if (!node_ready(rs->node))
		node_fault(rs->node, &text);
	else if (pulse_beats(rs->pulse, &text))
		return true;
	err_set(why, ERR_UNAVAILABLE, "%s", text);
	return false;
}

static void
redis_close(struct store *store)
{
	struct redis_store *rs = self(store);

	sentinels_free(rs->sentinels);
	rs->sentinels = NULL;
	node_free(rs->node);
	pulse_free(rs->pulse);
	deny_cache_free(rs->shared.denials);
	explicit_bzero(&rs->url, sizeof(rs->url));
	free(rs);
}

static const struct store_ops redis_ops = {
	.name = "redis",
	.take = redis_take,
	.stand = redis_stand,
	.settle = redis_settle,
	.reset = redis_reset,
	.wants_more = redis_wants_more,
	.flush = redis_flush,
	.ready = redis_ready,
	.close = redis_close,
};

static const struct node_ops no_events = { 0 };

/* --- a master that Sentinels name ---------------------------------------------- */

static void
on_doubt(void *arg)
{
	struct redis_store *rs = arg;

	if (rs->sentinels)
		sentinels_doubt(rs->sentinels);
}

static const struct node_ops followed_events = { .on_down = on_doubt,
	.on_missed = on_doubt };

static void
on_master(void *arg, const struct address *master)
{
	struct redis_store *rs = arg;

	node_move(rs->node, master);
}

static void
on_unknown(void *arg, enum store_fault fault, const char *why)
{
	struct redis_store *rs = arg;

	node_explain(rs->node, fault, why);
}

static const struct sentinels_ops sentinels_events = { on_master, on_unknown };

static bool
open_followed(struct redis_store *rs)
{
	struct sentinels_options options = {
		.loop = rs->shared.loop,
		.url = &rs->url,
		.tls = rs->shared.tls,
		.ops = &sentinels_events,
		.arg = rs,
		.cells = rs->store.cells,
	};

	rs->node = node_new(&rs->shared, NULL, &followed_events, rs);
	if (rs->node)
		rs->sentinels = sentinels_new(&options);
	return rs->sentinels != NULL;
}

/* --- birth ----------------------------------------------------------------------- */

static bool
open_parts(struct redis_store *rs, const struct redis_store_options *options)
{
	struct node_shared *shared = &rs->shared;

	if (options->deny_cache_ms > 0) {
		shared->epoch = options->denials;
		shared->denials = deny_cache_new(options->deny_cache_ms, shared->epoch);
		if (!shared->denials)
			return false;
	}
	if (rs->url.kind == REDIS_SENTINEL)
		return open_followed(rs);
	rs->node = node_new(shared, &rs->url.hosts[0], &no_events, rs);
	return rs->node != NULL;
}

struct store *
redis_store_new(struct loop *loop, const struct redis_store_options *options,
    struct metric_cells *cells)
{
	struct redis_store *rs;

	if (options->url.kind == REDIS_CLUSTER)
		return cluster_store_new(loop, options, cells);
	rs = calloc(1, sizeof(*rs));
	if (!rs)
		return NULL;
	rs->store.ops = &redis_ops;
	rs->store.cells = cells;
	rs->url = options->url;
	rs->shared = (struct node_shared){
		.loop = loop,
		.store = &rs->store,
		.url = &rs->url,
		.tls = options->tls,
		.waiting_max =
		    options->waiting_max ? options->waiting_max : REDIS_WAITING_DEFAULT,
	};
	if (open_parts(rs, options))
		rs->pulse = pulse_new(loop, rs->node);
	if (!rs->pulse) {
		redis_close(&rs->store);
		return NULL;
	}
	return &rs->store;
}
