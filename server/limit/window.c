/* SPDX-License-Identifier: ISC */
#include "limit/window.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "limit/calendar.h"

#define DAY_S INT64_C(86400)
#define WEEK_S (7 * DAY_S)
/* 1970-01-01 was a Thursday; the first Monday is four days later. */
#define MONDAY_MS (4 * DAY_S * 1000)

/* `unit` is what the window is once it follows a calendar, as month and year always do. */
static const struct {
	const char *name;
	int64_t seconds;
	int64_t offset_ms;
	enum window_unit unit;
	int anchor;
} named[] = {
	{ "second", 1, 0, WINDOW_CLOCK, 0 },
	{ "minute", 60, 0, WINDOW_CLOCK, 0 },
	{ "hour", 3600, 0, WINDOW_CLOCK, 0 },
	{ "day", DAY_S, 0, WINDOW_DAY, 0 },
	{ "week", WEEK_S, MONDAY_MS, WINDOW_WEEK, 0 },
	{ "month", 30 * DAY_S, 0, WINDOW_MONTH, 1 },
	{ "year", 365 * DAY_S, 0, WINDOW_YEAR, 0 },
};

static const struct {
	char letter;
	int64_t seconds;
} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', DAY_S } };

static int
invalid(struct errinfo *ei)
{
	return err_set(ei, ERR_INVALID,
	    "a window is second, minute, hour, day, week, month or year, "
	    "a duration such as \"90s\", \"15m\", \"6h\" or \"30d\", or a whole number "
	    "of seconds, from 1 second to 3650 days");
}

int
window_from_seconds(int64_t seconds, struct window *out, struct errinfo *ei)
{
	if (seconds < 1 || seconds > WINDOW_SECONDS_MAX)
		return invalid(ei);
	*out = (struct window){ .len_ms = seconds * 1000 };
	snprintf(out->name, sizeof(out->name), "%llds", (long long)seconds);
	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		if (named[i].seconds == seconds && named[i].offset_ms == 0 &&
		    named[i].unit < WINDOW_MONTH)
			snprintf(out->name, sizeof(out->name), "%s", named[i].name);
	return 0;
}

static int
parse_duration(struct slice text, struct window *out, struct errinfo *ei)
{
	int64_t count;

	for (size_t i = 0; text.len > 1 && i < ARRAY_LEN(units); i++) {
		if (text.ptr[text.len - 1] != units[i].letter)
			continue;
		if (text.ptr[0] == '0' ||
		    num_parse(slice_make(text.ptr, text.len - 1), &count) < 0 ||
		    count < 1 || count > WINDOW_SECONDS_MAX)
			break;
		return window_from_seconds(count * units[i].seconds, out, ei);
	}
	return invalid(ei);
}

int
window_parse(struct slice text, struct window *out, struct errinfo *ei)
{
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		if (!slice_eq_str(text, named[i].name))
			continue;
		*out = (struct window){ .len_ms = named[i].seconds * 1000,
			.offset_ms = named[i].offset_ms };
		snprintf(out->name, sizeof(out->name), "%s", named[i].name);
		if (named[i].unit >= WINDOW_MONTH)
			return window_set_zone(out, NULL, -1);
		return 0;
	}
	return parse_duration(text, out, ei);
}

int
window_set_zone(struct window *w, const struct zone *zone, int anchor)
{
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		if (strcmp(w->name, named[i].name) != 0)
			continue;
		w->unit = named[i].unit;
		w->anchor = anchor < 0 ? named[i].anchor : anchor;
		w->zone = zone;
		return 0;
	}
	return ERR_INVALID;
}

/* --- the calendar ------------------------------------------------------------- */

/* The first day of the period that is `step` after the one that contains `day`. */
static int64_t
period_day(const struct window *w, int64_t day, int step)
{
	struct calendar_date date;
	int64_t months;

	if (w->unit == WINDOW_DAY)
		return day + step;
	if (w->unit == WINDOW_WEEK)
		return day - (calendar_weekday(day) - w->anchor + 7) % 7 + 7 * step;
	date = calendar_date(day);
	if (w->unit == WINDOW_YEAR)
		return calendar_day(date.year + step, 1, 1);
	months = date.year * 12 + date.month - 1 - (date.day < w->anchor) + step;
	date.year = calendar_floor_div(months, 12);
	return calendar_day(date.year, (int)(months - date.year * 12) + 1, w->anchor);
}

/* A period begins when the zone's clock first shows its first day. */
static void
date_bounds(const struct window *w, int64_t now_s, int64_t *start_s, int64_t *end_s)
{
	struct zone_span span;
	int64_t day;

	zone_at(w->zone, now_s, &span);
	day = calendar_floor_div(now_s + span.offset_s, DAY_S);
	*start_s = zone_first_s(w->zone, period_day(w, day, 0) * DAY_S);
	*end_s = zone_first_s(w->zone, period_day(w, day, 1) * DAY_S);
	/* A clock that is put back past midnight shows the day before once more. */
	while (*end_s <= now_s) {
		day = period_day(w, day, 1);
		*start_s = *end_s;
		*end_s = zone_first_s(w->zone, period_day(w, day, 1) * DAY_S);
	}
}

/* An hour that the clock repeats is an hour of its own; an hour within which the clock is
 * changed is cut there. */
static void
clock_bounds(const struct window *w, int64_t now_s, int64_t *start_s, int64_t *end_s)
{
	int64_t len_s = w->len_ms / 1000;
	struct zone_span span;

	zone_at(w->zone, now_s, &span);
	*start_s = calendar_floor_div(now_s + span.offset_s, len_s) * len_s;
	*start_s -= span.offset_s;
	*end_s = *start_s + len_s;
	if (*start_s < span.from_s)
		*start_s = span.from_s;
	if (*end_s > span.until_s)
		*end_s = span.until_s;
}

static void
calendar_bounds(
    const struct window *w, int64_t now_us, int64_t *start_ms, int64_t *end_ms)
{
	int64_t now_s = calendar_floor_div(now_us, 1000000);
	int64_t start_s, end_s;

	if (w->unit == WINDOW_CLOCK)
		clock_bounds(w, now_s, &start_s, &end_s);
	else
		date_bounds(w, now_s, &start_s, &end_s);
	*start_ms = start_s * 1000;
	*end_ms = end_s * 1000;
}

/* --- any window --------------------------------------------------------------- */

void
window_bounds(
    const struct window *w, int64_t now_us, int64_t *start_ms, int64_t *end_ms)
{
	int64_t now_ms = now_us / 1000;
	int64_t into;

	if (window_is_calendar(w)) {
		calendar_bounds(w, now_us, start_ms, end_ms);
		return;
	}
	into = (now_ms - w->offset_ms) % w->len_ms;
	if (into < 0)
		into += w->len_ms;
	*start_ms = now_ms - into;
	*end_ms = *start_ms + w->len_ms;
}

void
window_cuts(const struct window *w, int64_t now_us, int64_t cuts_ms[WINDOW_CUTS])
{
	int64_t skip;

	window_bounds(w, now_us, &cuts_ms[1], &cuts_ms[2]);
	window_bounds(w, (cuts_ms[1] - 1) * 1000, &cuts_ms[0], &skip);
	for (int i = 3; i < WINDOW_CUTS; i++)
		window_bounds(w, cuts_ms[i - 1] * 1000, &skip, &cuts_ms[i]);
}

int64_t
window_start_ms(const struct window *w, int64_t now_us)
{
	int64_t start_ms, end_ms;

	window_bounds(w, now_us, &start_ms, &end_ms);
	return start_ms;
}

int64_t
window_end_ms(const struct window *w, int64_t now_us)
{
	int64_t start_ms, end_ms;

	window_bounds(w, now_us, &start_ms, &end_ms);
	return end_ms;
}

int64_t
window_reset_ms(const struct window *w, int64_t now_us)
{
	int64_t left_us = window_end_ms(w, now_us) * 1000 - now_us;

	return (left_us + 999) / 1000;
}
