/* SPDX-License-Identifier: ISC */
/*
 * The span of time in which a limit counts, aligned so that every daemon and every
 * store cuts time at the same places: seconds, minutes, hours, days and durations at
 * multiples of their length since 1970-01-01T00:00:00Z, weeks on Monday 00:00 UTC.
 * Months, years, and whatever has a time zone or an anchor follow the calendar, so that
 * their lengths vary.
 * Pure; time is a parameter.
 */
#ifndef LIMIT_WINDOW_H
#define LIMIT_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"
#include "limit/zone.h"

#define WINDOW_NAME_MAX 24
#define WINDOW_SECONDS_MAX INT64_C(315360000) /* 3650 days */

enum window_unit {
	WINDOW_SPAN,  /* of len_ms and offset_ms; no calendar */
	WINDOW_CLOCK, /* second, minute, hour: by the clock of a zone */
	WINDOW_DAY,
	WINDOW_WEEK,
	WINDOW_MONTH,
	WINDOW_YEAR
};

struct window {
	int64_t len_ms;             /* 1,000 ... WINDOW_SECONDS_MAX * 1,000;
	                               month and year: approximate */
	int64_t offset_ms;          /* where the cuts lie: (t - offset) % len == 0 */
	char name[WINDOW_NAME_MAX]; /* as in keys: "minute", "90s"; the same for all
	                               spellings of one window */
	enum window_unit unit;
	int anchor;              /* WINDOW_WEEK: its first day, 0 Monday ... 6;
	                            WINDOW_MONTH: its first day, 1 ... 28 */
	const struct zone *zone; /* NULL: UTC; borrowed */
};

/*
 * Reads "second" ... "year", or a whole number with a unit ("90s" "15m" "6h" "30d").
 * 0, or ERR_INVALID: ei->text says what would be right. *out is written only on success.
 */
int window_parse(struct slice text, struct window *out, struct errinfo *ei) MUST_CHECK;

/* The window of a whole number of seconds. 0, or ERR_INVALID as above. */
int window_from_seconds(
    int64_t seconds, struct window *out, struct errinfo *ei) MUST_CHECK;

/*
 * Makes a window follow the calendar of a time zone (NULL: UTC). `anchor` is as above;
 * -1: Monday, or the first of the month. 0, or ERR_INVALID when the window is a mere
 * duration, which follows no calendar.
 */
int window_set_zone(struct window *w, const struct zone *zone, int anchor) MUST_CHECK;

static inline bool
window_is_calendar(const struct window *w)
{
	return w->unit != WINDOW_SPAN;
}

/* The window that contains now_us: its first ms, and the first ms after it. */
int64_t window_start_ms(const struct window *w, int64_t now_us);
int64_t window_end_ms(const struct window *w, int64_t now_us);

/* Both at once. */
void window_bounds(
    const struct window *w, int64_t now_us, int64_t *start_ms, int64_t *end_ms);

/* The cuts, in ms, between four successive windows: the one before that of now_us, that
 * of now_us itself, and the two after it. A store whose clock is not quite the one that
 * now_us was read from picks its window among these. */
#define WINDOW_CUTS 5
void window_cuts(const struct window *w, int64_t now_us, int64_t cuts_ms[WINDOW_CUTS]);

/* The time until the window's end in ms, rounded up: 1 ... */
int64_t window_reset_ms(const struct window *w, int64_t now_us);

#endif
