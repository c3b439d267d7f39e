/* SPDX-License-Identifier: ISC */
/* What gathers for a node, and how it leaves. */
#include <stdlib.h>

#include "base/clock.h"
#include "redis/node_inner.h"

/* A flight is what leaves in one write: one call, or, over a Cluster, many small ones of
 * different slots. A call with this many keys is a flight of its own. */
#define FLIGHT_KEYS_MAX BATCH_CHECKS_MAX

static bool
ring_grow(struct node *node)
{
	size_t cap = node->cap ? node->cap * 2 : 8;
	struct batch **ring = malloc(cap * sizeof(*ring));

	if (!ring)
		return false;
	for (size_t i = 0; i < node->n; i++)
		ring[i] = node_ring_at(node, i);
	free(node->ring);
	node->ring = ring;
	node->cap = cap;
	node->head = 0;
	return true;
}

static bool
ring_push(struct node *node, struct batch *batch)
{
	if (node->n == node->cap && !ring_grow(node))
		return false;
	node->ring[(node->head + node->n++) % node->cap] = batch;
	return true;
}

static void
on_asking(void *arg, const struct reply *reply)
{
	(void)arg;
	(void)reply;
}

bool
node_send_asking(struct node *node)
{
	buf_add_str(link_out(node->link), "*1\r\n$6\r\nASKING\r\n");
	return link_expect(node->link, on_asking, NULL) == 0;
}

/* Sends the batch that has gathered longest. On failure the link was dropped, and on_down()
 * has failed all batches. */
static bool
send_batch(struct node *node)
{
	struct batch *batch = gather_first(&node->gather);
	int64_t now_us = clock_mono_us();

	if (batch_live(batch) == 0) { /* all its takes had left */
		gather_put(&node->gather, gather_pop(&node->gather));
		return true;
	}
	if (lane_is_asking(gather_lane(batch)) && !node_send_asking(node))
		return false;
	if (!ring_push(node, batch)) {
		link_drop(node->link, FAULT_OTHER, "out of memory");
		return false;
	}
	gather_pop(&node->gather);
	(void)batch_format(batch, link_take_sha(node->link),
	    now_us + node->outcome.ahead_us, link_out(node->link));
	batch_moment(batch)->sent_us = now_us;
	if (node->shared->epoch)
		batch_moment(batch)->epoch = deny_epoch_now(node->shared->epoch);
	pace_on_send(&node->pace, batch_call(batch), batch_keys(batch), now_us);
	admission_on_send(&node->admission, batch_note(batch), now_us);
	metric_add(node_cells(node), METRIC_STORE_BATCHES, 1);
	breaker_on_sent(&node->breaker);
	return link_expect(node->link, node_on_reply, node) == 0;
}

/* The work that the next flight is for Redis, in counters. */
static size_t
flight_keys(const struct node *node)
{
	struct batch *batch = gather_first(&node->gather);
	size_t keys = batch_keys(batch);

	while ((batch = gather_next(batch)) && keys < FLIGHT_KEYS_MAX)
		keys += PACE_CALL_KEYS + batch_keys(batch);
	return keys;
}

/* Sends as many batches as one flight has room for. False when the link was dropped. */
static bool
send_flight(struct node *node)
{
	size_t most = pace_keys_max(&node->pace);
	size_t keys = 0;
	struct batch *batch;

	if (most > FLIGHT_KEYS_MAX)
		most = FLIGHT_KEYS_MAX;
	if (node->n == 0)
		node->progress_us = clock_mono_us();
	while ((batch = gather_first(&node->gather))) {
		size_t more = batch_keys(batch);

		if (keys > 0 &&
		    (keys + PACE_CALL_KEYS + more > most ||
			!admission_may_send(&node->admission, batch_note(batch))))
			break;
		keys += PACE_CALL_KEYS + more;
		if (!send_batch(node))
			return false;
	}
	return true;
}

bool
node_may_send(const struct node *node)
{
	if (!link_ready(node->link) || !gather_first(&node->gather))
		return false;
	return pace_allows(&node->pace, flight_keys(node)) &&
	    admission_may_send(
		&node->admission, batch_note(gather_first(&node->gather)));
}

/* Not if there are many answers to write, for which Redis would have to idle. */
bool
node_wants_more(const struct node *node)
{
	return node->answered_turn == loop_turn(node->shared->loop) &&
	    node->answered < PACE_CALL_KEYS && node_may_send(node) &&
	    flight_keys(node) < PACE_CALL_KEYS;
}

/* Waits have become too long: takes that gather, and would be answered too late, are
 * refused now. */
static void
refuse_hopeless(struct node *node)
{
	struct admission *admission = &node->admission;
	size_t ahead = (size_t)admission->under_way;
	int64_t now_us = clock_mono_us();

	admission->tightened = false;
	for (struct batch *b = gather_first(&node->gather); b; b = gather_next(b)) {
		size_t own = batch_live(b);
		int64_t needs_us = admission_needs_us(admission, ahead, own);

		if (needs_us > 0)
			(void)node_expire(node, b, now_us + needs_us);
		ahead += batch_live(b);
	}
	node_tell_expired(node, FAULT_OVERLOAD);
}

void
node_send(struct node *node)
{
	if (node->admission.tightened && gather_first(&node->gather))
		refuse_hopeless(node);
	while (node_may_send(node))
		if (!send_flight(node))
			return;
}

/* How many counters a batch may have: at least enough for one take. */
static size_t
keys_max(const struct node *node)
{
	size_t pace = pace_keys_max(&node->pace);
	size_t flight = admission_flight_max(&node->admission);

	return pace < flight ? pace : flight;
}

/* A take that is in no batch joins the one that gathers. */
void
node_gather(struct node *node, struct take *take, uint32_t lane)
{
	int64_t now_us = loop_now_us(node->shared->loop);
	int64_t budget_us = take->deadline_us - now_us;
	struct admission *admission = &node->admission;
	struct batch *batch = NULL;

	if (node->shared->waiting < node->shared->waiting_max &&
	    admission_allows(admission, budget_us, now_us))
		batch = gather_for(&node->gather, lane, take, keys_max(node));
	if (!batch || batch_add(batch, take) < 0) {
		store_fail(node->shared->store, take, FAULT_OVERLOAD, NULL);
		return;
	}
	if (batch_live(batch) == 1)
		admission_begin(batch_note(batch), budget_us, now_us);
	admission_join(admission, batch_note(batch));
	node->shared->waiting++;
	node_arm(node, take->deadline_us);
}
