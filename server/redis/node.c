/* SPDX-License-Identifier: ISC */
#include "redis/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "redis/batch.h"
#include "redis/breaker.h"
#include "redis/fault.h"
#include "redis/link.h"
#include "redis/pace.h"
#include "redis/trip.h"

/* A take is refused at once when it would wait for so many times what its deadline
 * leaves it. */
#define HOPELESS 2
/* Calls that nobody waits for any more, unanswered for so long: the server is silent. */
#define SILENCE_US INT64_C(250000)
/* The same fault of script calls is logged so often at most. */
#define TELL_AGAIN_US INT64_C(60000000)

/* Batches are kept in a ring in the order of their birth: the first n_sent of them are
 * in flight, the last one gathers. */
struct node {
	struct node_shared *shared;
	const struct node_ops *ops;
	void *arg;
	struct link *link;
	/* Where the link owes replies for long nobody can tell a frozen server, which
	 * will give them, from a lost connection, which never will. So another one is
	 * made beside it, and takes its place if it gets through first. */
	struct link *relief; /* NULL: none is wanted */
	struct trips *trips; /* settlements and resets */
	struct pace pace;
	struct breaker breaker;
	char trouble[TAKE_DETAIL_MAX]; /* why the breaker is not closed */
	struct batch **ring;
	size_t head, n, cap;
	size_t n_sent;
	struct batch *spare[4]; /* for the next gathering */
	size_t n_spare;
	struct loop_timer *timer; /* the earliest deadline */
	int64_t timer_us;         /* when it will fire; INT64_MAX: not armed */
	int64_t progress_us;      /* when a reply last came, or the first call went */
	struct batch_outcome outcome;
	struct take *expired; /* takes that left, before they are told */
};

static struct metric_cells *
cells_of(const struct node *node)
{
	return node->shared->store->cells;
}

static struct batch *
ring_at(const struct node *node, size_t i)
{
	return node->ring[(node->head + i) % node->cap];
}

/* --- batches ------------------------------------------------------------------ */

static struct batch *
batch_get(struct node *node)
{
	return node->n_spare > 0 ? node->spare[--node->n_spare] : batch_new();
}

static void
batch_put(struct node *node, struct batch *batch)
{
	if (node->n_spare < ARRAY_LEN(node->spare))
		node->spare[node->n_spare++] = batch;
	else
		batch_free(batch);
}

static bool
ring_grow(struct node *node)
{
	size_t cap = node->cap ? node->cap * 2 : 8;
	struct batch **ring = malloc(cap * sizeof(*ring));

	if (!ring)
		return false;
	for (size_t i = 0; i < node->n; i++)
		ring[i] = ring_at(node, i);
	free(node->ring);
	node->ring = ring;
	node->cap = cap;
	node->head = 0;
	return true;
}

static struct batch *
ring_pop(struct node *node)
{
	struct batch *batch = ring_at(node, 0);

	node->head = (node->head + 1) % node->cap;
	node->n--;
	return batch;
}

/* The batch that gathers, with room for the take; NULL when out of memory. */
static struct batch *
gathering(struct node *node, const struct take *take)
{
	struct batch *batch;

	if (node->n > node->n_sent) {
		batch = ring_at(node, node->n - 1);
		if (batch_has_room(batch, take) &&
		    batch_keys(batch) < pace_keys_max(&node->pace))
			return batch;
	}
	if (node->n == node->cap && !ring_grow(node))
		return NULL;
	batch = batch_get(node);
	if (!batch)
		return NULL;
	node->ring[(node->head + node->n++) % node->cap] = batch;
	return batch;
}

/* --- deadlines ---------------------------------------------------------------- */

static void
arm(struct node *node, int64_t deadline_us)
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

/* Told only after all batches were gone through: done may start other takes. */
static void
tell_expired(struct node *node)
{
	while (node->expired) {
		struct take *take = node->expired;

		node->expired = take->next;
		node->shared->waiting--;
		store_fail(node->shared->store, take, FAULT_TIMEOUT, NULL);
	}
}

/* Nothing comes, and nobody waits for what was sent first any more: a deadline may be
 * longer than the patience with a connection. */
static bool
is_stalled(const struct node *node, int64_t now_us)
{
	return node->n_sent > 0 && batch_live(ring_at(node, 0)) == 0 &&
	    now_us - node->progress_us > LINK_STALL_US;
}

static const struct link_ops link_events;

static void
set_link_options(
    struct node *node, struct link_options *options, const struct address *address)
{
	*options = (struct link_options){
		.loop = node->shared->loop,
		.url = node->shared->url,
		.tls = node->shared->tls,
		.address = address,
		.ops = &link_events,
		.arg = node,
		.cells = cells_of(node),
	};
}

static void
log_breaker(struct node *node, const char *state)
{
	log_warn("redis", "%s: %s (%s)", link_shown(node->link), state, node->trouble);
}

/* Not every late answer is a silence: what is asked meanwhile may still be in time. */
static void
tell_silence(struct node *node, int64_t now_us)
{
	if (node->n_sent == 0 || batch_live(ring_at(node, 0)) > 0 ||
	    now_us - node->progress_us < SILENCE_US ||
	    !breaker_on_silence(&node->breaker))
		return;
	snprintf(node->trouble, sizeof(node->trouble), "no reply for %d ms",
	    (int)(SILENCE_US / 1000));
	metric_add(cells_of(node), METRIC_STORE_BREAKER_OPENED, 1);
	log_breaker(node, "silent: nothing is asked until it answers");
}

/* What the link owes has not come, and on the relief it would: it never will. */
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
}

static void
seek_relief(struct node *node)
{
	struct link_options options;

	if (node->relief && link_ready(node->relief)) {
		relieve(node);
	} else if (!node->relief) {
		log_warn("redis", "%s: no reply for 3 s; trying another connection",
		    link_shown(node->link));
		set_link_options(node, &options, link_address(node->link));
		/* Without memory the next deadline tries again. */
		node->relief = link_new(&options);
	}
}

static void
drop_relief(struct node *node)
{
	link_free(node->relief);
	node->relief = NULL;
}

static void
on_deadline(void *arg)
{
	struct node *node = arg;
	int64_t now_us = clock_mono_us();
	int64_t earliest = INT64_MAX;

	node->timer_us = INT64_MAX;
	for (size_t i = 0; i < node->n; i++) {
		int64_t next =
		    batch_expire(ring_at(node, i), now_us, keep_expired, node);

		if (next < earliest)
			earliest = next;
	}
	tell_silence(node, now_us);
	if (is_stalled(node, now_us))
		seek_relief(node);
	else if (node->n_sent > 0 && earliest > node->progress_us + LINK_STALL_US &&
	    node->progress_us + LINK_STALL_US > now_us)
		earliest = node->progress_us + LINK_STALL_US + 1;
	if (earliest != INT64_MAX)
		arm(node, earliest);
	tell_expired(node);
}

/* --- refusals that are remembered ------------------------------------------------ */

/* Counters were changed by other than charges. */
static void
forget_denials(struct node *node)
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
	metric_add(cells_of(node), METRIC_DENY_CACHE_HITS, 1);
	take->done(take);
	return true;
}

/* --- sending and answers ------------------------------------------------------ */

static void on_reply(void *arg, const struct reply *reply);

/* Sends one batch; false when there was nothing in it to send. */
static bool
send_batch(struct node *node, struct batch *batch)
{
	int64_t now_us = clock_mono_us();

	if (!batch_format(batch, link_take_sha(node->link),
		now_us + node->outcome.ahead_us, link_out(node->link)))
		return false;
	batch_moment(batch)->sent_us = now_us;
	if (node->shared->epoch)
		batch_moment(batch)->epoch = deny_epoch_now(node->shared->epoch);
	pace_on_send(&node->pace, batch_call(batch), batch_keys(batch), now_us);
	metric_add(cells_of(node), METRIC_STORE_BATCHES, 1);
	if (node->n_sent == 0)
		node->progress_us = now_us;
	node->n_sent++;
	breaker_on_sent(&node->breaker);
	/* On failure the link is dropped and on_down fails the batch. */
	return link_expect(node->link, on_reply, node) == 0;
}

/* Whether the batch behind those in flight may leave. */
static bool
may_send(const struct node *node)
{
	if (!link_ready(node->link) || node->n == node->n_sent)
		return false;
	return pace_allows(&node->pace, batch_keys(ring_at(node, node->n_sent)));
}

static void
send_gathered(struct node *node)
{
	while (may_send(node)) {
		struct batch *batch = ring_at(node, node->n_sent);

		if (send_batch(node, batch) || !link_ready(node->link))
			continue;
		/* All its takes had left. Nothing is behind an empty batch but newer
		 * ones; they move up. */
		for (size_t i = node->n_sent; i + 1 < node->n; i++)
			node->ring[(node->head + i) % node->cap] = ring_at(node, i + 1);
		node->n--;
		batch_put(node, batch);
	}
}

static void
on_given_back(void *arg, const struct reply *reply)
{
	struct node *node = arg;

	forget_denials(node);
	if (reply && reply->kind == REPLY_INT)
		metric_add(
		    cells_of(node), METRIC_STORE_GIVEN_BACK, reply->values[0].number);
	else if (reply)
		log_warn("redis", "could not give back late charges: %.*s",
		    SLICE_ARG(reply_text(reply, 0)));
}

static void
handle_late(struct node *node)
{
	metric_add(cells_of(node), METRIC_STORE_LATE, (int64_t)node->outcome.late);
	if (node->outcome.give_back.len == 0 || !link_ready(node->link))
		return;
	buf_add_slice(link_out(node->link), buf_slice(&node->outcome.give_back));
	if (link_expect(node->link, on_given_back, node) < 0)
		return; /* the link is dropped, and says so */
}

/* The script is not there (SCRIPT FLUSH, a restart behind a proxy): nothing ran, so
 * the call is made again, behind a SCRIPT LOAD. */
static void
send_again(struct node *node, struct batch *batch)
{
	node->n_sent--;
	pace_on_reply(&node->pace, batch_call(batch), 0, node->progress_us);
	if (link_load_take(node->link) < 0)
		return;
	batch_regather(batch); /* or a take that joins it now would be lost */
	/* It was the first in flight and goes behind those in flight; their replies
	 * come first. */
	ring_pop(node);
	for (size_t i = node->n; i > node->n_sent; i--)
		node->ring[(node->head + i) % node->cap] = ring_at(node, i - 1);
	node->ring[(node->head + node->n_sent) % node->cap] = batch;
	node->n++;
	send_gathered(node);
}

/* Says what went wrong with a call, for those who can mend it. */
static void
tell_fault(struct node *node, enum store_fault fault, const char *detail)
{
	int64_t now_us = clock_mono_us();

	if (node->shared->told_us[fault] &&
	    now_us - node->shared->told_us[fault] < TELL_AGAIN_US)
		return;
	node->shared->told_us[fault] = now_us;
	if (fault == FAULT_CONFIG)
		log_error("redis", "%s: %s", store_fault_table[fault].phrase, detail);
	else
		log_warn("redis", "%s: %s", store_fault_table[fault].phrase, detail);
}

static void
note_failure(struct node *node, const char *detail)
{
	if (!breaker_on_failure(
		&node->breaker, clock_mono_us(), hash_random(UINT32_MAX)))
		return;
	snprintf(node->trouble, sizeof(node->trouble), "%s", detail);
	metric_add(cells_of(node), METRIC_STORE_BREAKER_OPENED, 1);
	if (node->breaker.pause_us == BREAKER_PAUSE_FIRST_US)
		log_breaker(node, "its calls keep failing: asked now and then only");
}

static void
note_success(struct node *node)
{
	if (breaker_on_success(&node->breaker))
		log_info("redis", "%s: answers again", link_shown(node->link));
}

static void
fail_batch(struct node *node, struct batch *batch, struct slice text)
{
	enum store_fault fault = redis_fault_of(text);
	char detail[TAKE_DETAIL_MAX];

	snprintf(detail, sizeof(detail), "%.*s", SLICE_ARG(text));
	node->shared->waiting -= batch_live(batch);
	batch_fail(batch, node->shared->store, fault, detail);
	batch_put(node, batch);
	tell_fault(node, fault, detail);
	note_failure(node, detail);
	/* A master that became a replica: the introduction finds out, and waits. */
	if (fault == FAULT_READONLY)
		link_drop(node->link, fault, detail);
}

/* It would stand behind so many that its deadline passes long before its turn. */
static bool
is_hopeless(const struct node *node, const struct take *take)
{
	size_t gathered = node->n - node->n_sent;
	size_t keys;

	/* Nothing but the batch that it joins; the clock need not be asked. */
	if (LIKELY(gathered < 2))
		return false;
	keys = (gathered - 1) * batch_keys(ring_at(node, node->n_sent));
	return pace_wait_us(&node->pace, keys) >
	    HOPELESS * (take->deadline_us - loop_now_us(node->shared->loop));
}

/* A take that is in no batch joins the one that gathers. */
static void
gather(struct node *node, struct take *take)
{
	struct batch *batch = NULL;

	if (node->shared->waiting < node->shared->waiting_max &&
	    !is_hopeless(node, take))
		batch = gathering(node, take);
	if (!batch || batch_add(batch, take) < 0) {
		store_fail(node->shared->store, take, FAULT_OVERLOAD, NULL);
		return;
	}
	node->shared->waiting++;
	arm(node, take->deadline_us);
}

/* By now it is known what Redis's clock shows. */
static void
gather_again(struct node *node, struct take *again)
{
	while (again) {
		struct take *take = again;

		again = take->next;
		gather(node, take);
	}
}

static void
on_reply(void *arg, const struct reply *reply)
{
	struct node *node = arg;
	struct batch *batch;

	if (!reply)
		return; /* on_down fails all batches at once */
	node->progress_us = clock_mono_us();
	drop_relief(node);
	if (reply->kind == REPLY_ERROR &&
	    redis_fault_is_noscript(reply_text(reply, 0))) {
		send_again(node, ring_at(node, 0));
		return;
	}
	batch = ring_pop(node);
	node->n_sent--;
	pace_on_reply(
	    &node->pace, batch_call(batch), batch_began_us(reply), node->progress_us);
	if (reply->kind == REPLY_ERROR) {
		fail_batch(node, batch, reply_text(reply, 0));
		return;
	}
	note_success(node);
	node->shared->waiting -= batch_live(batch);
	node->outcome.answered_us = node->progress_us;
	if (batch_apply(batch, reply, node->shared->store, &node->outcome) < 0)
		link_drop(node->link, FAULT_OTHER, "a script's answer made no sense");
	batch_put(node, batch);
	gather_again(node, node->outcome.again);
	if (node->outcome.fault != FAULT_NONE)
		tell_fault(node, node->outcome.fault, node->outcome.detail);
	handle_late(node);
	if (node->outcome.fault == FAULT_READONLY)
		link_drop(node->link, FAULT_READONLY, node->outcome.detail);
}

static void
on_ready(void *arg)
{
	struct node *node = arg;

	if (node->relief && link_ready(node->relief)) {
		/* It may have been heard of meanwhile; then the relief waits. */
		if (clock_mono_us() - link_heard_us(node->link) < LINK_STALL_US)
			return;
		relieve(node);
	}
	breaker_close(&node->breaker);
	if (node->ops->on_up)
		node->ops->on_up(node->arg);
}

static void
on_missed(void *arg)
{
	struct node *node = arg;

	if (node->ops->on_missed)
		node->ops->on_missed(node->arg);
}

static void
on_down(void *arg)
{
	struct node *node = arg;
	const char *why;
	enum store_fault fault = link_fault(node->link, &why);

	if (link_ready(node->link))
		return; /* it is the relief that waited */
	drop_relief(node);
	for (size_t i = 0; i < node->n_sent; i++)
		metric_add(cells_of(node), METRIC_STORE_LOST,
		    (int64_t)batch_asked(ring_at(node, i)));
	forget_denials(node); /* who knows what it will hold when it is back */
	node->n_sent = 0;
	pace_init(&node->pace);
	/* Done may start takes: they fail at once, since the link is not ready. */
	while (node->n > 0) {
		struct batch *batch = ring_pop(node);

		node->shared->waiting -= batch_live(batch);
		batch_fail(batch, node->shared->store, fault, why);
		batch_put(node, batch);
	}
	if (node->ops->on_down)
		node->ops->on_down(node->arg);
}

/* --- the contract ------------------------------------------------------------- */

enum store_fault
node_fault(const struct node *node, const char **text)
{
	if (!link_ready(node->link))
		return link_fault(node->link, text);
	if (text)
		*text = node->trouble;
	return FAULT_BREAKER;
}

/* Whether something can be asked now. */
static inline bool
is_open_to(struct node *node)
{
	return link_ready(node->link) &&
	    (breaker_is_closed(&node->breaker) ||
		breaker_admits(&node->breaker, clock_mono_us()));
}

void
node_take(struct node *node, struct take *take)
{
	const char *why;

	if (UNLIKELY(!is_open_to(node))) {
		enum store_fault fault = node_fault(node, &why);

		store_fail(node->shared->store, take, fault, why);
		return;
	}
	take->asked = 0;
	if (!refuse_known(node, take))
		gather(node, take);
}

void
node_settle(struct node *node, struct settle *settle)
{
	const char *why;
	enum store_fault fault;

	if (is_open_to(node)) {
		trips_settle(node->trips, settle);
		return;
	}
	fault = node_fault(node, &why);
	store_fail_settle(node->shared->store, settle, fault, why);
}

void
node_reset(struct node *node, struct reset *reset)
{
	const char *why;
	enum store_fault fault;

	if (is_open_to(node)) {
		trips_reset(node->trips, reset);
		return;
	}
	fault = node_fault(node, &why);
	store_fail_reset(node->shared->store, reset, fault, why);
}

void
node_flush(struct node *node)
{
	send_gathered(node);
}

bool
node_ready(const struct node *node)
{
	return link_ready(node->link) && breaker_is_closed(&node->breaker);
}

void
node_move(struct node *node, const struct address *address)
{
	if (node->relief)
		link_move(node->relief, address);
	link_move(node->link, address);
}

static const struct link_ops link_events = { on_ready, on_down, on_missed };

/* --- birth and death ---------------------------------------------------------- */

static void
on_trip_made(void *arg)
{
	forget_denials(arg);
}

static void
on_trip_stalled(void *arg)
{
	seek_relief(arg);
}

static void
on_trip_fault(void *arg, enum store_fault fault, const char *detail)
{
	struct node *node = arg;

	tell_fault(node, fault, detail);
	if (fault == FAULT_READONLY)
		link_drop(node->link, fault, detail);
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
		.arg = node,
	};

	return trips_new(&options);
}

static bool
open_parts(struct node *node, const struct address *address)
{
	struct link_options options;

	set_link_options(node, &options, address);
	node->timer = loop_timer_new(node->shared->loop, on_deadline, node);
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
	pace_init(&node->pace);
	node->outcome.denials = shared->denials;
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
	drop_relief(node);
	link_free(node->link);
	trips_free(node->trips);
	while (node->n > 0) {
		struct batch *batch = ring_pop(node);

		node->shared->waiting -= batch_live(batch);
		batch_fail(
		    batch, node->shared->store, FAULT_DISCONNECTED, "shutting down");
		batch_free(batch);
	}
	for (size_t i = 0; i < node->n_spare; i++)
		batch_free(node->spare[i]);
	loop_timer_free(node->timer);
	buf_fini(&node->outcome.give_back);
	free(node->ring);
	free(node);
}
