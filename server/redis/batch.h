/* SPDX-License-Identifier: ISC */
/*
 * Many takes in one script call. A batch is gathered, sent, and answered:
 *
 *	batch_add()* -> batch_format() -> ... reply ... -> batch_apply()
 *
 * Takes of one shape (the same limits and costs) form a run, so that the call carries
 * their keys and little else. Takes that are identical (redis/twins) are one entry of the
 * call, with a count. Any order of a batch's checks is as good as another: all of them
 * were under way at the same time.
 *
 * A take whose deadline passes leaves the batch: before the call is sent it is simply
 * gone, afterwards the batch keeps what is needed to give back what the call may charge.
 *
 * Ownership: a batch borrows its takes; each is in one batch until it is done.
 * Threads: belongs to its node's.
 */
#ifndef REDIS_BATCH_H
#define REDIS_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "redis/admission.h"
#include "redis/pace.h"
#include "redis/reply.h"
#include "store/deny_cache.h"
#include "store/store.h"

/* Longer script calls gain no more: at 512 checks the fixed cost of a call is a sixteenth
 * of the whole (redis/pace). */
#define BATCH_CHECKS_MAX 512
#define BATCH_KEYS_MAX 2048

struct batch;
struct twins;

/* `twins` is borrowed scratch space for batch_format(), which many batches may share.
 * NULL: out of memory. */
struct batch *batch_new(struct twins *twins) MUST_CHECK;
void batch_free(struct batch *batch); /* it must have no takes */

size_t batch_live(const struct batch *batch);  /* takes that are still in it */
bool batch_is_sent(const struct batch *batch); /* false: it still gathers */
/* How many takes were sent, including those that have left since. */
size_t batch_asked(const struct batch *batch);
/* Counters of all its takes; once it was sent, of the call. */
size_t batch_keys(const struct batch *batch);
bool batch_has_room(const struct batch *batch, const struct take *take);

/* 0, or ERR_NOMEM and the take is not in it. */
int batch_add(struct batch *batch, struct take *take) MUST_CHECK;

/* The call was refused before it ran, and charged nothing: takes that have left are
 * forgotten, the others gather again, and more may be added. */
void batch_regather(struct batch *batch);

/* The same, but returns the takes that have not left, a list over `next`, to the caller;
 * the batch is empty then. */
struct take *batch_take_back(struct batch *batch);

/*
 * Appends the EVALSHA of all takes that are still in it. around_us is roughly what the
 * server's clock shows: limits that follow the calendar are sent with the windows around
 * it. False: there was nothing to send.
 */
bool batch_format(
    struct batch *batch, struct slice sha, int64_t around_us, struct buf *out);

/* What the caller notes with the batch: for the deny cache and the pace, to be filled in
 * after batch_format(); for the admission, from the first take on. */
struct deny_moment *batch_moment(struct batch *batch);
struct pace_call *batch_call(struct batch *batch);
struct admission_note *batch_note(struct batch *batch);

/* Takes each take whose deadline is at or before now_us out of the batch, then calls
 * fn(arg, take); the caller has to tell it, by late_tell(). Returns the earliest deadline
 * that is left, INT64_MAX without one. */
int64_t batch_expire(struct batch *batch, int64_t now_us,
    void (*fn)(void *arg, struct take *take), void *arg);

/* Fails every take that is still in it; empties the batch. */
void batch_fail(struct batch *batch, struct store *store, enum store_fault fault,
    const char *detail);

/* What a reply says besides the answers to the takes that are still in the batch. */
struct batch_outcome {
	struct deny_cache *denials; /* in: learns of refusals; borrowed, may be NULL */
	int64_t answered_us;        /* in: clock_mono_us() when the reply came */
	/* in: called with the command, a view, that gives back the charges of one late
	 * check; NULL: give_back gets one for all of them */
	void (*on_late)(void *arg, struct slice command);
	void *arg;
	int64_t ahead_us; /* in and out: roughly how far the server's clock is ahead of
	                     clock_mono_us(). Every reply gives bounds, which this keeps
	                     to, so that the quickest replies tell most */

	size_t late;          /* takes that had left, and that the reply answers */
	size_t admitted;      /* those of them that were charged: give_back is theirs */
	size_t stood;         /* those of them that were charged, and it stands */
	struct buf give_back; /* the EVAL to send when admitted > 0 */
	struct take *again;   /* list over `next`: to be added to a batch again, because
	                         the windows that were sent did not hold now_us */
	struct take *astray; /* the same, because one of their keys has moved to another
	                         node of the Cluster */
	int64_t now_us;      /* the server's clock; 0: the reply made no sense */
	enum store_fault
	    fault; /* of the first check that met an error, or FAULT_NONE */
	char detail[TAKE_DETAIL_MAX]; /* what Redis said about it */
};

/* When the script began, by the server's clock; 0: the reply does not say. */
int64_t batch_began_us(const struct reply *reply);

/*
 * Hands the script's reply to the takes, whose `done` runs, and empties the batch. Clears
 * and fills in *out except what is marked "in". 0, or ERR_SYNTAX when the reply does not
 * fit the batch; then every take has failed with FAULT_OTHER.
 */
int batch_apply(struct batch *batch, const struct reply *reply, struct store *store,
    struct batch_outcome *out) MUST_CHECK;

#endif
