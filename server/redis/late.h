/* SPDX-License-Identifier: ISC */
/*
 * Takes that left after they were sent, and giving back what they turn out to have
 * been charged. Neither their keys, nor their limits, nor the policy need live on.
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

/* What must be known of the take, which was sent with the windows around around_us; the
 * caller's reference. NULL when out of memory. */
struct late *late_new(const struct take *take, int64_t around_us) MUST_CHECK;
struct late *late_ref(struct late *late); /* NULL is fine */
void late_unref(struct late *late);       /* the same */

/* Tells a take that left that it failed; gives up the reference that take->late holds
 * until done has run. */
void late_tell(struct store *store, struct take *take, enum store_fault fault);

/* One more of the takes that the late stands for is not to be given back. */
void late_stand(struct late *late);
/* How many of them. */
size_t late_standing(const struct late *late);

/* The command under way, gathered; all zero: nothing yet. */
struct give_back {
	struct buf keys;
	struct buf args;
	size_t n_keys, n_args;
};

/* Whether it was charged, or was a retry of one that was: its part of the reply begins at
 * `at`. */
bool late_was_charged(const struct late *late, const struct reply *reply, size_t at);

/* Adds a late take, if it was charged, or was a retry of one that was: its part of the
 * reply begins at `at`. The script gives back if nobody else was told of the same
 * charges; then what the ledger wrote goes, too. False: there is nothing to give back. */
bool late_give_back(struct give_back *gb, const struct late *late,
    const struct reply *reply, size_t at) MUST_CHECK;

/* Adds one of many late takes that are the same and were granted: `v` has the numbers
 * after the last of them, and `later` were granted behind it. now_us is the server's
 * clock then. */
void late_give_back_twin(struct give_back *gb, const struct late *late,
    const struct reply_value *v, int64_t later, int64_t now_us);

/* Adds a take that was admitted and told so, but that is not to stand: it was a part of one
 * that was refused. Otherwise as a late one. False: out of memory. */
bool late_take_back(struct give_back *gb, const struct take *take) MUST_CHECK;

/* Appends the EVAL, if anything was added and there was memory for it, and frees what
 * was gathered. */
void give_back_format(struct give_back *gb, struct buf *out);

/* Appends the same call by the script's name only, which is a hundredth of it: the server
 * may not know it (NOSCRIPT). `eval` is what give_back_format() wrote. */
void give_back_by_sha(struct slice eval, struct buf *out);

#endif
