/* SPDX-License-Identifier: ISC */
/* Settles a reservation with records in several slots. The one that its id names comes last,
 * so that whoever settles it again finds what is left to do. */
#include <stdlib.h>
#include <string.h>

#include "redis/span.h"

struct settling {
	struct cluster *cluster;
	struct settle *whole;
	struct settle part;
	size_t n, at;
	struct slice keys[TAKE_CHARGES_MAX];
	char text[];
};

static void on_part(struct settle *settle);

static void
next_part(struct settling *settling)
{
	struct cluster *cluster = settling->cluster;
	struct settle *whole = settling->whole;

	if (settling->at == settling->n) {
		free(settling);
		whole->parts_done = true;
		cluster_send_settle(cluster, whole);
		return;
	}
	settling->part = *whole;
	settling->part.key = settling->keys[settling->at++];
	settling->part.moves = 0;
	settling->part.parts_done = true; /* it names no others */
	settling->part.done = on_part;
	cluster_send_settle(cluster, &settling->part);
}

/* A part that is gone has expired: what it charged stands. But a slot that is no longer
 * held cannot be prolonged. */
static void
on_part(struct settle *part)
{
	struct settling *settling = CONTAINER_OF(part, struct settling, part);
	struct settle *whole = settling->whole;

	if (part->status != SETTLE_FAILED &&
	    (part->status != SETTLE_UNKNOWN || part->action != SETTLE_RENEW)) {
		next_part(settling);
		return;
	}
	whole->status = part->status;
	whole->fault = part->fault;
	memcpy(whole->detail, part->detail, sizeof(whole->detail));
	free(settling);
	whole->done(whole);
}

void
span_settle(struct cluster *cluster, struct settle *whole, const struct record *record)
{
	struct settling *settling;
	size_t bytes = 0;

	for (size_t i = 0; i < record->n_parts; i++)
		bytes += record->parts[i].len;
	settling = calloc(1, sizeof(*settling) + bytes);
	if (!settling) {
		store_fail_settle(&cluster->store, whole, FAULT_OTHER, "out of memory");
		return;
	}
	settling->cluster = cluster;
	settling->whole = whole;
	settling->n = record->n_parts;
	bytes = 0;
	for (size_t i = 0; i < record->n_parts; i++) {
		struct slice key = record->parts[i];

		memcpy(settling->text + bytes, key.ptr, key.len);
		settling->keys[i] = slice_make(settling->text + bytes, key.len);
		bytes += key.len;
	}
	next_part(settling);
}
