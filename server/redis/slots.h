/* SPDX-License-Identifier: ISC */
/*
 * The hash slots of a Cluster: which one a key is in, and which nodes serve them, as
 * CLUSTER SLOTS tells it. After the Cluster specification,
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/. Pure.
 */
#ifndef REDIS_SLOTS_H
#define REDIS_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "net/address.h"
#include "redis/reply.h"

#define SLOTS 16384

/* The slot of a key: CRC16/XMODEM modulo SLOTS of its hash tag (what is between its first
 * '{' and the next '}', unless that is empty), or else of the whole key. */
unsigned slot_of(struct slice key);

/*
 * Reads the answer to CLUSTER SLOTS, as Redis from 6.2 to 8 and Valkey give it, and calls
 * fn for each range with the address of its master. A node that is listed without a host
 * has that of `asked`. Ranges without a usable address are left out. False: it is no such
 * answer; fn may have been called for a part of it.
 */
typedef void slots_fn(
    void *arg, unsigned first, unsigned last, const struct address *master);
bool slots_parse(const struct reply *reply, const struct address *asked, slots_fn *fn,
    void *arg) MUST_CHECK;

#endif
