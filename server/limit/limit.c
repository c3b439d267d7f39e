/* SPDX-License-Identifier: ISC */
#include "limit/limit.h"

#include "base/num.h"

/* Large enough for two counts of 2^53 and a cost, or for a count times a window. */
__extension__ typedef __int128 wide;

static int64_t
ms_up(int64_t us)
{
	return us / 1000 + (us % 1000 > 0);
}

/* value * part / whole, where the result fits into 64 bits. */
static int64_t
share_down(int64_t value, int64_t part, int64_t whole)
{
	return (int64_t)((wide)value * part / whole);
}

static int64_t
share_up(int64_t value, int64_t part, int64_t whole)
{
	return (int64_t)(((wide)value * part + whole - 1) / whole);
}

/* --- fixed -------------------------------------------------------------------- */

/*
 * One count per window. The state is of the current window while its end lies after
 * now; comparing ends, not starts, keeps the count when a clock steps back.
 */
static struct limit_count
fixed_read(const struct limit *l, const struct limit_state *s, int64_t now_us)
{
	(void)l;
	return (struct limit_count){ s->end_ms * 1000 > now_us ? s->used : 0, 0 };
}

static bool
fixed_fits(const struct limit *l, struct limit_count c, int64_t cost, int64_t now_us)
{
	(void)now_us;
	/* Neither side can overflow: each term is at most NUM_MAX plus one cost. */
	return c.used + cost <= l->max;
}

/* A shadow charge is made past any max. Returns how much of it was counted. */
static int64_t
add_to(int64_t *count, int64_t cost)
{
	int64_t held = cost < NUM_MAX - *count ? cost : NUM_MAX - *count;

	*count += held;
	return held;
}

static int64_t
fixed_charge(const struct limit *l, struct limit_state *s, int64_t cost, int64_t now_us)
{
	if (s->end_ms * 1000 <= now_us) {
		s->used = 0;
		s->end_ms = window_end_ms(&l->window, now_us);
	}
	return add_to(&s->used, cost);
}

static void
fixed_report(const struct limit *l, struct limit_count c, int64_t cost, int64_t now_us,
    struct limit_outcome *out)
{
	out->used = c.used;
	out->remaining = c.used < l->max ? l->max - c.used : 0;
	out->reset_ms = window_reset_ms(&l->window, now_us);
	out->retry_after_ms = cost > l->max ? -1 : out->reset_ms;
}

/* --- sliding ------------------------------------------------------------------ */

/*
 * The counts of this window and of the one before. Of the latter, only the part that the
 * sliding span still covers counts: before * (what is left of this window) / length,
 * rounded up. All in whole ms, as in lua/take.lua.
 */
static int64_t
sliding_weight(const struct limit *l, struct limit_count c, int64_t now_us)
{
	int64_t start_ms, end_ms;

	if (c.before == 0)
		return 0;
	window_bounds(&l->window, now_us, &start_ms, &end_ms);
	return share_up(c.before, end_ms - now_us / 1000, end_ms - start_ms);
}

/* The end of the window that the state is of. */
static int64_t
sliding_end_ms(const struct limit *l, const struct limit_state *s)
{
	return s->end_ms == 0 ? 0 : window_start_ms(&l->window, (s->end_ms - 1) * 1000);
}

static struct limit_count
sliding_read(const struct limit *l, const struct limit_state *s, int64_t now_us)
{
	int64_t own_ms = sliding_end_ms(l, s);
	int64_t start_ms, end_ms;

	window_bounds(&l->window, now_us, &start_ms, &end_ms);
	if (own_ms > end_ms) /* time went back: all of it counts */
		return (struct limit_count){ s->used + s->before, 0 };
	if (own_ms * 1000 > now_us)
		return (struct limit_count){ s->used, s->before };
	return (struct limit_count){ 0, own_ms >= start_ms ? s->used : 0 };
}

static bool
sliding_fits(const struct limit *l, struct limit_count c, int64_t cost, int64_t now_us)
{
	return c.used + cost + sliding_weight(l, c, now_us) <= l->max;
}

static int64_t
sliding_charge(
    const struct limit *l, struct limit_state *s, int64_t cost, int64_t now_us)
{
	int64_t own_ms = sliding_end_ms(l, s);
	int64_t start_ms, end_ms;

	if (own_ms * 1000 <= now_us) {
		window_bounds(&l->window, now_us, &start_ms, &end_ms);
		s->before = own_ms >= start_ms ? s->used : 0;
		s->used = 0;
		s->end_ms = window_end_ms(&l->window, end_ms * 1000);
	}
	return add_to(&s->used, cost);
}

/*
 * The first ms at which little enough is left of `used`, once it has become the count of
 * the window before: that window ends at start_ms, and at most `room` may be left of it.
 */
static int64_t
fits_from_ms(int64_t used, int64_t room, int64_t start_ms, int64_t end_ms)
{
	if (used <= room)
		return start_ms;
	return end_ms - share_down(room, end_ms - start_ms, used);
}

static int64_t
sliding_retry_ms(
    const struct limit *l, struct limit_count c, int64_t cost, int64_t now_us)
{
	int64_t room = l->max - cost;
	int64_t start_ms, end_ms;

	if (room < 0)
		return -1;
	window_bounds(&l->window, now_us, &start_ms, &end_ms);
	if (room >= c.used)
		return fits_from_ms(c.before, room - c.used, start_ms, end_ms) -
		    now_us / 1000;
	start_ms = end_ms;
	end_ms = window_end_ms(&l->window, start_ms * 1000);
	return fits_from_ms(c.used, room, start_ms, end_ms) - now_us / 1000;
}

static void
sliding_report(const struct limit *l, struct limit_count c, int64_t cost,
    int64_t now_us, struct limit_outcome *out)
{
	out->used = c.used;
	add_to(&out->used, sliding_weight(l, c, now_us));
	out->remaining = out->used < l->max ? l->max - out->used : 0;
	out->reset_ms = window_reset_ms(&l->window, now_us);
	out->retry_after_ms = sliding_retry_ms(l, c, cost, now_us);
}

/* --- token_bucket ------------------------------------------------------------- */

/*
 * GCRA: all there is to know is when the bucket will be full again. Each token taken
 * moves that moment on by one interval; it may lie at most capacity intervals ahead.
 */
static int
bucket_prepare(struct limit *l, struct errinfo *ei)
{
	int64_t period_us = l->window.len_ms * 1000;

	if (window_is_calendar(&l->window))
		return err_set(ei, ERR_INVALID,
		    "a token bucket fills evenly: its window is second, minute, hour, "
		    "day, week or a duration, without \"timezone\" and \"anchor\"");
	if (l->max > period_us)
		return err_set(ei, ERR_INVALID,
		    "a token bucket gives out at most one token a microsecond, that is "
		    "%lld per %s",
		    (long long)period_us, l->window.name);
	if (l->max == 0 && l->burst > 0)
		return err_set(ei, ERR_INVALID,
		    "a token bucket with \"max\" 0 never fills, so it has no burst");
	l->capacity = l->burst ? l->burst : l->max;
	l->interval_us = l->max ? (period_us + l->max - 1) / l->max : 1;
	if (l->capacity > BUCKET_FILL_US_MAX / l->interval_us)
		return err_set(ei, ERR_INVALID,
		    "a bucket of %lld tokens at %lld per %s takes more than %lld days "
		    "to fill",
		    (long long)l->capacity, (long long)l->max, l->window.name,
		    (long long)(BUCKET_FILL_US_MAX / 86400000000));
	return 0;
}

static struct limit_count
bucket_read(const struct limit *l, const struct limit_state *s, int64_t now_us)
{
	struct limit_count count = { 0 };

	(void)l;
	if (s->used > now_us)
		count.used = s->used - now_us;
	if (s->before > now_us + count.used)
		count.before = s->before - now_us - count.used;
	return count;
}

static bool
bucket_fits(const struct limit *l, struct limit_count c, int64_t cost, int64_t now_us)
{
	(void)now_us;
	return cost <= l->capacity &&
	    c.used + cost * l->interval_us <= l->capacity * l->interval_us;
}

/* How many more whole tokens a bucket may owe that will be full in so many µs. */
static int64_t
bucket_credit(const struct limit *l, int64_t fills_us)
{
	int64_t most_us = BUCKET_FILLINGS_MAX * l->capacity * l->interval_us;

	return fills_us < most_us ? (most_us - fills_us) / l->interval_us : 0;
}

static int64_t
bucket_charge(
    const struct limit *l, struct limit_state *s, int64_t cost, int64_t now_us)
{
	struct limit_count count = bucket_read(l, s, now_us);
	int64_t held = bucket_credit(l, count.used);

	if (cost < held)
		held = cost;
	if (held == 0)
		return 0;
	s->used = now_us + count.used + held * l->interval_us;
	s->before = s->used + count.before;
	s->end_ms = ms_up(s->before);
	return held;
}

static void
bucket_report(const struct limit *l, struct limit_count c, int64_t cost, int64_t now_us,
    struct limit_outcome *out)
{
	int64_t room_us = l->capacity * l->interval_us - c.used;

	(void)now_us;
	out->remaining = room_us > 0 ? room_us / l->interval_us : 0;
	out->used = l->capacity - out->remaining;
	out->reset_ms = ms_up(c.used);
	out->retry_after_ms =
	    cost > l->capacity ? -1 : ms_up(cost * l->interval_us - room_us);
}

/* --- concurrency -------------------------------------------------------------- */

/* Calls in flight. The state is a struct slots, so there is no struct limit_state to work
 * on, and no window. */
static void
slots_report(const struct limit *l, struct limit_count c, int64_t cost, int64_t now_us,
    struct limit_outcome *out)
{
	(void)now_us;
	out->used = c.used;
	out->remaining = c.used < l->max ? l->max - c.used : 0;
	out->reset_ms = c.before;
	out->retry_after_ms = cost > l->max ? -1 : c.before;
}

/* --- the table ---------------------------------------------------------------- */

static const struct {
	struct limit_count (*read)(
	    const struct limit *, const struct limit_state *, int64_t now_us);
	bool (*fits)(
	    const struct limit *, struct limit_count, int64_t cost, int64_t now_us);
	int64_t (*charge)(
	    const struct limit *, struct limit_state *, int64_t cost, int64_t now_us);
	void (*report)(const struct limit *, struct limit_count, int64_t cost,
	    int64_t now_us, struct limit_outcome *);      /* retry as if refused */
	int (*prepare)(struct limit *, struct errinfo *); /* NULL: nothing to do */
} algorithms[] = {
	[ALGORITHM_FIXED] = { fixed_read, fixed_fits, fixed_charge, fixed_report,
	    NULL },
	[ALGORITHM_SLIDING] = { sliding_read, sliding_fits, sliding_charge,
	    sliding_report, NULL },
	[ALGORITHM_TOKEN_BUCKET] = { bucket_read, bucket_fits, bucket_charge,
	    bucket_report, bucket_prepare },
	[ALGORITHM_CONCURRENCY] = { .fits = fixed_fits, .report = slots_report },
};

int
limit_prepare(struct limit *l, struct errinfo *ei)
{
	return algorithms[l->algorithm].prepare
	    ? algorithms[l->algorithm].prepare(l, ei)
	    : 0;
}

void
limit_share(const struct limit *of, int64_t parts, struct limit *out)
{
	*out = *of;
	out->max = of->max / parts;
	if (of->algorithm != ALGORITHM_TOKEN_BUCKET)
		return;
	out->burst = of->burst / parts;
	out->capacity = of->capacity / parts;
	/* Not worked out from the max, which may be 0 although a token still drips in now
	 * and then. It cannot overflow: with at least one token for each part, this is no
	 * more than the whole bucket takes to fill. An empty share needs no interval. */
	if (out->capacity > 0)
		out->interval_us = of->interval_us * parts;
}

struct limit_count
limit_count(const struct limit *l, const struct limit_state *s, int64_t now_us)
{
	return algorithms[l->algorithm].read(l, s, now_us);
}

bool
limit_expired(const struct limit_state *s, int64_t now_us)
{
	return s->end_ms * 1000 <= now_us;
}

bool
limit_fits(
    const struct limit *l, struct limit_count count, int64_t cost, int64_t now_us)
{
	return algorithms[l->algorithm].fits(l, count, cost, now_us);
}

int64_t
limit_charge(const struct limit *l, struct limit_state *s, int64_t cost, int64_t now_us)
{
	return algorithms[l->algorithm].charge(l, s, cost, now_us);
}

struct limit_outcome
limit_report(const struct limit *l, struct limit_count count, int64_t cost,
    int64_t now_us, bool refused)
{
	struct limit_outcome out = { 0 };
	int64_t start_ms, end_ms;

	algorithms[l->algorithm].report(l, count, cost, now_us, &out);
	if (!refused)
		out.retry_after_ms = 0;
	else if (limit_fits(l, count, cost, now_us))
		out.retry_after_ms = -1;
	if (l->algorithm == ALGORITHM_CONCURRENCY)
		return out;
	window_bounds(&l->window, now_us, &start_ms, &end_ms);
	out.window_ms = end_ms - start_ms;
	return out;
}
