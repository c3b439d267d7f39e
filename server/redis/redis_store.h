/* SPDX-License-Identifier: ISC */
/*
 * The store contract over Redis (from 6.2) or Valkey: one server, the one that
 * Sentinels call the master, or a Cluster (redis/cluster_store).
 */
#ifndef REDIS_REDIS_STORE_H
#define REDIS_REDIS_STORE_H

#include "net/loop.h"
#include "net/tls.h"
#include "redis/url.h"
#include "store/deny_cache.h"
#include "store/store.h"

struct redis_store_options {
	struct redis_url url;
	struct tls_source *tls; /* borrowed; needed where the URL says TLS, else NULL */
	size_t waiting_max;     /* takes gathered or in flight; more is FAULT_OVERLOAD.
	                       0: REDIS_WAITING_DEFAULT */
	int64_t deny_cache_ms;  /* how long refusals are remembered; 0: not at all */
	struct deny_epoch *denials; /* borrowed, shared by all stores of the process;
	                               with deny_cache_ms */
};

#define REDIS_WAITING_DEFAULT 16384

/* Starts connecting, and tries for ever. NULL when out of memory. While the store is
 * ready, `done` runs before store_take() returns only when the take is known to be
 * refused, or there are too many. */
struct store *redis_store_new(struct loop *loop,
    const struct redis_store_options *options, struct metric_cells *cells) MUST_CHECK;

#endif
