/* SPDX-License-Identifier: ISC */
/*
 * All Sentinels that watch one master, and which server is the master according to them.
 * It begins with those of the URL and learns of the others from them.
 *
 * It listens to each of them, since one that is cut off from the others goes on naming a
 * master that they have replaced. The newest configuration (the highest epoch) is
 * believed. One that is older than that of the master in use is believed only when most
 * of the Sentinels have it (they were set up again). When none can be reached, the master
 * stays.
 *
 * A replica that is told to become the master is taken for it at once, before the
 * Sentinels name it: whatever the old master is charged from then on is lost. If they do
 * not name the new one within seconds, they are believed again.
 *
 * Whether a server really is a master is checked by whoever connects to it (redis/link).
 *
 * Threads: belongs to its loop's thread. Callbacks may call sentinels_doubt() only.
 */
#ifndef REDIS_SENTINELS_H
#define REDIS_SENTINELS_H

#include "base/attr.h"
#include "base/metric.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/tls.h"
#include "redis/url.h"
#include "store/store.h"

#define SENTINELS_MAX 16 /* how many are listened to; there is no need for more */

struct sentinels;

struct sentinels_ops {
	/* The master is at this address from now on. */
	void (*on_master)(void *arg, const struct address *master);
	/* No master is known yet, and why. */
	void (*on_unknown)(void *arg, enum store_fault fault, const char *why);
};

struct sentinels_options {
	struct loop *loop;
	const struct redis_url *url; /* borrowed */
	struct tls_source *tls;      /* borrowed; NULL without TLS */
	const struct sentinels_ops *ops;
	void *arg;
	struct metric_cells *cells;
};

/* Begins to connect at the next turn. NULL when out of memory. */
struct sentinels *sentinels_new(const struct sentinels_options *options) MUST_CHECK;
void sentinels_free(struct sentinels *all); /* NULL is fine */

/* The master in use cannot be reached, or is a replica: asks all of them soon, but at
 * most about once a second. */
void sentinels_doubt(struct sentinels *all);

#endif
