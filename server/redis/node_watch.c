/* SPDX-License-Identifier: ISC */
/* What time does to a node: deadlines pass, a server falls silent, the connection comes and
 * goes. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "redis/late.h"
#include "redis/node_inner.h"

/* How often to look whether a relief has to take over, or is no longer needed. */
#define RELIEF_AGAIN_US INT64_C(250000)
/* The server is silent when calls that nobody waits for any more are unanswered this
 * long. */
#define SILENCE_US INT64_C(250000)

void
node_arm(struct node *node, int64_t deadline_us)
{
	int64_t delay;

	if (deadline_us >= node->timer_us)
		return;
	node->timer_us = deadline_us;
	delay = deadline_us - clock_mono_us();
	loop_timer_set(node->timer, delay > 0 ? delay : 0);
}

static void
keep_expired(void *arg, struct take *take)
{
	struct node *node = arg;

	take->next = node->expired;
	node->expired = take;
}

int64_t
node_expire(struct node *node, struct batch *batch, int64_t until_us)
{
	size_t before = batch_live(batch);
	int64_t earliest = batch_expire(batch, until_us, keep_expired, node);

	/* The server still has the work of takes under way, even of those that left. */
	if (!batch_is_sent(batch))
		admission_leave(
		    &node->admission, batch_note(batch), before - batch_live(batch));
	return earliest;
}

void
node_tell_expired(struct node *node, enum store_fault fault)
{
	while (node->expired) {
		struct take *take = node->expired;

		node->expired = take->next;
		node->shared->waiting--;
		late_tell(node->shared->store, take, fault);
	}
}

/* Whether nothing has come for longer than a connection is given, even if some callers
 * would wait longer. */
static bool
is_stalled(const struct node *node, int64_t now_us)
{
	return node->n > 0 && now_us - node->progress_us > LINK_STALL_US;
}

/* When to look whether the server is silent, and after that whether it is stalled. There
 * may be no deadline to wake us, because everything is refused or nothing is asked. */
static int64_t
next_look_us(const struct node *node, int64_t now_us)
{
	int64_t silent_us = node->progress_us + SILENCE_US;
	int64_t stalled_us = node->progress_us + LINK_STALL_US + 1;

	if (node->n == 0)
		return INT64_MAX;
	if (silent_us > now_us)
		return silent_us;
	return stalled_us > now_us ? stalled_us : INT64_MAX;
}

static int64_t
least(int64_t a_us, int64_t b_us)
{
	return a_us < b_us ? a_us : b_us;
}

static const struct link_ops link_events;

void
node_link_options(
    struct node *node, struct link_options *options, const struct address *address)
{
	*options = (struct link_options){
		.loop = node->shared->loop,
		.url = node->shared->url,
		.tls = node->shared->tls,
		.address = address,
		.ops = &link_events,
		.arg = node,
		.cells = node_cells(node),
	};
}

void
node_log_breaker(struct node *node, const char *state)
{
	log_warn("redis", "%s: %s (%s)", link_shown(node->link), state, node->trouble);
}

/* Not every late answer is a silence: later calls may still be answered in time. */
static void
tell_silence(struct node *node, int64_t now_us)
{
	if (node->n == 0 || batch_live(node_ring_at(node, 0)) > 0 ||
	    now_us - node->progress_us < SILENCE_US ||
	    !breaker_on_silence(&node->breaker))
		return;
	snprintf(node->trouble, sizeof(node->trouble), "no reply for %d ms",
	    (int)(SILENCE_US / 1000));
	metric_add(node_cells(node), METRIC_STORE_BREAKER_OPENED, 1);
	node_log_breaker(node, "silent: nothing is asked until it answers");
}

static void
open_up(struct node *node)
{
	breaker_close(&node->breaker);
	if (node->ops->on_up)
		node->ops->on_up(node->arg);
}

/* The link's replies have not come although a new connection got through: they never
 * will. */
static void
relieve(struct node *node)
{
	struct link *lost = node->link;
	struct link *relief = node->relief;

	node->relief = NULL;
	link_drop(lost, FAULT_TIMEOUT, "no reply for 3 s, but on a new connection");
	node->link = relief;
	trips_set_link(node->trips, relief);
	link_free(lost);
	open_up(node);
}

/* If the link was heard from meanwhile, with a part of a reply, it may go on waiting. */
static bool
may_relieve(const struct node *node)
{
	return node->relief && link_ready(node->relief) &&
	    clock_mono_us() - link_heard_us(node->link) >= LINK_STALL_US;
}

void
node_seek_relief(struct node *node)
{
	struct link_options options;

	if (may_relieve(node)) {
		relieve(node);
		return;
	}
	if (!node->relief) {
		log_warn("redis", "%s: no reply for 3 s; trying another connection",
		    link_shown(node->link));
		node_link_options(node, &options, link_address(node->link));
		node->relief = link_new(&options); /* if out of memory: next time */
	}
	node_arm(node, clock_mono_us() + RELIEF_AGAIN_US);
}

void
node_drop_relief(struct node *node)
{
	link_free(node->relief);
	node->relief = NULL;
}

/* Returns the earliest deadline that is left. */
static int64_t
expire_all(struct node *node, int64_t now_us)
{
	int64_t earliest = INT64_MAX;

	for (size_t i = 0; i < node->n; i++)
		earliest =
		    least(earliest, node_expire(node, node_ring_at(node, i), now_us));
	for (struct batch *b = gather_first(&node->gather); b; b = gather_next(b))
		earliest = least(earliest, node_expire(node, b, now_us));
	return earliest;
}

void
node_on_deadline(void *arg)
{
	struct node *node = arg;
	int64_t now_us = clock_mono_us();
	int64_t earliest = expire_all(node, now_us);

	node->timer_us = INT64_MAX;
	breaker_rest(&node->breaker, now_us);
	earliest = least(earliest, breaker_rest_us(&node->breaker));
	earliest = least(earliest, next_look_us(node, now_us));
	if (node->n > 0)
		admission_on_wait(
		    &node->admission, batch_note(node_ring_at(node, 0)), now_us);
	tell_silence(node, now_us);
	if (node->relief && node_is_idle(node))
		node_drop_relief(node); /* the replies owed have come */
	if (node->relief || is_stalled(node, now_us))
		node_seek_relief(node);
	if (earliest != INT64_MAX)
		node_arm(node, earliest);
	node_tell_expired(node, FAULT_TIMEOUT);
}

static void
on_ready(void *arg)
{
	struct node *node = arg;

	if (node->relief && link_ready(node->relief)) {
		if (may_relieve(node))
			relieve(node);
		return;
	}
	open_up(node);
}

static void
on_missed(void *arg)
{
	struct node *node = arg;

	if (node->ops->on_missed)
		node->ops->on_missed(node->arg);
}

static void
fail_and_put(
    struct node *node, struct batch *batch, enum store_fault fault, const char *why)
{
	node->shared->waiting -= batch_live(batch);
	batch_fail(batch, node->shared->store, fault, why);
	gather_put(&node->gather, batch);
}

/* `done` may start takes: they fail at once, because the link is not ready. */
void
node_fail_all(struct node *node, enum store_fault fault, const char *why)
{
	while (node->n > 0)
		fail_and_put(node, node_ring_pop(node), fault, why);
	while (gather_first(&node->gather))
		fail_and_put(node, gather_pop(&node->gather), fault, why);
}

static void
on_down(void *arg)
{
	struct node *node = arg;
	const char *why;
	enum store_fault fault = link_fault(node->link, &why);

	if (link_ready(node->link))
		return; /* it was the relief */
	node_drop_relief(node);
	node_drop_put_off(node);
	for (size_t i = 0; i < node->n; i++)
		metric_add(node_cells(node), METRIC_STORE_LOST,
		    (int64_t)batch_asked(node_ring_at(node, i)));
	node_forget_denials(node); /* counters may be different when it is back */
	pace_init(&node->pace);
	node->admission = (struct admission){ 0 };
	node_fail_all(node, fault, why);
	if (node->ops->on_down)
		node->ops->on_down(node->arg);
}

static const struct link_ops link_events = { on_ready, on_down, on_missed };
