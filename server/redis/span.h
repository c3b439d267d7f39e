/* SPDX-License-Identifier: ISC */
/*
 * A take whose keys are in several slots of a Cluster, where no script may touch more
 * than one. Its parts, one for each slot, are taken one after another in the order of the
 * slots, the one of the ledger last, each all or none. Where one is refused or fails,
 * what those before it took is given back, and the others are only looked at, so that the
 * answer tells of every limit. So never more than max is admitted, but it is not one step:
 * others may see a charge that does not stand.
 *
 * With a ledger each part has records of its own, beside its charges. A retry finds the
 * parts that were done and goes on; it was done when the last one was. The reservation's
 * record in the last part names those of the others (store/record.h).
 */
#ifndef REDIS_SPAN_H
#define REDIS_SPAN_H

#include "redis/cluster_inner.h"
#include "store/record.h"

/* As store_take(). */
void span_take(struct cluster *cluster, struct take *whole);

/* A settlement whose record names parts: those are settled, one after another, and then
 * the settlement begins anew with parts_done. */
void span_settle(
    struct cluster *cluster, struct settle *whole, const struct record *record);

/* The slot of all of its keys, or -1: there are several. */
int span_slot(const struct take *take);

#endif
