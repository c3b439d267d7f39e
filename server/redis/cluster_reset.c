/* SPDX-License-Identifier: ISC */
/* A reset of keys that one command may not name together, split into one for each slot, or
 * for each key. */
#include <stdlib.h>
#include <string.h>

#include "redis/cluster_inner.h"

struct part {
	struct reset reset;
	struct split *split;
};

struct split {
	struct cluster *cluster;
	struct reset *whole;
	size_t pending;
	struct slice *keys; /* in the order of the parts */
	struct part parts[];
};

static void
finish(struct split *split)
{
	struct reset *whole = split->whole;

	free(split->keys);
	free(split);
	whole->done(whole);
}

/* The first part's fault is the fault of the whole. */
static void
on_part(struct reset *reset)
{
	struct part *part = (struct part *)(void *)reset;
	struct split *split = part->split;
	struct reset *whole = split->whole;

	whole->held += reset->held;
	if (reset->fault != FAULT_NONE && whole->fault == FAULT_NONE) {
		whole->fault = reset->fault;
		memcpy(whole->detail, reset->detail, sizeof(whole->detail));
	}
	if (--split->pending == 0)
		finish(split);
}

static int
compare_slots(const void *a, const void *b)
{
	unsigned s = slot_of(*(const struct slice *)a);
	unsigned t = slot_of(*(const struct slice *)b);

	return (s > t) - (s < t);
}

/* How many of the sorted keys, from `at` on, make up one part. */
static size_t
part_length(const struct split *split, size_t at, bool alone)
{
	size_t n = 1;

	while (!alone && at + n < split->whole->n &&
	    compare_slots(&split->keys[at], &split->keys[at + n]) == 0)
		n++;
	return n;
}

static struct split *
split_new(struct cluster *cluster, struct reset *whole)
{
	struct split *split =
	    calloc(1, sizeof(*split) + whole->n * sizeof(split->parts[0]));

	if (!split)
		return NULL;
	split->cluster = cluster;
	split->whole = whole;
	split->keys = malloc(whole->n * sizeof(split->keys[0]));
	if (!split->keys) {
		free(split);
		return NULL;
	}
	memcpy(split->keys, whole->keys, whole->n * sizeof(split->keys[0]));
	qsort(split->keys, whole->n, sizeof(split->keys[0]), compare_slots);
	return split;
}

void
cluster_split_reset(struct cluster *cluster, struct reset *whole, bool alone)
{
	struct split *split = split_new(cluster, whole);
	size_t parts = 0;

	if (!split) {
		store_fail_reset(&cluster->store, whole, FAULT_OTHER, "out of memory");
		return;
	}
	whole->held = 0;
	whole->fault = FAULT_NONE;
	whole->detail[0] = '\0';
	for (size_t at = 0; at < whole->n; parts++) {
		struct part *part = &split->parts[parts];

		part->split = split;
		part->reset = (struct reset){ .keys = &split->keys[at],
			.n = part_length(split, at, alone),
			.deadline_us = whole->deadline_us,
			.done = on_part };
		at += part->reset.n;
	}
	split->pending =
	    parts + 1; /* so that no part ends the whole before all began */
	for (size_t i = 0; i < parts; i++)
		cluster_send_reset(cluster, &split->parts[i].reset);
	if (--split->pending == 0)
		finish(split);
}
