/* SPDX-License-Identifier: ISC */
#include "redis/admission.h"

/* The bounds of `stretch`: never fewer than half of what the rate implies are let in, and
 * sixteen times as many is as good as no limit. */
#define STRETCH_LEAST (ADMISSION_EVEN / 2)
#define STRETCH_MOST (ADMISSION_EVEN * 16)
/* It grows and shrinks by one part in so many at a time. */
#define GROW 16
#define GROW_FAST 2
#define SHRINK 4

/* How long a take may wait in all when its deadline is in budget_us. */
static int64_t
allowed_us(int64_t budget_us)
{
	return budget_us * ADMISSION_QUARTERS / 4;
}

/* How long the server was idle until then, since its last answer or since `limited` was
 * set. */
static int64_t
idle_until(const struct admission *a, int64_t until_us)
{
	int64_t since_us = a->answer_us > a->limited_us ? a->answer_us : a->limited_us;

	return until_us > since_us ? until_us - since_us : 0;
}

static void
forget(struct admission *a)
{
	a->limited = a->tightened = false;
	a->done = a->busy_us = a->idle_us = 0;
	a->refused_us = 0;
}

bool
admission_allows(struct admission *a, int64_t budget_us, int64_t now_us)
{
	if (a->limited && a->waiting == 0 &&
	    a->idle_us + idle_until(a, now_us) > ADMISSION_SPAN_US)
		forget(a);
	/* One may always wait: it shows when the server has become faster. */
	if (!a->limited || a->done == 0 || a->waiting == 0)
		return true;
	if ((int64_t)a->waiting * a->busy_us / a->done * ADMISSION_EVEN <=
	    allowed_us(budget_us) * a->stretch)
		return true;
	if (a->refused_us == 0)
		a->refused_us = now_us;
	return false;
}

int64_t
admission_needs_us(const struct admission *a, size_t ahead, size_t own)
{
	/* As above: one may always go. */
	if (!a->limited || a->done == 0 || ahead + own <= 1)
		return 0;
	return (int64_t)(ahead + own) * a->busy_us / a->done * ADMISSION_EVEN /
	    a->stretch;
}

static void
tighten(struct admission *a, int64_t stretch)
{
	a->limited = true;
	a->tightened = true;
	a->stretch = stretch > STRETCH_LEAST ? stretch : STRETCH_LEAST;
}

size_t
admission_flight_max(const struct admission *a)
{
	return a->proven * 2 > ADMISSION_FLIGHT ? (size_t)a->proven * 2
						: ADMISSION_FLIGHT;
}

bool
admission_may_send(const struct admission *a, const struct admission_note *note)
{
	return a->under_way == 0 ||
	    (size_t)(a->under_way + note->own) <= admission_flight_max(a);
}

void
admission_on_unsent(struct admission *a, const struct admission_note *note)
{
	a->under_way -= note->own;
}

void
admission_on_send(struct admission *a, struct admission_note *note, int64_t now_us)
{
	a->under_way += note->own;
	note->flight = a->under_way;
	note->sent_us = now_us;
}

void
admission_begin(struct admission_note *note, int64_t budget_us, int64_t now_us)
{
	*note = (struct admission_note){ .born_us = now_us, .budget_us = budget_us };
}

void
admission_join(struct admission *a, struct admission_note *note)
{
	a->waiting++;
	note->own++;
}

void
admission_leave(struct admission *a, struct admission_note *note, size_t n)
{
	a->waiting -= n;
	note->own -= (int64_t)n;
}

static bool
is_long(const struct admission_note *note, int64_t now_us)
{
	return note->own > 0 && now_us - note->born_us > allowed_us(note->budget_us);
}

static bool
is_short(const struct admission_note *note, int64_t now_us)
{
	return now_us - note->born_us < allowed_us(note->budget_us) / 2;
}

void
admission_on_wait(
    struct admission *a, const struct admission_note *note, int64_t now_us)
{
	if (a->limited || !is_long(note, now_us))
		return;
	tighten(a, ADMISSION_EVEN);
	a->limited_us = now_us;
	a->idle_us = 0;
}

/* The server was busy since the answer before, or since this batch came. */
static void
learn(struct admission *a, const struct admission_note *note, int64_t now_us)
{
	int64_t since_us = a->answer_us > note->born_us ? a->answer_us : note->born_us;
	int64_t busy_us = now_us > since_us ? now_us - since_us : 0;

	a->done += note->own;
	a->busy_us += busy_us;
	a->idle_us += idle_until(a, note->born_us) - busy_us;
	if (a->idle_us < 0)
		a->idle_us = 0;
	a->answer_us = now_us;
	while (a->busy_us > ADMISSION_SPAN_US && a->done > 1) {
		a->busy_us /= 2;
		a->done /= 2;
	}
}

/* A batch that took more than half of the time it may take tells how many can be answered
 * in all of it. One that took less proves only what was under way with it, of which
 * admission_flight_max() allows twice as many. */
static void
prove(struct admission *a, const struct admission_note *note, int64_t now_us)
{
	int64_t took_us = now_us - note->sent_us;
	int64_t may_us = allowed_us(note->budget_us);

	if (took_us * 2 > may_us)
		a->proven = may_us > 0 ? note->flight * may_us / took_us / 2 : 0;
	else if (note->flight > a->proven)
		a->proven = note->flight;
}

/*
 * Batches that were begun before the last adjustment say nothing about it: they waited
 * behind what was let in before. And only batches that were begun while others were
 * refused have met a queue as long as is let in.
 */
static void
adjust(struct admission *a, const struct admission_note *note, int64_t now_us)
{
	bool full = a->refused_us != 0 && note->born_us >= a->refused_us;

	if (!a->limited || note->born_us < a->adjusted_us)
		return;
	if (is_long(note, now_us))
		tighten(a, a->stretch - a->stretch / SHRINK);
	else if (full)
		a->stretch += a->stretch / (is_short(note, now_us) ? GROW_FAST : GROW);
	else
		return;
	a->limited = a->stretch < STRETCH_MOST;
	a->adjusted_us = now_us;
	a->refused_us = 0;
}

void
admission_on_answer(
    struct admission *a, const struct admission_note *note, int64_t now_us)
{
	a->waiting -= (size_t)note->own;
	a->under_way -= note->own;
	learn(a, note, now_us);
	admission_on_wait(a, note, now_us);
	prove(a, note, now_us);
	adjust(a, note, now_us);
}
