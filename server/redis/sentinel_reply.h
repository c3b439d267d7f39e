/* SPDX-License-Identifier: ISC */
/* What the answers and announcements of a Sentinel say. Pure. */
#ifndef REDIS_SENTINEL_REPLY_H
#define REDIS_SENTINEL_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "net/address.h"
#include "redis/reply.h"

/* Of SENTINEL MASTER: the epoch of its configuration; 0 when it does not say. */
int64_t sentinel_reply_epoch(const struct reply *reply);

/* Of SENTINEL GET-MASTER-ADDR-BY-NAME. 0, ERR_NOTFOUND when it names none, or ERR_INVALID
 * when that is no address. */
int sentinel_reply_master(const struct reply *reply, struct address *out) MUST_CHECK;

/* Of SENTINEL SENTINELS: the next Sentinel, and moves *at on, which begins at 0. False:
 * there are no more. `id` is a view, possibly absent. */
bool sentinel_reply_next(
    const struct reply *reply, size_t *at, struct address *out, struct slice *id);

/* Of SENTINEL MASTERS: "a", "b", as far as they fit, or "none". */
void sentinel_reply_names(const struct reply *reply, char *out, size_t size);

/* Of an announcement "slave NAME HOST PORT @ MASTER HOST PORT": the replica's address.
 * 0; ERR_NOTFOUND when it is about a master other than `master`; ERR_INVALID. */
int sentinel_reply_promotion(
    struct slice text, const char *master, struct address *out) MUST_CHECK;

#endif
