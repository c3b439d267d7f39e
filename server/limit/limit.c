/* SPDX-License-Identifier: ISC */
#include "limit/limit.h"

/*
 * fixed: one count per window. The state is of the current window while its end lies
 * after now; comparing ends, not starts, keeps the count when a clock steps back.
 */
static int64_t
fixed_used(const struct limit_state *s, int64_t now_us)
{
	return s->end_ms * 1000 > now_us ? s->used : 0;
}

static void
fixed_charge(const struct limit *l, struct limit_state *s, int64_t cost, int64_t now_us)
{
	if (s->end_ms * 1000 <= now_us) {
		s->used = 0;
		s->end_ms = window_end_ms(&l->window, now_us);
	}
	s->used += cost;
}

static void
fixed_give_back(struct limit_state *s, int64_t cost, int64_t end_ms)
{
	if (s->end_ms != end_ms)
		return;
	s->used = s->used > cost ? s->used - cost : 0;
}

static const struct {
	int64_t (*used)(const struct limit_state *, int64_t now_us);
	void (*charge)(
	    const struct limit *, struct limit_state *, int64_t cost, int64_t now_us);
	void (*give_back)(struct limit_state *, int64_t cost, int64_t end_ms);
} algorithms[] = {
	[ALGORITHM_FIXED] = { fixed_used, fixed_charge, fixed_give_back },
};

int64_t
limit_used(const struct limit *l, const struct limit_state *s, int64_t now_us)
{
	return algorithms[l->algorithm].used(s, now_us);
}

bool
limit_expired(const struct limit_state *s, int64_t now_us)
{
	return s->end_ms * 1000 <= now_us;
}

bool
limit_has_room(
    const struct limit *l, const struct limit_state *s, int64_t cost, int64_t now_us)
{
	/* Neither side can overflow: each term is at most NUM_MAX plus one cost. */
	return limit_used(l, s, now_us) + cost <= l->max;
}

void
limit_charge(const struct limit *l, struct limit_state *s, int64_t cost, int64_t now_us)
{
	algorithms[l->algorithm].charge(l, s, cost, now_us);
}

void
limit_give_back(
    const struct limit *l, struct limit_state *s, int64_t cost, int64_t end_ms)
{
	algorithms[l->algorithm].give_back(s, cost, end_ms);
}

struct limit_outcome
limit_report(
    const struct limit *l, int64_t used, int64_t cost, int64_t now_us, bool refused)
{
	struct limit_outcome out = { .used = used };

	out.remaining = used < l->max ? l->max - used : 0;
	out.reset_ms = window_reset_ms(&l->window, now_us);
	if (refused)
		out.retry_after_ms = cost > l->max ? -1 : out.reset_ms;
	return out;
}
