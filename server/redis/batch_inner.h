/* SPDX-License-Identifier: ISC */
/* The inside of a batch: what batch.c fills in and batch_answer.c reads. */
#ifndef REDIS_BATCH_INNER_H
#define REDIS_BATCH_INNER_H

#include "redis/batch.h"
#include "redis/late.h"
#include "redis/twins.h"

#define SHAPES_MAX 32 /* runs told apart in one batch; more just make more runs */

/* One check of the batch, or several identical ones; in the order of the script's
 * answers. */
struct entry {
	struct take *take; /* list over `next`: those that have not left */
	struct late
	    *late; /* of those that left, if anything may have to be given back */
	size_t n_late;
	size_t n;  /* elements of the reply that answer it */
	bool many; /* the first of them says how many were granted */
};

/* A list over take->next. */
struct list {
	struct take *first;
	struct take *last;
	size_t n;
};

/* Takes of one shape. */
struct run {
	struct list single;
	struct list leaders; /* takes that lead twins; filled in by batch_format() */
	bool mixed;          /* not of one shape, because there were too many shapes */
};

struct batch {
	struct batch *next, *chain; /* for redis/gather, while it gathers or is spare */
	uint32_t lane;
	bool sent;
	int64_t around_us; /* roughly the server's clock when it was sent */
	struct deny_moment moment;
	struct pace_call call;
	struct admission_note note;
	size_t n;     /* takes gathered, or entries once sent */
	size_t live;  /* takes that have not left */
	size_t asked; /* `live` when it was sent */
	size_t keys;
	struct run *runs; /* grown, at most SHAPES_MAX */
	size_t n_runs, runs_cap;
	struct entry *entries; /* grown; filled by batch_format() */
	size_t entries_cap;
	struct twins *twins; /* borrowed */
};

/* Empties it. */
void batch_clear(struct batch *batch);

#endif
