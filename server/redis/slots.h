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

/* CRC16/XMODEM of the key's hash tag – what stands between its first '{' and the next
 * '}', if anything does – or else of all of it, modulo SLOTS. */
unsigned slot_of(struct slice key);

/*
 * Reads the answer to CLUSTER SLOTS, as Redis from 6.2 to 8 and Valkey give it, and calls
 * fn for each range with the address of its master. Where a node is told without a host
 * it is that of `asked`. Ranges without a usable address are left out. False: the answer
 * is none; fn may have been called for a part of it.
 */
typedef void slots_fn(
    void *arg, unsigned first, unsigned last, const struct address *master);
bool slots_parse(const struct reply *reply, const struct address *asked, slots_fn *fn,
    void *arg) MUST_CHECK;

#endif
