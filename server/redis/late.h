/* SPDX-License-Identifier: ISC */
/*
 * Late takes: they left their batch after it was sent, and what they turn out to have
 * been charged is given back. Their keys, limits and policy need not live on.
 */
#ifndef REDIS_LATE_H
#define REDIS_LATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "redis/reply.h"
#include "store/store.h"

struct late;

/* Notes what has to be known of the take, which was sent with the windows around
 * around_us. Returns a reference, owned; NULL when out of memory. */
struct late *late_new(const struct take *take, int64_t around_us) MUST_CHECK;
struct late *late_ref(struct late *late); /* NULL is fine */
void late_unref(struct late *late);       /* the same */

/* Fails a take that left; drops the reference that take->late holds, once `done` has
 * run. */
void late_tell(struct store *store, struct take *take, enum store_fault fault);

/* The charges of one more of its takes are to stand, not to be given back. */
void late_stand(struct late *late);
/* How many are to stand. */
size_t late_standing(const struct late *late);

/* A command that gives back, while it is put together; all zero: nothing yet. */
struct give_back {
	struct buf keys;
	struct buf args;
	size_t n_keys, n_args;
};

/* Whether the take was charged, or was a retry of one that was; `at` is where its part of
 * the reply begins. */
bool late_was_charged(const struct late *late, const struct reply *reply, size_t at);

/* Adds a late take if late_was_charged(). The script gives the charges back unless
 * somebody else was told of the same ones (by a retry); if it does, it also removes what
 * the ledger wrote. False: there is nothing to give back. */
bool late_give_back(struct give_back *gb, const struct late *late,
    const struct reply *reply, size_t at) MUST_CHECK;

/* Adds one of several identical late takes that were granted: `v` are the numbers after
 * the last of them, and `later` of them were granted after this one. now_us is the
 * server's clock at that time. */
void late_give_back_twin(struct give_back *gb, const struct late *late,
    const struct reply_value *v, int64_t later, int64_t now_us);

/* Adds a take that was admitted, and told so, but must not stand because it was part of
 * one that was refused (redis/span). Otherwise as a late one. False: out of memory. */
bool late_take_back(struct give_back *gb, const struct take *take) MUST_CHECK;

/* Appends the EVAL, unless nothing was added or memory ran out, and frees what was put
 * together. */
void give_back_format(struct give_back *gb, struct buf *out);

/* Appends the same call as an EVALSHA, a hundredth of its size; the server may not have
 * the script (NOSCRIPT). `eval` is what give_back_format() wrote. */
void give_back_by_sha(struct slice eval, struct buf *out);

#endif
