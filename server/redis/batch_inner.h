/* SPDX-License-Identifier: ISC */
/* A batch from within: what batch.c fills in and batch_answer.c reads. */
#ifndef REDIS_BATCH_INNER_H
#define REDIS_BATCH_INNER_H

#include "redis/batch.h"
#include "redis/late.h"
#include "redis/twins.h"

#define SHAPES_MAX 32 /* runs told apart in one batch; more just make more runs */

/* One check of the batch, or all that are the same, in the order of the script's answer. */
struct entry {
	struct take *take; /* list over next: those that did not leave */
	struct late
	    *late; /* of those that left, if something may have to be given back */
	size_t n_late;
	size_t n;  /* elements that answer it */
	bool many; /* they begin with how many were granted */
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
	struct list leaders; /* those that lead others; filled by batch_format() */
	bool mixed;          /* not of one shape: there were too many */
};

struct batch {
	struct batch *next, *chain; /* redis/gather's, while it gathers or is spare */
	uint32_t lane;
	bool sent;
	int64_t around_us; /* the server's clock when it was sent, about */
	struct deny_moment moment;
	struct pace_call call;
	struct admission_note note;
	size_t n;     /* takes gathered, or entries once sent */
	size_t live;  /* takes that did not leave */
	size_t asked; /* live, when it was sent */
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
