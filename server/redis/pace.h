/* SPDX-License-Identifier: ISC */
/*
 * How large the script calls of one connection may be, and how many may be under way.
 * Chosen from what the calls before showed. Pure; time is a parameter.
 *
 * Redis works on a call for some time for each of its counters, and for as much as
 * PACE_CALL_KEYS of them for the call itself (reading it, starting the script, writing
 * the reply). Beside that a reply takes its trip: the link both ways, and our own turn.
 *
 * - The work of a counter: each reply tells when its script began, by Redis's clock. From
 *   one such moment to the next Redis did the first one's work at least, and nothing else
 *   where the second stood behind it. So less than is believed is always news; more is
 *   where, in a whole span, no call took less that had others behind it.
 * - The trip: what a reply took, less the call's own work, is the trip at least, and no
 *   more where nothing stood before the call. So again the least. That there is such a
 *   call is seen to: in a span in which none was alone, all replies are waited for once.
 * - Redis does not idle while a trip's worth of work is under way (Little's law: what is
 *   under way = rate * time), and a quarter more, or the least pause would be mistaken
 *   for work, and last. A link of 2 ms wants many calls for that. On the same machine one
 *   is more work than the trip, and a second would only cost Redis its fixed part. It
 *   leaves all the same when it carries PACE_SECOND_KEYS, next to which that is little:
 *   Redis works on it while we read the first one's reply.
 * - A call that holds Redis up for long makes all wait who come behind it: it has no more
 *   counters than PACE_HOLD_US allow, but never less than PACE_SECOND_KEYS.
 *
 * Threads: belongs to its owner's.
 */
#ifndef REDIS_PACE_H
#define REDIS_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a call costs Redis beside its counters, in counters. Both are work of the same
 * machine, so that their ratio travels (scripts/bench: 40 µs and 1.1 µs of CPU). */
#define PACE_CALL_KEYS 32
#define PACE_SECOND_KEYS 64
#define PACE_HOLD_US 2000
/* Less is no work, but a clock that was set back a little. */
#define PACE_KEY_NS_LEAST 200
/* Believed at first. */
#define PACE_KEY_NS_FIRST 2000
/* The trips that were seen are remembered for so long, up to twice. */
#define PACE_SPAN_US INT64_C(5000000)
/* The least of fewer replies is not taken for the trip: the first ones are slow. */
#define PACE_REPLIES_MIN 8

/* One call under way; its owner keeps it until the reply. */
struct pace_call {
	int64_t sent_us;
	size_t keys;
	bool alone;  /* nothing else was under way */
	bool behind; /* it had to wait for Redis */
};

/* What was seen in one span. */
struct pace_span {
	int64_t key_ns;   /* the least with calls behind; INT64_MAX: there was none */
	int64_t reply_us; /* the reply with the least trip; INT64_MAX: none yet */
	size_t keys;      /* of its call */
	size_t replies;   /* in all */
	bool alone;       /* there was a call that was */
};

struct pace {
	struct pace_span span, last; /* this one, and the one before */
	int64_t span_end_us;
	int64_t key_ns;     /* the work of a counter */
	size_t calls, keys; /* under way */
	int64_t began_us;   /* the last call that was answered; 0: not known */
	size_t began_keys;  /* its */
	bool drains;        /* no further call, until one can be alone */
};

/* Nothing is known and nothing under way: also whenever the connection is a new one. */
void pace_init(struct pace *pace);

/* How many counters a call may have. */
size_t pace_keys_max(const struct pace *pace);

/* Whether a call with so many counters may leave now. Always, when none is under way. */
bool pace_allows(const struct pace *pace, size_t keys);

void pace_on_send(
    struct pace *pace, struct pace_call *call, size_t keys, int64_t now_us);

/* In the order of sending. began_us: when Redis began with it, by its own clock; 0 when
 * it did not say. */
void pace_on_reply(
    struct pace *pace, const struct pace_call *call, int64_t began_us, int64_t now_us);

#endif
