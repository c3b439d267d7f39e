/* SPDX-License-Identifier: ISC */
#include "redis/gather.h"

#include <string.h>

#include "redis/batch_inner.h"

/* How many spare batches are kept. Small ones are many, and cheap to keep; of large ones a
 * few are enough. */
#define SPARE_MAX 512
#define SPARE_LARGE_MAX 4
#define LARGE_ENTRIES 16

void
gather_init(struct gather *gather, struct twins *twins)
{
	memset(gather, 0, sizeof(*gather));
	gather->twins = twins;
}

void
gather_fini(struct gather *gather)
{
	struct batch *batch;

	while ((batch = gather->spare)) {
		gather->spare = batch->next;
		batch_free(batch);
	}
	gather->n_spare = 0;
}

static struct batch **
bucket_of(struct gather *gather, uint32_t lane)
{
	return &gather->buckets[(lane ^ lane >> 8) % GATHER_BUCKETS];
}

/* The pointer, in its bucket's chain, to the lane's batch that may still grow. */
static struct batch **
find(struct gather *gather, uint32_t lane)
{
	struct batch **at = bucket_of(gather, lane);

	while (*at && (*at)->lane != lane)
		at = &(*at)->chain;
	return at;
}

static void
hang(struct gather *gather, struct batch *batch)
{
	struct batch **bucket = bucket_of(gather, batch->lane);

	batch->chain = *bucket;
	*bucket = batch;
}

/* The batch takes no more takes. */
static void
unhang(struct gather *gather, struct batch *batch)
{
	struct batch **at = find(gather, batch->lane);

	if (*at == batch)
		*at = batch->chain;
}

static struct batch *
obtain(struct gather *gather)
{
	struct batch *batch = gather->spare;

	if (!batch)
		return batch_new(gather->twins);
	gather->spare = batch->next;
	gather->n_spare--;
	return batch;
}

struct batch *
gather_for(
    struct gather *gather, uint32_t lane, const struct take *take, size_t keys_max)
{
	struct batch *batch = lane & LANE_ALONE ? NULL : *find(gather, lane);

	if (batch && batch_has_room(batch, take) && batch_keys(batch) < keys_max)
		return batch;
	if (batch)
		unhang(gather, batch);
	batch = obtain(gather);
	if (!batch)
		return NULL;
	batch->lane = lane;
	batch->next = NULL;
	if (gather->first)
		gather->last->next = batch;
	else
		gather->first = batch;
	gather->last = batch;
	gather->n++;
	if (!(lane & LANE_ALONE))
		hang(gather, batch);
	return batch;
}

struct batch *
gather_first(const struct gather *gather)
{
	return gather->first;
}

struct batch *
gather_next(const struct batch *batch)
{
	return batch->next;
}

struct batch *
gather_pop(struct gather *gather)
{
	struct batch *batch = gather->first;

	gather->first = batch->next;
	gather->n--;
	unhang(gather, batch);
	return batch;
}

void
gather_push(struct gather *gather, struct batch *batch)
{
	batch->next = gather->first;
	gather->first = batch;
	gather->n++;
	if (!batch->next)
		gather->last = batch;
	if (!(batch->lane & LANE_ALONE) && !*find(gather, batch->lane))
		hang(gather, batch);
}

void
gather_put(struct gather *gather, struct batch *batch)
{
	bool large = batch->entries_cap > LARGE_ENTRIES;

	if (gather->n_spare >= (large ? SPARE_LARGE_MAX : SPARE_MAX)) {
		batch_free(batch);
		return;
	}
	batch->next = gather->spare;
	gather->spare = batch;
	gather->n_spare++;
}

uint32_t
gather_lane(const struct batch *batch)
{
	return batch->lane;
}
