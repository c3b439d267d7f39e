/* SPDX-License-Identifier: ISC */
#include "redis/trip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "redis/fault.h"
#include "redis/form.h"
#include "redis/script.h"
#include "store/record.h"

/* How often a record is read again because it had changed by the time of the call. Only a
 * settlement of the same reservation changes it, and then at most once. */
#define READ_MAX 4

/* One settlement or reset: exactly one of the two is set until it is told its outcome. */
struct trip {
	struct trips *trips;
	struct trip *prev, *next;
	struct settle *settle;
	struct reset *reset;
	int64_t sent_us;   /* when the command under way was sent */
	unsigned reads;    /* how often the record was read */
	bool asking;       /* the node is the one that the slot is moving to */
	struct buf record; /* a settlement's, as it was read */
};

struct trips {
	struct trips_options options;
	struct trip *first;
	size_t n;
	struct loop_timer *timer;
	int64_t timer_us; /* when it fires; INT64_MAX: not armed */
};

static const char *const action_words[] = {
	[SETTLE_COMMIT] = "commit",
	[SETTLE_ROLLBACK] = "rollback",
	[SETTLE_RENEW] = "renew",
};

/* --- birth and death of a trip ------------------------------------------------- */

static struct trip *
trip_new(struct trips *trips)
{
	struct trip *trip = calloc(1, sizeof(*trip));

	if (!trip)
		return NULL;
	trip->trips = trips;
	trip->next = trips->first;
	if (trip->next)
		trip->next->prev = trip;
	trips->first = trip;
	trips->n++;
	return trip;
}

static void
trip_free(struct trip *trip)
{
	struct trips *trips = trip->trips;

	*(trip->prev ? &trip->prev->next : &trips->first) = trip->next;
	if (trip->next)
		trip->next->prev = trip->prev;
	trips->n--;
	buf_fini(&trip->record);
	free(trip);
}

/* Tells whoever waits, if anybody still does; the trip may go on without it. */
static void
trip_fail(struct trip *trip, enum store_fault fault, const char *detail)
{
	struct store *store = trip->trips->options.store;
	struct settle *settle = trip->settle;
	struct reset *reset = trip->reset;

	trip->settle = NULL;
	trip->reset = NULL;
	if (settle)
		store_fail_settle(store, settle, fault, detail);
	else if (reset)
		store_fail_reset(store, reset, fault, detail);
}

static void
trip_end_failed(struct trip *trip, enum store_fault fault, const char *detail)
{
	trip_fail(trip, fault, detail);
	trip_free(trip);
}

static void
trip_end_settled(struct trip *trip, enum settle_status status)
{
	struct settle *settle = trip->settle;

	trip_free(trip);
	if (!settle)
		return;
	settle->status = status;
	settle->fault = FAULT_NONE;
	settle->detail[0] = '\0';
	settle->done(settle);
}

/* --- deadlines ------------------------------------------------------------------ */

static void
arm(struct trips *trips, int64_t at_us)
{
	int64_t delay;

	if (at_us >= trips->timer_us)
		return;
	trips->timer_us = at_us;
	delay = at_us - clock_mono_us();
	loop_timer_set(trips->timer, delay > 0 ? delay : 0);
}

/* When to look at the trip again: at its deadline, or, if nobody waits for it any more, when
 * the connection counts as stalled. */
static int64_t
trip_due_us(const struct trip *trip)
{
	if (trip->settle)
		return trip->settle->deadline_us;
	if (trip->reset)
		return trip->reset->deadline_us;
	return trip->sent_us + LINK_STALL_US;
}

/* Settlements and resets whose deadline has passed, chained by their owner until they are
 * told: `done` may start others, or drop the link and so end any trip. */
struct overdue {
	struct settle *settle;
	struct reset *reset;
};

static void
leave(struct trip *trip, struct overdue *overdue)
{
	if (trip->settle) {
		trip->settle->owner = overdue->settle;
		overdue->settle = trip->settle;
	} else {
		trip->reset->owner = overdue->reset;
		overdue->reset = trip->reset;
	}
	trip->settle = NULL;
	trip->reset = NULL;
}

static void
tell_overdue(struct store *store, struct overdue *overdue)
{
	struct settle *settle;
	struct reset *reset;

	while ((settle = overdue->settle)) {
		overdue->settle = settle->owner;
		store_fail_settle(store, settle, FAULT_TIMEOUT, NULL);
	}
	while ((reset = overdue->reset)) {
		overdue->reset = reset->owner;
		store_fail_reset(store, reset, FAULT_TIMEOUT, NULL);
	}
}

static void
on_timer(void *arg)
{
	struct trips *trips = arg;
	struct link *link = trips->options.link;
	struct overdue overdue = { NULL, NULL };
	int64_t now_us = clock_mono_us();
	int64_t next_us = INT64_MAX;
	bool stalled = false;

	trips->timer_us = INT64_MAX;
	for (struct trip *trip = trips->first; trip; trip = trip->next) {
		if ((trip->settle || trip->reset) && trip_due_us(trip) <= now_us)
			leave(trip, &overdue);
		if (trip_due_us(trip) <= now_us)
			stalled = true;
		else if (trip_due_us(trip) < next_us)
			next_us = trip_due_us(trip);
	}
	if (next_us != INT64_MAX)
		arm(trips, next_us);
	if (stalled && link_ready(link))
		trips->options.on_stalled(trips->options.arg);
	tell_overdue(trips->options.store, &overdue);
}

/* --- replies -------------------------------------------------------------------- */

/* Whether the owner starts over elsewhere; then the trip has ended. */
static bool
trip_refused(struct trip *trip, struct slice text)
{
	struct trips *trips = trip->trips;
	struct settle *settle = trip->settle;
	struct reset *reset = trip->reset;

	if (!trips->options.on_refused ||
	    !trips->options.on_refused(trips->options.arg, settle, reset, text))
		return false;
	trip_free(trip);
	return true;
}

/* Ends the trip if the reply says so; returns whether it did. */
static bool
trip_failed(struct trip *trip, const struct reply *reply)
{
	struct trips *trips = trip->trips;
	enum store_fault fault;
	char detail[TAKE_DETAIL_MAX];
	const char *why;
	struct slice text;

	if (!reply) {
		fault = link_fault(trips->options.link, &why);
		trip_end_failed(trip, fault, why);
		return true;
	}
	if (reply->kind != REPLY_ERROR)
		return false;
	text = reply_text(reply, 0);
	if (trip_refused(trip, text))
		return true;
	fault = redis_fault_of(text);
	snprintf(detail, sizeof(detail), "%.*s", SLICE_ARG(text));
	trip_end_failed(trip, fault, detail);
	trips->options.on_fault(trips->options.arg, fault, detail);
	return true;
}

static void
on_asking(void *arg, const struct reply *reply)
{
	(void)arg;
	(void)reply;
}

/* Where to append a command, followed by trip_expect(). */
static struct buf *
trip_out(struct trip *trip)
{
	struct buf *out = link_out(trip->trips->options.link);

	if (trip->asking)
		buf_add_str(out, "*1\r\n$6\r\nASKING\r\n");
	return out;
}

/* The command was appended: its reply goes to fn. */
static void
trip_expect(struct trip *trip, link_reply_fn *fn)
{
	struct link *link = trip->trips->options.link;

	trip->sent_us = clock_mono_us();
	arm(trip->trips, trip_due_us(trip));
	/* When out of memory the link is dropped, but this reply was not owed yet. */
	if ((trip->asking && link_expect(link, on_asking, NULL) < 0) ||
	    link_expect(link, fn, trip) < 0)
		trip_end_failed(trip, FAULT_OTHER, "out of memory");
}

static void
trip_nonsense(struct trip *trip)
{
	trip_end_failed(trip, FAULT_OTHER, "the answer of Redis makes no sense");
}

/* --- settlements ---------------------------------------------------------------- */

static void read_record(struct trip *trip);
static void call_script(struct trip *trip, bool whole);

static void
on_settled(void *arg, const struct reply *reply)
{
	struct trip *trip = arg;

	trip->trips->options.on_made(trip->trips->options.arg);
	if (reply && reply->kind == REPLY_ERROR &&
	    redis_fault_is_noscript(reply_text(reply, 0))) {
		call_script(trip, true);
		return;
	}
	if (trip_failed(trip, reply))
		return;
	if (reply->kind == REPLY_INT)
		link_prove(trip->trips->options.link);
	if (reply->kind != REPLY_INT)
		trip_nonsense(trip);
	else if (reply->values[0].number > 0)
		trip_end_settled(trip, SETTLE_DONE);
	else if (reply->values[0].number < 0)
		trip_end_settled(trip, SETTLE_UNKNOWN);
	else
		read_record(trip);
}

#define SETTLE_ARGS 6
static void
add_settle_args(struct buf *out, const struct trip *trip)
{
	const struct settle *settle = trip->settle;

	form_add_bulk(out, slice_str(action_words[settle->action]));
	form_add_bulk(out, buf_slice(&trip->record));
	form_add_bulk(out, settle->holder);
	form_add_number(out, settle->cost);
	form_add_number(out, settle->ttl_ms);
	form_add_number(out, settle->keep_ms);
}

static bool
hand_parts(struct trip *trip, const struct record *record)
{
	const struct trips_options *options = &trip->trips->options;
	struct settle *settle = trip->settle;

	if (!options->on_parts || settle->parts_done)
		return false;
	trip->settle = NULL;
	options->on_parts(options->arg, settle, record); /* a view of trip->record */
	trip_free(trip);
	return true;
}

/* `whole`: with the script's text, because Redis does not have it. */
static void
call_script(struct trip *trip, bool whole)
{
	struct link *link = trip->trips->options.link;
	struct record record;
	struct buf *out;

	if (!trip->settle) { /* nobody waits, and nothing was changed */
		trip_free(trip);
		return;
	}
	if (record_parse(buf_slice(&trip->record), &record) < 0) {
		trip_end_failed(
		    trip, FAULT_WRONGTYPE, "the record of a reservation is none");
		return;
	}
	if (record.n_parts > 0 && hand_parts(trip, &record))
		return;
	out = trip_out(trip);
	buf_printf(out, "*%zu\r\n", 4 + record.n + SETTLE_ARGS);
	form_add_bulk(out, slice_str(whole ? "EVAL" : "EVALSHA"));
	form_add_bulk(out, whole ? slice_str(lua_settle) : link_settle_sha(link));
	form_add_number(out, (int64_t)(1 + record.n));
	form_add_bulk(out, trip->settle->key);
	for (size_t i = 0; i < record.n; i++)
		form_add_bulk(out, record.charges[i].key);
	add_settle_args(out, trip);
	trip_expect(trip, on_settled);
}

static void
on_record(void *arg, const struct reply *reply)
{
	struct trip *trip = arg;
	struct slice text;

	if (trip_failed(trip, reply))
		return;
	if (reply->kind == REPLY_NIL || !trip->settle) {
		trip_end_settled(trip, SETTLE_UNKNOWN);
		return;
	}
	if (reply->kind != REPLY_TEXT) {
		trip_nonsense(trip);
		return;
	}
	text = reply_text(reply, 0);
	if (slice_eq_str(text, RECORD_SETTLED)) {
		trip_end_settled(trip, SETTLE_ALREADY);
		return;
	}
	buf_clear(&trip->record);
	buf_add_slice(&trip->record, text);
	if (trip->record.failed)
		trip_end_failed(trip, FAULT_OTHER, "out of memory");
	else
		call_script(trip, false);
}

static void
read_record(struct trip *trip)
{
	struct buf *out;

	if (!trip->settle) {
		trip_free(trip);
		return;
	}
	if (trip->reads++ == READ_MAX) {
		trip_end_failed(trip, FAULT_OTHER, "its record keeps changing");
		return;
	}
	out = trip_out(trip);
	buf_add_str(out, "*2\r\n$3\r\nGET\r\n");
	form_add_bulk(out, trip->settle->key);
	trip_expect(trip, on_record);
}

/* --- resets --------------------------------------------------------------------- */

static void
on_reset(void *arg, const struct reply *reply)
{
	struct trip *trip = arg;
	struct reset *reset;

	trip->trips->options.on_made(trip->trips->options.arg);
	if (trip_failed(trip, reply))
		return;
	if (reply->kind != REPLY_INT) {
		trip_nonsense(trip);
		return;
	}
	link_prove(trip->trips->options.link);
	reset = trip->reset;
	trip_free(trip);
	if (!reset)
		return;
	reset->held = (size_t)reply->values[0].number;
	reset->fault = FAULT_NONE;
	reset->detail[0] = '\0';
	reset->done(reset);
}

static void
send_reset(struct trip *trip)
{
	struct buf *out = trip_out(trip);
	const struct reset *reset = trip->reset;

	buf_printf(out, "*%zu\r\n", 1 + reset->n);
	form_add_bulk(out, slice_str("UNLINK"));
	for (size_t i = 0; i < reset->n; i++)
		form_add_bulk(out, reset->keys[i]);
	trip_expect(trip, on_reset);
}

/* --- the contract --------------------------------------------------------------- */

/* NULL, with the reason in *fault and *detail, when no trip can begin. */
static struct trip *
trip_begin(struct trips *trips, enum store_fault *fault, const char **detail)
{
	struct trip *trip;

	*detail = NULL;
	if (!link_ready(trips->options.link)) {
		*fault = link_fault(trips->options.link, detail);
		return NULL;
	}
	*fault = FAULT_OVERLOAD;
	trip = trips->n < trips->options.max ? trip_new(trips) : NULL;
	return trip;
}

void
trips_settle(struct trips *trips, struct settle *settle, bool asking)
{
	enum store_fault fault;
	const char *detail;
	struct trip *trip = trip_begin(trips, &fault, &detail);

	if (!trip) {
		store_fail_settle(trips->options.store, settle, fault, detail);
		return;
	}
	trip->settle = settle;
	trip->asking = asking;
	read_record(trip);
}

void
trips_reset(struct trips *trips, struct reset *reset, bool asking)
{
	enum store_fault fault;
	const char *detail;
	struct trip *trip = trip_begin(trips, &fault, &detail);

	if (!trip) {
		store_fail_reset(trips->options.store, reset, fault, detail);
		return;
	}
	trip->reset = reset;
	trip->asking = asking;
	send_reset(trip);
}

bool
trips_are_idle(const struct trips *trips)
{
	return !trips->first;
}

struct trips *
trips_new(const struct trips_options *options)
{
	struct trips *trips = calloc(1, sizeof(*trips));

	if (!trips)
		return NULL;
	trips->options = *options;
	trips->timer_us = INT64_MAX;
	trips->timer = loop_timer_new(options->loop, on_timer, trips);
	if (!trips->timer) {
		free(trips);
		return NULL;
	}
	return trips;
}

void
trips_set_link(struct trips *trips, struct link *link)
{
	trips->options.link = link;
}

void
trips_free(struct trips *trips)
{
	if (!trips)
		return;
	loop_timer_free(trips->timer);
	free(trips);
}
