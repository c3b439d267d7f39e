/* SPDX-License-Identifier: ISC */
/*
 * How large the script calls of one connection may be, and how many may be under way,
 * chosen by what earlier calls showed. Pure; time is a parameter.
 *
 * A call costs Redis some work for each of its counters, and as much as PACE_CALL_KEYS
 * counters for the call itself (reading it, starting the script, writing the reply). On
 * top of that a reply takes the trip: the link both ways, and our own turn of the loop.
 *
 * - The work of a counter: each reply says when its script began, by Redis's clock.
 *   Between two such moments Redis did at least the work of the first call, and nothing
 *   else if the second was already waiting behind it. So a lower figure than the one
 *   believed is always news; a higher one is only if, in a whole span, none of the calls
 *   with others behind them took less.
 * - The trip: the time to a reply, less the call's own work, is at least the trip, and no
 *   more than that if no other call was ahead. So the least counts, again. To make sure
 *   of such a call, all replies are waited for once in a span in which none was alone.
 * - Redis does not idle while a trip's worth of work is under way (Little's law: what is
 *   under way = rate * time). A quarter more is sent: else the shortest pause would be
 *   taken for work, and would stay. Over a link of 2 ms that takes many calls. On the same
 *   machine one call is more work than the trip, and a second one would only cost Redis
 *   its fixed part. It leaves all the same when it carries PACE_SECOND_KEYS, next to
 *   which the fixed part is small: Redis works on it while we read the first reply.
 * - A call that keeps Redis busy for long makes everybody behind it wait, so it has no
 *   more counters than fit into PACE_HOLD_US, though it may always have PACE_SECOND_KEYS.
 *
 * Threads: belongs to its owner's.
 */
#ifndef REDIS_PACE_H
#define REDIS_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a call itself costs Redis, in counters. The same machine does the work of both, so
 * the ratio holds on others, too (scripts/bench: 40 µs and 1.1 µs of CPU). */
#define PACE_CALL_KEYS 32
#define PACE_SECOND_KEYS 64
#define PACE_HOLD_US 2000
/* A lower figure is not work, but a clock that was set back a little. */
#define PACE_KEY_NS_LEAST 200
/* What is believed at first. */
#define PACE_KEY_NS_FIRST 2000
/* How long the trips that were seen are remembered, up to twice. */
#define PACE_SPAN_US INT64_C(5000000)
/* The trip is not taken from fewer replies than this: the first ones are slow. */
#define PACE_REPLIES_MIN 8

/* One call under way; its owner keeps it until the reply. */
struct pace_call {
	int64_t sent_us;
	size_t keys;
	bool alone;  /* nothing else was under way when it was sent */
	bool behind; /* enough was under way that it had to wait for Redis */
};

/* What was seen in one span of time. */
struct pace_span {
	int64_t key_ns;   /* the least, of calls with others behind; INT64_MAX: none */
	int64_t reply_us; /* of the reply with the least trip; INT64_MAX: none yet */
	size_t keys;      /* of that reply's call */
	size_t replies;   /* in all */
	bool alone;       /* one of its calls was alone */
};

struct pace {
	struct pace_span span, last; /* the current one, and the one before */
	int64_t span_end_us;
	int64_t key_ns;        /* what a counter is believed to cost Redis, in ns */
	size_t calls, keys;    /* under way */
	int64_t began_us;      /* when the call last answered began; 0: not known */
	size_t began_keys;     /* its counters */
	int64_t began_sent_us; /* when it was sent */
	bool drains;           /* no further call leaves until one can be alone */
};

/* Nothing is known, nothing is under way. Also to be called for each new connection. */
void pace_init(struct pace *pace);

/* How many counters a call may have. */
size_t pace_keys_max(const struct pace *pace);

/* Whether a call with this many counters may leave now; always, when none is under way. */
bool pace_allows(const struct pace *pace, size_t keys);

void pace_on_send(
    struct pace *pace, struct pace_call *call, size_t keys, int64_t now_us);

/* Called in the order of sending. began_us: when Redis began with the call, by its own
 * clock; 0 when it did not say. */
void pace_on_reply(
    struct pace *pace, const struct pace_call *call, int64_t began_us, int64_t now_us);

#endif
