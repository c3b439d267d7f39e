/* SPDX-License-Identifier: ISC */
#include "redis/admission.h"

/* Of ADMISSION_EVEN: the least that is let in of what was done, and what is as good as
 * no limit. */
#define STRETCH_LEAST (ADMISSION_EVEN / 2)
#define STRETCH_MOST (ADMISSION_EVEN * 16)
/* The part of it that is added or taken off at once. */
#define GROW 16
#define GROW_FAST 2
#define SHRINK 4

/* What a take may wait in all whose deadline is in budget_us. */
static int64_t
allowed_us(int64_t budget_us)
{
	return budget_us * ADMISSION_QUARTERS / 4;
}

/* How long it had nothing to do until then, since its last answer or since it is
 * limited. */
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
	/* One may always wait: by it is seen when it goes faster. */
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

/* It had something to do since the answer before, or since this batch came. */
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

/* What took more than half of its time says how many can be answered in all of it; twice
 * as many as what took less. */
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
 * Earlier batches waited as they did by what was let in before the last lesson. And only
 * those that were begun when others were refused tell how long the longest queue is that
 * is let in.
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
