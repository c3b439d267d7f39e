/* SPDX-License-Identifier: ISC */
/*
 * A span of time in which a limit counts, aligned so that every daemon and every
 * store cuts time at the same places: seconds, minutes, hours, days and durations at
 * multiples of their length since 1970-01-01T00:00:00Z, weeks on Monday 00:00 UTC.
 * Pure; times are parameters.
 */
#ifndef LIMIT_WINDOW_H
#define LIMIT_WINDOW_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

#define WINDOW_NAME_MAX 24
#define WINDOW_SECONDS_MAX INT64_C(315360000) /* 3650 days */

struct window {
	int64_t len_ms;             /* 1,000 ... WINDOW_SECONDS_MAX * 1,000 */
	int64_t offset_ms;          /* where the cuts lie: (t - offset) % len == 0 */
	char name[WINDOW_NAME_MAX]; /* as in keys: "minute", "90s"; the one spelling
	                               of all that mean the same window */
};

/*
 * Reads "second" ... "week", or a whole number with a unit ("90s" "15m" "6h" "30d").
 * 0; ERR_UNSUPPORTED for "month" and "year"; ERR_INVALID otherwise, with what would
 * be right in ei->text. *out is written only on success.
 */
int window_parse(struct slice text, struct window *out, struct errinfo *ei) MUST_CHECK;

/* A whole number of seconds. 0, or ERR_INVALID as above. */
int window_from_seconds(
    int64_t seconds, struct window *out, struct errinfo *ei) MUST_CHECK;

/* The window that holds now_us: the first ms in it and the first ms after it. */
int64_t window_start_ms(const struct window *w, int64_t now_us);
int64_t window_end_ms(const struct window *w, int64_t now_us);

/* Time until the window's end, in ms, rounded up: 1 ... len_ms. */
int64_t window_reset_ms(const struct window *w, int64_t now_us);

#endif
