/* SPDX-License-Identifier: ISC */
#include "limit/charged.h"

#include "base/num.h"

struct charged
charged_at(const struct limit *l, struct limit_count count, int64_t now_us)
{
	struct charged c = { .algorithm = l->algorithm };
	int64_t start_ms;

	if (l->algorithm == ALGORITHM_CONCURRENCY)
		return c;
	if (l->algorithm == ALGORITHM_TOKEN_BUCKET) {
		c.a = now_us + count.used + count.before;
		c.b = l->interval_us;
		return c;
	}
	window_bounds(&l->window, now_us, &start_ms, &c.a);
	if (l->algorithm == ALGORITHM_FIXED) {
		c.b = c.a - start_ms;
	} else {
		c.b = window_end_ms(&l->window, c.a * 1000);
		c.after_ms = window_end_ms(&l->window, c.b * 1000);
	}
	return c;
}

static void
change(int64_t *count, int64_t by)
{
	if (by > 0)
		*count = *count < NUM_MAX - by ? *count + by : NUM_MAX;
	else
		*count = *count > -by ? *count + by : 0;
}

static void
correct_fixed(
    const struct charged *c, struct limit_state *s, int64_t by, int64_t now_us)
{
	if (c->a * 1000 <= now_us)
		return;
	if (by > 0 && limit_expired(s, now_us))
		*s = (struct limit_state){ .used = by, .end_ms = c->a };
	else if (s->end_ms == c->a)
		change(&s->used, by);
}

/* The state may be of the charged window (it ends with the next one), of the next window,
 * older, or gone. In the last two cases it becomes what a charge would make of it. */
static void
correct_sliding(
    const struct charged *c, struct limit_state *s, int64_t by, int64_t now_us)
{
	bool older = s->end_ms == c->a && !limit_expired(s, now_us);

	if (s->end_ms == c->b)
		change(&s->used, by);
	else if (s->end_ms == c->after_ms)
		change(&s->before, by);
	else if (by < 0 || !(older || limit_expired(s, now_us)))
		return;
	else if (now_us < c->a * 1000)
		*s = (struct limit_state){ by, older ? s->used : 0, c->b };
	else if (now_us < c->b * 1000)
		*s = (struct limit_state){ 0, by, c->after_ms };
}

/*
 * How much of what the bucket lacks now may still be owed to this charge, without a
 * record of what happened since. `before` moves on with every charge, as `used` does, but
 * moves back only when the last charge is given back. So before - c->a is what was taken
 * since, and the rest of the lack is at most what the bucket lacked at any moment since
 * the charge. Where that rest is less than the charge, the bucket would have been full at
 * some moment without the charge: the missing part has refilled by itself.
 */
static int64_t
bucket_left_us(const struct charged *c, struct limit_count now, int64_t now_us)
{
	return c->a - now.before - now_us;
}

/* Giving back the last charge leaves no trace, as if it had never been made: `before` moves
 * back, too. So what a Cluster took for a check that it then refused is not put down as
 * taken after the charges before it. */
static void
bucket_give_back(const struct charged *c, struct limit_state *s, struct limit_count now,
    int64_t left_us, int64_t by_us)
{
	bool is_last = c->a == s->before;
	int64_t back_us = by_us < left_us ? by_us : left_us;

	if (!is_last && back_us > BUCKET_GIVEN_US_MAX - now.before)
		back_us = BUCKET_GIVEN_US_MAX - now.before;
	if (back_us <= 0)
		return;
	s->used -= back_us;
	if (is_last)
		s->before -= back_us;
}

static void
correct_bucket(
    const struct charged *c, struct limit_state *s, int64_t by, int64_t now_us)
{
	struct limit bucket = { .algorithm = ALGORITHM_TOKEN_BUCKET };
	struct limit_count now = limit_count(&bucket, s, now_us);
	int64_t left_us = bucket_left_us(c, now, now_us);
	int64_t most = (NUM_MAX - now_us - now.used - now.before) / c->b;

	/* A bucket that was reset meanwhile owes an older charge nothing. */
	if (by < 0 && left_us > 0 && c->a <= s->before)
		bucket_give_back(
		    c, s, now, left_us, -by <= left_us / c->b ? -by * c->b : left_us);
	if (by <= 0)
		return;
	s->used = by > most ? NUM_MAX - now.before : now_us + now.used + by * c->b;
	s->before = s->used + now.before;
	s->end_ms = s->before / 1000 + (s->before % 1000 > 0);
}

void
charged_correct(const struct charged *c, struct limit_state *s, int64_t from,
    int64_t to, int64_t now_us)
{
	static void (*const correct[])(const struct charged *, struct limit_state *,
	    int64_t by, int64_t now_us) = {
		[ALGORITHM_FIXED] = correct_fixed,
		[ALGORITHM_SLIDING] = correct_sliding,
		[ALGORITHM_TOKEN_BUCKET] = correct_bucket,
	};

	if (from != to)
		correct[c->algorithm](c, s, to - from, now_us);
}
