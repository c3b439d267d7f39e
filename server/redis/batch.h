/* SPDX-License-Identifier: ISC */
/*
 * Many takes in one script call. A batch is gathered, sent, and answered:
 *
 *	batch_add()* -> batch_format() -> ... reply ... -> batch_apply()
 *
 * Takes of one shape (the same limits and costs) stand together as a run, so that the
 * call carries their keys and little else. Takes that are the very same (redis/twins)
 * are one entry of the call, with how many they are. An order of a batch's checks is as
 * good as any other: all of them were under way at once.
 *
 * A take whose deadline passes leaves the batch: before the call it is simply gone,
 * after it the batch keeps what is needed to give back what the call may have taken.
 *
 * Ownership: a batch borrows its takes; each is in one batch until it is done.
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

/* A longer script call gains no more: at 512 checks what it costs beside them is a
 * sixteenth (redis/pace). */
#define BATCH_CHECKS_MAX 512
#define BATCH_KEYS_MAX 2048

struct batch;
struct twins;

/* `twins` is borrowed scratch space that many batches may share: batch_format() alone
 * uses it. NULL: out of memory. */
struct batch *batch_new(struct twins *twins) MUST_CHECK;
void batch_free(struct batch *batch); /* holds no takes */

size_t batch_live(const struct batch *batch);  /* takes that are still in it */
bool batch_is_sent(const struct batch *batch); /* or gathers still */
/* Takes that the call asked for, also those that left since. */
size_t batch_asked(const struct batch *batch);
/* Counters of all of them; once it was sent, of the call. */
size_t batch_keys(const struct batch *batch);
bool batch_has_room(const struct batch *batch, const struct take *take);

/* 0, or ERR_NOMEM and the take is not in it. */
int batch_add(struct batch *batch, struct take *take) MUST_CHECK;

/* The call was refused before it ran and charged nothing: those that left are gone, the
 * others gather anew. Before anything may be added again. */
void batch_regather(struct batch *batch);

/* The same, and all that did not leave are the caller's again: a list over next. */
struct take *batch_take_back(struct batch *batch);

/*
 * Appends the EVALSHA of all takes that are still in it. around_us is what the server's
 * clock shows, about: limits that follow the calendar are sent with the windows around.
 * False: there was nothing to send.
 */
bool batch_format(
    struct batch *batch, struct slice sha, int64_t around_us, struct buf *out);

/* When it was sent, for the caller to fill in after batch_format(). */
struct deny_moment *batch_moment(struct batch *batch);
/* The same for the pace. */
struct pace_call *batch_call(struct batch *batch);
/* For the caller, from the first take on. */
struct admission_note *batch_note(struct batch *batch);

/* Calls fn(arg, take) for each take whose deadline is at or before now_us, after it
 * left the batch; late_tell() is how it is told later. Returns the earliest deadline that is left, INT64_MAX without one. */
int64_t batch_expire(struct batch *batch, int64_t now_us,
    void (*fn)(void *arg, struct take *take), void *arg);

/* Tells every take that is still in it that it failed; empties the batch. */
void batch_fail(struct batch *batch, struct store *store, enum store_fault fault,
    const char *detail);

/* What the reply said beside the answers of the takes that are still in the batch. */
struct batch_outcome {
	struct deny_cache *denials; /* in: borrowed, learns of refusals; NULL: nobody */
	int64_t answered_us;        /* in: clock_mono_us() when the reply came */
	/* in: gets the command that gives back of each late check that was charged, a
	 * view; NULL: give_back has one for all of them */
	void (*on_late)(void *arg, struct slice command);
	void *arg;
	int64_t ahead_us; /* in and out: how far the server's clock is ahead of
	                     clock_mono_us(), about; what each reply proves of it is
	                     held, so that the quickest ones tell best */

	size_t late;          /* takes that had left and of which the reply tells */
	size_t admitted;      /* of those, charged ones: give_back has their command */
	size_t stood;         /* of those, charged ones that are not given back */
	struct buf give_back; /* an EVAL to send when admitted > 0 */
	struct take *again;   /* list over next: to be added to a batch anew, since the
	                         dates that were sent did not fit now_us */
	struct take *astray;  /* the same, since a key of theirs is on another node of
	                         the Cluster by now */
	int64_t now_us;       /* the server's clock; 0: the reply made no sense */
	enum store_fault fault; /* of the first check that met an error, FAULT_NONE */
	char detail[TAKE_DETAIL_MAX]; /* what Redis said of it */
};

/* When the script began, by the server's clock; 0: the reply does not say. */
int64_t batch_began_us(const struct reply *reply);

/*
 * Hands the reply of the script to the takes (done runs) and empties the batch.
 * Of *out all is cleared and filled but what goes in. 0, or ERR_SYNTAX when the reply does not fit the
 * batch; then every take has failed with FAULT_OTHER.
 */
int batch_apply(struct batch *batch, const struct reply *reply, struct store *store,
    struct batch_outcome *out) MUST_CHECK;

#endif
