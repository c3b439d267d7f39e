/* SPDX-License-Identifier: ISC */
#include "redis/redis_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "redis/batch.h"
#include "redis/fault.h"
#include "redis/link.h"
#include "redis/trip.h"

/* One call is being worked on by Redis while the next one is on its way there. The
 * second is sent only when it carries so many checks: a small call costs Redis nearly
 * as much as a large one, and soon the first one's reply lets it leave, grown. */
#define BATCHES_IN_FLIGHT 2
#define SECOND_BATCH_MIN 64
/* The same fault of script calls is logged so often at most. */
#define TELL_AGAIN_US INT64_C(60000000)

/* Batches are kept in a ring in the order of their birth: the first n_sent of them are
 * in flight, the last one gathers. */
struct redis_store {
	struct store store;
	struct loop *loop;
	struct link *link;
	struct trips *trips;        /* settlements and resets */
	struct deny_cache *denials; /* NULL: refusals are not remembered */
	struct deny_epoch *epoch;   /* of denials; else NULL */
	size_t waiting_max;
	size_t waiting; /* takes not done yet */
	struct batch **ring;
	size_t head, n, cap;
	size_t n_sent;
	struct batch *spare[4]; /* for the next gathering */
	size_t n_spare;
	struct loop_timer *timer; /* the earliest deadline */
	int64_t timer_us;         /* when it will fire; INT64_MAX: not armed */
	int64_t progress_us;      /* when a reply last came, or the first call went */
	struct batch_outcome outcome;
	int64_t told_us[FAULT_COUNT]; /* when each was last logged; 0: never */
	struct take *expired;         /* takes that left, before they are told */
};

static struct redis_store *
self(struct store *store)
{
	return (struct redis_store *)store;
}

static struct batch *
ring_at(const struct redis_store *rs, size_t i)
{
	return rs->ring[(rs->head + i) % rs->cap];
}

/* --- batches ------------------------------------------------------------------ */

static struct batch *
batch_get(struct redis_store *rs)
{
	return rs->n_spare > 0 ? rs->spare[--rs->n_spare] : batch_new();
}

static void
batch_put(struct redis_store *rs, struct batch *batch)
{
	if (rs->n_spare < ARRAY_LEN(rs->spare))
		rs->spare[rs->n_spare++] = batch;
	else
		batch_free(batch);
}

static bool
ring_grow(struct redis_store *rs)
{
	size_t cap = rs->cap ? rs->cap * 2 : 8;
	struct batch **ring = malloc(cap * sizeof(*ring));

	if (!ring)
		return false;
	for (size_t i = 0; i < rs->n; i++)
		ring[i] = ring_at(rs, i);
	free(rs->ring);
	rs->ring = ring;
	rs->cap = cap;
	rs->head = 0;
	return true;
}

static struct batch *
ring_pop(struct redis_store *rs)
{
	struct batch *batch = ring_at(rs, 0);

	rs->head = (rs->head + 1) % rs->cap;
	rs->n--;
	return batch;
}

/* The batch that gathers, with room for the take; NULL when out of memory. */
static struct batch *
gathering(struct redis_store *rs, const struct take *take)
{
	struct batch *batch;

	if (rs->n > rs->n_sent) {
		batch = ring_at(rs, rs->n - 1);
		if (batch_has_room(batch, take))
			return batch;
	}
	if (rs->n == rs->cap && !ring_grow(rs))
		return NULL;
	batch = batch_get(rs);
	if (!batch)
		return NULL;
	rs->ring[(rs->head + rs->n++) % rs->cap] = batch;
	return batch;
}

/* --- deadlines ---------------------------------------------------------------- */

static void
arm(struct redis_store *rs, int64_t deadline_us)
{
	int64_t delay;

	if (deadline_us >= rs->timer_us)
		return;
	rs->timer_us = deadline_us;
	delay = deadline_us - clock_mono_us();
	loop_timer_set(rs->timer, delay > 0 ? delay : 0);
}

static void
keep_expired(void *arg, struct take *take)
{
	struct redis_store *rs = arg;

	take->next = rs->expired;
	rs->expired = take;
}

/* Told only after all batches were gone through: done may start other takes. */
static void
tell_expired(struct redis_store *rs)
{
	while (rs->expired) {
		struct take *take = rs->expired;

		rs->expired = take->next;
		rs->waiting--;
		store_fail(&rs->store, take, FAULT_TIMEOUT, NULL);
	}
}

/* Nothing comes, and nobody waits for what was sent first any more: a deadline may be
 * longer than the patience with a connection. */
static bool
is_stalled(const struct redis_store *rs, int64_t now_us)
{
	return rs->n_sent > 0 && batch_live(ring_at(rs, 0)) == 0 &&
	    now_us - rs->progress_us > LINK_STALL_US;
}

static void
on_deadline(void *arg)
{
	struct redis_store *rs = arg;
	int64_t now_us = clock_mono_us();
	int64_t earliest = INT64_MAX;

	rs->timer_us = INT64_MAX;
	for (size_t i = 0; i < rs->n; i++) {
		int64_t next = batch_expire(ring_at(rs, i), now_us, keep_expired, rs);

		if (next < earliest)
			earliest = next;
	}
	if (is_stalled(rs, now_us))
		link_drop(rs->link, FAULT_TIMEOUT, "no reply for 3 s");
	else if (rs->n_sent > 0 && earliest > rs->progress_us + LINK_STALL_US &&
	    rs->progress_us + LINK_STALL_US > now_us)
		earliest = rs->progress_us + LINK_STALL_US + 1;
	if (earliest != INT64_MAX)
		arm(rs, earliest);
	tell_expired(rs);
}

/* --- refusals that are remembered ------------------------------------------------ */

/* Counters were changed by other than charges. */
static void
forget_denials(struct redis_store *rs)
{
	if (rs->epoch)
		deny_epoch_end(rs->epoch);
}

static bool
refuse_known(struct redis_store *rs, struct take *take)
{
	if (!rs->denials || deny_cache_is_empty(rs->denials) ||
	    !deny_cache_refuse(rs->denials, take, clock_mono_us()))
		return false;
	metric_add(rs->store.cells, METRIC_DENY_CACHE_HITS, 1);
	take->done(take);
	return true;
}

/* --- sending and answers ------------------------------------------------------ */

static void on_reply(void *arg, const struct reply *reply);

/* Sends one batch; false when there was nothing in it to send. */
static bool
send_batch(struct redis_store *rs, struct batch *batch)
{
	int64_t now_us = clock_mono_us();

	if (!batch_format(batch, link_take_sha(rs->link), now_us + rs->outcome.ahead_us,
		link_out(rs->link)))
		return false;
	batch_moment(batch)->sent_us = now_us;
	if (rs->epoch)
		batch_moment(batch)->epoch = deny_epoch_now(rs->epoch);
	metric_add(rs->store.cells, METRIC_STORE_BATCHES, 1);
	if (rs->n_sent == 0)
		rs->progress_us = now_us;
	rs->n_sent++;
	/* On failure the link is dropped and on_down fails the batch. */
	return link_expect(rs->link, on_reply, rs) == 0;
}

/* Whether the batch behind those in flight may leave. */
static bool
may_send(const struct redis_store *rs)
{
	if (!link_ready(rs->link) || rs->n == rs->n_sent)
		return false;
	return rs->n_sent == 0 ||
	    (rs->n_sent < BATCHES_IN_FLIGHT &&
		batch_live(ring_at(rs, rs->n_sent)) >= SECOND_BATCH_MIN);
}

static void
send_gathered(struct redis_store *rs)
{
	while (may_send(rs)) {
		struct batch *batch = ring_at(rs, rs->n_sent);

		if (send_batch(rs, batch) || !link_ready(rs->link))
			continue;
		/* All its takes had left. Nothing is behind an empty batch but newer
		 * ones; they move up. */
		for (size_t i = rs->n_sent; i + 1 < rs->n; i++)
			rs->ring[(rs->head + i) % rs->cap] = ring_at(rs, i + 1);
		rs->n--;
		batch_put(rs, batch);
	}
}

static void
on_given_back(void *arg, const struct reply *reply)
{
	struct redis_store *rs = arg;

	forget_denials(rs);
	if (reply && reply->kind == REPLY_INT)
		metric_add(
		    rs->store.cells, METRIC_STORE_GIVEN_BACK, reply->values[0].number);
	else if (reply)
		log_warn("redis", "could not give back late charges: %.*s",
		    SLICE_ARG(reply_text(reply, 0)));
}

static void
handle_late(struct redis_store *rs)
{
	metric_add(rs->store.cells, METRIC_STORE_LATE, (int64_t)rs->outcome.late);
	if (rs->outcome.give_back.len == 0 || !link_ready(rs->link))
		return;
	buf_add_slice(link_out(rs->link), buf_slice(&rs->outcome.give_back));
	if (link_expect(rs->link, on_given_back, rs) < 0)
		return; /* the link is dropped, and says so */
}

/* The script is not there (SCRIPT FLUSH, a restart behind a proxy): nothing ran, so
 * the call is made again, behind a SCRIPT LOAD. */
static void
send_again(struct redis_store *rs, struct batch *batch)
{
	rs->n_sent--;
	if (link_load_take(rs->link) < 0)
		return;
	batch_regather(batch); /* or a take that joins it now would be lost */
	/* It was the first in flight and goes behind those in flight; their replies
	 * come first. */
	ring_pop(rs);
	for (size_t i = rs->n; i > rs->n_sent; i--)
		rs->ring[(rs->head + i) % rs->cap] = ring_at(rs, i - 1);
	rs->ring[(rs->head + rs->n_sent) % rs->cap] = batch;
	rs->n++;
	send_gathered(rs);
}

/* Says what went wrong with a call, for those who can mend it. */
static void
tell_fault(struct redis_store *rs, enum store_fault fault, const char *detail)
{
	int64_t now_us = clock_mono_us();

	if (rs->told_us[fault] && now_us - rs->told_us[fault] < TELL_AGAIN_US)
		return;
	rs->told_us[fault] = now_us;
	if (fault == FAULT_CONFIG)
		log_error("redis", "%s: %s", store_fault_table[fault].phrase, detail);
	else
		log_warn("redis", "%s: %s", store_fault_table[fault].phrase, detail);
}

static void
fail_batch(struct redis_store *rs, struct batch *batch, struct slice text)
{
	enum store_fault fault = redis_fault_of(text);
	char detail[TAKE_DETAIL_MAX];

	snprintf(detail, sizeof(detail), "%.*s", SLICE_ARG(text));
	rs->waiting -= batch_live(batch);
	batch_fail(batch, &rs->store, fault, detail);
	batch_put(rs, batch);
	tell_fault(rs, fault, detail);
	/* A master that became a replica: the introduction finds out, and waits. */
	if (fault == FAULT_READONLY)
		link_drop(rs->link, fault, detail);
}

/* A take that is in no batch joins the one that gathers. */
static void
gather(struct redis_store *rs, struct take *take)
{
	struct batch *batch =
	    rs->waiting < rs->waiting_max ? gathering(rs, take) : NULL;

	if (!batch || batch_add(batch, take) < 0) {
		store_fail(&rs->store, take, FAULT_OVERLOAD, NULL);
		return;
	}
	rs->waiting++;
	arm(rs, take->deadline_us);
}

/* By now it is known what Redis's clock shows. */
static void
gather_again(struct redis_store *rs, struct take *again)
{
	while (again) {
		struct take *take = again;

		again = take->next;
		gather(rs, take);
	}
}

static void
on_reply(void *arg, const struct reply *reply)
{
	struct redis_store *rs = arg;
	struct batch *batch;

	if (!reply)
		return; /* on_down fails all batches at once */
	rs->progress_us = clock_mono_us();
	if (reply->kind == REPLY_ERROR &&
	    redis_fault_is_noscript(reply_text(reply, 0))) {
		send_again(rs, ring_at(rs, 0));
		return;
	}
	batch = ring_pop(rs);
	rs->n_sent--;
	if (reply->kind == REPLY_ERROR) {
		fail_batch(rs, batch, reply_text(reply, 0));
		return;
	}
	rs->waiting -= batch_live(batch);
	rs->outcome.answered_us = rs->progress_us;
	if (batch_apply(batch, reply, &rs->store, &rs->outcome) < 0)
		link_drop(rs->link, FAULT_OTHER, "a script's answer made no sense");
	batch_put(rs, batch);
	gather_again(rs, rs->outcome.again);
	if (rs->outcome.fault != FAULT_NONE)
		tell_fault(rs, rs->outcome.fault, rs->outcome.detail);
	handle_late(rs);
	if (rs->outcome.fault == FAULT_READONLY)
		link_drop(rs->link, FAULT_READONLY, rs->outcome.detail);
}

static void
on_ready(void *arg)
{
	(void)arg;
}

static void
on_down(void *arg)
{
	struct redis_store *rs = arg;
	const char *why;
	enum store_fault fault = link_fault(rs->link, &why);

	forget_denials(rs); /* who knows what it will hold when it is back */
	rs->n_sent = 0;
	/* Done may start takes: they fail at once, since the link is not ready. */
	while (rs->n > 0) {
		struct batch *batch = ring_pop(rs);

		rs->waiting -= batch_live(batch);
		batch_fail(batch, &rs->store, fault, why);
		batch_put(rs, batch);
	}
}

/* --- the contract ------------------------------------------------------------- */

static void
redis_take(struct store *store, struct take *take)
{
	struct redis_store *rs = self(store);
	const char *why;

	if (!link_ready(rs->link)) {
		enum store_fault fault = link_fault(rs->link, &why);

		store_fail(store, take, fault, why);
		return;
	}
	take->asked = 0;
	if (!refuse_known(rs, take))
		gather(rs, take);
}

static void
redis_settle(struct store *store, struct settle *settle)
{
	trips_settle(self(store)->trips, settle);
}

static void
redis_reset(struct store *store, struct reset *reset)
{
	trips_reset(self(store)->trips, reset);
}

static void
on_trip_made(void *arg)
{
	forget_denials(arg);
}

static void
on_trip_fault(void *arg, enum store_fault fault, const char *detail)
{
	struct redis_store *rs = arg;

	tell_fault(rs, fault, detail);
	if (fault == FAULT_READONLY)
		link_drop(rs->link, fault, detail);
}

static void
redis_flush(struct store *store)
{
	send_gathered(self(store));
}

static bool
redis_ready(struct store *store, struct errinfo *why)
{
	struct redis_store *rs = self(store);
	const char *text;

	if (link_ready(rs->link))
		return true;
	err_set(why, ERR_UNAVAILABLE, "%s", (link_fault(rs->link, &text), text));
	return false;
}

static void
redis_close(struct store *store)
{
	struct redis_store *rs = self(store);

	link_free(rs->link);
	trips_free(rs->trips);
	for (size_t i = 0; i < rs->n; i++) {
		batch_fail(ring_at(rs, i), store, FAULT_DISCONNECTED, "shutting down");
		batch_free(ring_at(rs, i));
	}
	for (size_t i = 0; i < rs->n_spare; i++)
		batch_free(rs->spare[i]);
	loop_timer_free(rs->timer);
	deny_cache_free(rs->denials);
	buf_fini(&rs->outcome.give_back);
	free(rs->ring);
	free(rs);
}

static const struct store_ops redis_ops = {
	.name = "redis",
	.take = redis_take,
	.settle = redis_settle,
	.reset = redis_reset,
	.flush = redis_flush,
	.ready = redis_ready,
	.close = redis_close,
};

static const struct link_ops link_events = { on_ready, on_down };

static struct trips *
new_trips(struct redis_store *rs)
{
	struct trips_options options = {
		.loop = rs->loop,
		.store = &rs->store,
		.link = rs->link,
		.max = rs->waiting_max,
		.on_made = on_trip_made,
		.on_fault = on_trip_fault,
		.arg = rs,
	};

	return trips_new(&options);
}

static bool
open_parts(struct redis_store *rs, const struct redis_store_options *options)
{
	if (options->deny_cache_ms > 0) {
		rs->epoch = options->denials;
		rs->denials = deny_cache_new(options->deny_cache_ms, rs->epoch);
		if (!rs->denials)
			return false;
	}
	rs->outcome.denials = rs->denials;
	rs->timer = loop_timer_new(rs->loop, on_deadline, rs);
	if (rs->timer)
		rs->link = link_new(
		    rs->loop, &options->url, &link_events, rs, rs->store.cells);
	if (rs->link)
		rs->trips = new_trips(rs);
	return rs->trips != NULL;
}

struct store *
redis_store_new(struct loop *loop, const struct redis_store_options *options,
    struct metric_cells *cells)
{
	struct redis_store *rs = calloc(1, sizeof(*rs));

	if (!rs)
		return NULL;
	rs->store.ops = &redis_ops;
	rs->store.cells = cells;
	rs->loop = loop;
	rs->waiting_max =
	    options->waiting_max ? options->waiting_max : REDIS_WAITING_DEFAULT;
	rs->timer_us = INT64_MAX;
	rs->outcome.ahead_us = clock_real_us() - clock_mono_us();
	if (!open_parts(rs, options)) {
		link_free(rs->link);
		deny_cache_free(rs->denials);
		if (rs->timer)
			loop_timer_free(rs->timer);
		free(rs);
		return NULL;
	}
	return &rs->store;
}
