/* SPDX-License-Identifier: ISC */
/*
 * All Sentinels that watch one master, and which server is that master by what they say.
 * It begins with those of the URL and learns of the others from them.
 *
 * Each is listened to, since one that is cut off from the others goes on naming a master
 * that they have replaced. Believed is the newest configuration (the highest epoch). An
 * older one than that of the master in use is believed only when most of the Sentinels
 * have it (they were set up anew). When none can be reached, the master stays.
 *
 * A replica that is told to become the master is taken for it at once, before the
 * Sentinels name it: what the old one is charged from then on is lost. If they do not
 * name it within seconds, they are believed again.
 *
 * Whether a server really is a master is seen by who connects to it (redis/link).
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

#define SENTINELS_MAX 16 /* that are listened to; further ones are not needed */

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

/* The master in use cannot be reached, or is a replica: all are asked soon, at most
 * about once a second. */
void sentinels_doubt(struct sentinels *all);

#endif
