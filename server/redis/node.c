/* SPDX-License-Identifier: ISC */
#include "redis/node_inner.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "redis/late.h"

/* Counters were changed by something other than charges. */
void
node_forget_denials(struct node *node)
{
	if (node->shared->epoch)
		deny_epoch_end(node->shared->epoch);
}

static bool
refuse_known(struct node *node, struct take *take)
{
	if (!node->shared->denials || deny_cache_is_empty(node->shared->denials) ||
	    !deny_cache_refuse(node->shared->denials, take, clock_mono_us()))
		return false;
	metric_add(node_cells(node), METRIC_DENY_CACHE_HITS, 1);
	take->done(take);
	return true;
}

/* --- the contract ------------------------------------------------------------- */

enum store_fault
node_fault(const struct node *node, const char **text)
{
	if (!link_ready(node->link) || breaker_is_closed(&node->breaker))
		return link_fault(node->link, text);
	if (text)
		*text = node->trouble;
	return FAULT_BREAKER;
}

/* Whether Redis can be asked now. */
static inline bool
is_open_to(struct node *node)
{
	return link_ready(node->link) &&
	    (breaker_is_closed(&node->breaker) ||
		breaker_admits(&node->breaker, clock_mono_us()));
}

void
node_take(struct node *node, struct take *take, uint32_t lane)
{
	const char *why;

	if (UNLIKELY(!is_open_to(node))) {
		enum store_fault fault = node_fault(node, &why);

		store_fail(node->shared->store, take, fault, why);
		return;
	}
	take->asked = 0;
	if (!refuse_known(node, take))
		node_gather(node, take, lane);
}

bool
node_call(struct node *node, uint32_t lane, struct slice command, link_reply_fn *fn,
    void *arg)
{
	if (!link_ready(node->link) ||
	    (lane_is_asking(lane) && !node_send_asking(node)))
		return false;
	buf_add_slice(link_out(node->link), command);
	return link_expect(node->link, fn, arg) == 0;
}

void
node_give_up(struct node *node, const char *why)
{
	if (node_is_idle(node))
		link_drop(node->link, FAULT_TIMEOUT, why);
}

bool
node_is_idle(const struct node *node)
{
	return node->n == 0 && !gather_first(&node->gather) &&
	    trips_are_idle(node->trips);
}

const struct address *
node_address(const struct node *node)
{
	return link_address(node->link);
}

int64_t
node_heard_us(const struct node *node)
{
	return link_heard_us(node->link);
}

void
node_stand(struct take *take)
{
	if (take->late)
		late_stand(take->late);
}

void
node_settle(struct node *node, struct settle *settle, uint32_t lane)
{
	const char *why;
	enum store_fault fault;

	if (is_open_to(node)) {
		trips_settle(node->trips, settle, lane_is_asking(lane));
		return;
	}
	fault = node_fault(node, &why);
	store_fail_settle(node->shared->store, settle, fault, why);
}

void
node_reset(struct node *node, struct reset *reset, uint32_t lane)
{
	const char *why;
	enum store_fault fault;

	if (is_open_to(node)) {
		trips_reset(node->trips, reset, lane_is_asking(lane));
		return;
	}
	fault = node_fault(node, &why);
	store_fail_reset(node->shared->store, reset, fault, why);
}

void
node_flush(struct node *node)
{
	node_send(node);
}

bool
node_ready(const struct node *node)
{
	return link_ready(node->link) && !link_doubted(node->link) &&
	    breaker_is_closed(&node->breaker);
}

void
node_move(struct node *node, const struct address *address)
{
	if (node->relief)
		link_move(node->relief, address);
	link_move(node->link, address);
}

void
node_explain(struct node *node, enum store_fault fault, const char *why)
{
	link_explain(node->link, fault, why);
}

/* --- birth and death ---------------------------------------------------------- */

static void
on_trip_made(void *arg)
{
	node_forget_denials(arg);
}

static void
on_trip_stalled(void *arg)
{
	node_seek_relief(arg);
}

static void
on_trip_fault(void *arg, enum store_fault fault, const char *detail)
{
	struct node *node = arg;

	node_tell_fault(node, fault, detail);
	if (fault == FAULT_READONLY)
		link_drop(node->link, fault, detail);
}

/* A redirected settlement or reset is the owner's again. */
static bool
on_trip_refused(
    void *arg, struct settle *settle, struct reset *reset, struct slice text)
{
	struct node *node = arg;
	struct redirect where;
	const struct refused refused = { .settle = settle, .reset = reset };

	if (!node->ops->on_refused || !redirect_parse(text, node_address(node), &where))
		return false;
	if (settle || reset)
		node->ops->on_refused(node->arg, &refused, &where);
	return true;
}

static void
on_trip_parts(void *arg, struct settle *settle, const struct record *record)
{
	struct node *node = arg;

	node->ops->on_parts(node->arg, settle, record);
}

static struct trips *
new_trips(struct node *node)
{
	struct trips_options options = {
		.loop = node->shared->loop,
		.store = node->shared->store,
		.link = node->link,
		.max = node->shared->waiting_max,
		.on_made = on_trip_made,
		.on_stalled = on_trip_stalled,
		.on_fault = on_trip_fault,
		.on_refused = on_trip_refused,
		.on_parts = node->ops->on_parts ? on_trip_parts : NULL,
		.arg = node,
	};

	return trips_new(&options);
}

static bool
open_parts(struct node *node, const struct address *address)
{
	struct link_options options;

	node_link_options(node, &options, address);
	node->timer = loop_timer_new(node->shared->loop, node_on_deadline, node);
	if (node->timer)
		node->link = link_new(&options);
	if (node->link)
		node->trips = new_trips(node);
	return node->trips != NULL;
}

struct node *
node_new(struct node_shared *shared, const struct address *address,
    const struct node_ops *ops, void *arg)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->shared = shared;
	node->ops = ops;
	node->arg = arg;
	node->timer_us = INT64_MAX;
	gather_init(&node->gather, &shared->twins);
	pace_init(&node->pace);
	node->outcome.denials = shared->denials;
	node->outcome.on_late = ops->on_late ? node_on_late : NULL;
	node->outcome.arg = node;
	node->outcome.ahead_us = clock_real_us() - clock_mono_us();
	if (!open_parts(node, address)) {
		node_free(node);
		return NULL;
	}
	return node;
}

void
node_free(struct node *node)
{
	if (!node)
		return;
	node_drop_relief(node);
	/* `done` may start takes: first the breaker, then the link keeps them out. */
	(void)breaker_on_silence(&node->breaker);
	snprintf(node->trouble, sizeof(node->trouble), "shutting down");
	node_fail_all(node, FAULT_DISCONNECTED, node->trouble);
	link_free(node->link);
	node_drop_put_off(node);
	trips_free(node->trips);
	gather_fini(&node->gather);
	loop_timer_free(node->timer);
	buf_fini(&node->outcome.give_back);
	free(node->ring);
	free(node);
}
