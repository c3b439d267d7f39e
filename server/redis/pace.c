/* SPDX-License-Identifier: ISC */
#include "redis/pace.h"

#include "base/attr.h"

/* Each reply moves what is believed by one part in FOLLOW towards what was seen. */
#define FOLLOW 8

static const struct pace_span nothing = { .key_ns = INT64_MAX, .reply_us = INT64_MAX };

void
pace_init(struct pace *pace)
{
	*pace = (struct pace){
		.span = nothing, .last = nothing, .key_ns = PACE_KEY_NS_FIRST
	};
}

/* The work of so many calls with so many counters in all, in counters. */
static int64_t
units(size_t calls, size_t keys)
{
	return (int64_t)(keys + calls * PACE_CALL_KEYS);
}

static int64_t
trip_of(const struct pace *pace, int64_t reply_us, size_t keys)
{
	int64_t trip_us = reply_us - units(1, keys) * pace->key_ns / 1000;

	return trip_us > 0 ? trip_us : 0;
}

/* 0 while the trip is not known: then only a large call is sent while another is under
 * way. */
static int64_t
trip_us(const struct pace *pace)
{
	const struct pace_span *spans[] = { &pace->span, &pace->last };
	int64_t least_us = INT64_MAX;

	for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
		int64_t us = trip_of(pace, spans[i]->reply_us, spans[i]->keys);

		if (spans[i]->replies >= PACE_REPLIES_MIN && us < least_us)
			least_us = us;
	}
	return least_us == INT64_MAX ? 0 : least_us;
}

static bool
keeps_busy(const struct pace *pace)
{
	int64_t trip = trip_us(pace);

	return units(pace->calls, pace->keys) * pace->key_ns / 1000 >= trip + trip / 4;
}

size_t
pace_keys_max(const struct pace *pace)
{
	int64_t keys = PACE_HOLD_US * INT64_C(1000) / pace->key_ns - PACE_CALL_KEYS;

	return keys > PACE_SECOND_KEYS ? (size_t)keys : PACE_SECOND_KEYS;
}

bool
pace_allows(const struct pace *pace, size_t keys)
{
	if (pace->calls == 0)
		return true;
	if (pace->drains)
		return false;
	if (pace->calls == 1 && keys >= PACE_SECOND_KEYS)
		return true;
	return !keeps_busy(pace);
}

void
pace_on_send(struct pace *pace, struct pace_call *call, size_t keys, int64_t now_us)
{
	call->sent_us = now_us;
	call->keys = keys;
	call->alone = pace->calls == 0;
	call->behind = !call->alone && keeps_busy(pace);
	pace->calls++;
	pace->keys += keys;
}

/* The call before this one took Redis at most gap_us. */
static void
learn_work(struct pace *pace, int64_t gap_us, bool behind)
{
	int64_t seen_ns = gap_us * 1000 / units(1, pace->began_keys);

	if (seen_ns < PACE_KEY_NS_LEAST)
		return;
	if (seen_ns < pace->key_ns)
		pace->key_ns -= (pace->key_ns - seen_ns) / FOLLOW;
	if (behind && seen_ns < pace->span.key_ns)
		pace->span.key_ns = seen_ns;
}

static void
learn_trip(struct pace *pace, const struct pace_call *call, int64_t now_us)
{
	struct pace_span *span = &pace->span;
	int64_t reply_us = now_us - call->sent_us;

	span->replies++;
	span->alone |= call->alone;
	if (span->reply_us == INT64_MAX ||
	    trip_of(pace, reply_us, call->keys) <
		trip_of(pace, span->reply_us, span->keys)) {
		span->reply_us = reply_us;
		span->keys = call->keys;
	}
}

/* A span without a call that was alone goes on until there is one. */
static void
end_span(struct pace *pace, int64_t now_us)
{
	if (now_us < pace->span_end_us || pace->span.replies < PACE_REPLIES_MIN)
		return;
	pace->drains = !pace->span.alone;
	if (pace->drains)
		return;
	if (pace->span.key_ns != INT64_MAX)
		pace->key_ns = pace->span.key_ns;
	pace->last = pace->span;
	pace->span = nothing;
	pace->span_end_us = now_us + PACE_SPAN_US;
}

void
pace_on_reply(
    struct pace *pace, const struct pace_call *call, int64_t began_us, int64_t now_us)
{
	pace->calls--;
	pace->keys -= call->keys;
	/* Between the two lies less than from when the first was sent until now, or Redis's
	 * clock leapt. */
	if (began_us && pace->began_us &&
	    began_us - pace->began_us <= now_us - pace->began_sent_us)
		learn_work(pace, began_us - pace->began_us, call->behind);
	if (began_us)
		learn_trip(pace, call, now_us);
	pace->began_us = began_us;
	pace->began_keys = call->keys;
	pace->began_sent_us = call->sent_us;
	end_span(pace, now_us);
}
