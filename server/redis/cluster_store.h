/* SPDX-License-Identifier: ISC */
/*
 * The store contract over a Redis Cluster. Each take goes to the node that serves its
 * keys' slot; each node has batches of its own (redis/node). What a node refuses unread,
 * because the slot is elsewhere or is moving, is sent on to where it belongs until its
 * deadline.
 */
#ifndef REDIS_CLUSTER_STORE_H
#define REDIS_CLUSTER_STORE_H

#include "base/attr.h"
#include "redis/redis_store.h"

/* As redis_store_new(), which calls it for such URLs. */
struct store *cluster_store_new(struct loop *loop,
    const struct redis_store_options *options, struct metric_cells *cells) MUST_CHECK;

#endif
