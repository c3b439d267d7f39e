/* SPDX-License-Identifier: ISC */
/*
 * A take whose keys are in several slots of a Cluster, where a script may touch only one.
 * Its parts, one for each slot, are taken one after another, all or none each, in the
 * order of the slots, but the ledger's slot last. If a part is refused or fails, those
 * before it are given back, and those after it are only looked at, so that the answer
 * covers every limit. So never more than max is admitted; but it is not one atomic step:
 * others may see a charge that does not stand.
 *
 * With a ledger, each part has records of its own beside its charges. A retry finds the
 * parts that were done and goes on from there; the take is done when its last part is.
 * The reservation's record in the last part names those of the others (store/record.h).
 */
#ifndef REDIS_SPAN_H
#define REDIS_SPAN_H

#include "redis/cluster_inner.h"
#include "store/record.h"

/* As store_take(). */
void span_take(struct cluster *cluster, struct take *whole);

/* Settles the parts that a reservation's record names, one after another, and then sends
 * the settlement again, with parts_done. */
void span_settle(
    struct cluster *cluster, struct settle *whole, const struct record *record);

/* The slot that all keys of the take are in; -1: they are in several. */
int span_slot(const struct take *take);

#endif
