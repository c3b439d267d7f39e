/* SPDX-License-Identifier: ISC */
/*
 * Time moves in steps from 1 µs to months, and likes the moments around edges. It goes
 * back only within a second, in which no window ends: what is over at one moment a store
 * may forget, or still know when the clock is set back. A bucket may be full at any
 * moment, a slot be free, a record be forgotten: where there are such time does not go
 * back at all.
 */
#include "property.h"

#include <string.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define DAY_US (86400 * SECOND_US)
#define BACK_US_MAX 200000

uint64_t
rng_next(struct rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

size_t
rng_below(struct rng *rng, size_t n)
{
	return (size_t)(rng_next(rng) % n);
}

bool
rng_percent(struct rng *rng, size_t percent)
{
	return rng_below(rng, 100) < percent;
}

/* A little before, at, or a little after an edge. */
static int64_t
jitter_us(struct rng *rng)
{
	static const int64_t offsets[] = { -1000, -1, 0, 0, 1, 999, 1000, 10000, 100000,
		-20000, -200000, 300000 };

	return offsets[rng_below(rng, sizeof(offsets) / sizeof(offsets[0]))];
}

/* The n-th Sunday of a month at an hour, UTC; n < 0: the last one. */
static int64_t
sunday_us(int year, int month, int n, int hour)
{
	struct tm tm = { .tm_year = year - 1900,
		.tm_mon = n < 0 ? month : month - 1,
		.tm_mday = n < 0 ? -6 : 7 * n - 6,
		.tm_hour = hour };
	time_t at = timegm(&tm);

	gmtime_r(&at, &tm);
	at += (7 - tm.tm_wday) % 7 * 86400;
	return (int64_t)at * SECOND_US;
}

/* The next change to or from daylight-saving time in one of a few places. */
static int64_t
next_change(struct rng *rng, int64_t now_us)
{
	static const struct {
		int month, n, hour;
	} changes[] = { { 3, -1, 1 }, { 10, -1, 1 }, /* Europe */
		{ 3, 2, 7 }, { 11, 1, 6 },           /* New York */
		{ 3, 2, 5 }, { 11, 1, 5 } };         /* Havana */
	size_t i = rng_below(rng, sizeof(changes) / sizeof(changes[0]));
	time_t now = (time_t)(now_us / SECOND_US);
	struct tm tm;
	int64_t at_us;

	gmtime_r(&now, &tm);
	for (int year = 1900 + tm.tm_year;; year++) {
		at_us =
		    sunday_us(year, changes[i].month, changes[i].n, changes[i].hour);
		if (at_us > now_us + DAY_US)
			break;
	}
	/* The hours, the midnights and the weeks around it count, too. */
	if (rng_percent(rng, 60))
		at_us += ((int64_t)rng_below(rng, 49) - 24) * 3600 * SECOND_US;
	return at_us;
}

static int64_t
next_multiple(struct rng *rng, int64_t now_us)
{
	static const int64_t spans_s[] = { 1, 1, 60, 60, 3600, 86400, 7 * 86400 };
	int64_t span =
	    spans_s[rng_below(rng, sizeof(spans_s) / sizeof(spans_s[0]))] * SECOND_US;

	return (now_us / span + 1) * span;
}

static int64_t
random_span(struct rng *rng)
{
	static const int64_t spans_us[] = { 50, 1000, 1000, 50000, SECOND_US,
		20 * SECOND_US, 3600 * SECOND_US, DAY_US, 40 * DAY_US };
	size_t i = rng_below(rng, sizeof(spans_us) / sizeof(spans_us[0]));

	return 1 + (int64_t)rng_below(rng, (size_t)spans_us[i]);
}

static int64_t
back(struct rng *rng, const struct walk *walk)
{
	int64_t floor_us = walk->now_us / SECOND_US * SECOND_US;
	int64_t to_us = walk->latest_us - (int64_t)rng_below(rng, BACK_US_MAX);

	return to_us < floor_us || to_us > walk->now_us ? walk->now_us : to_us;
}

void
walk_start(struct walk *walk, struct rng *rng, bool goes_back)
{
	struct tm tm = { .tm_year = 110 + (int)rng_below(rng, 30), .tm_mday = 1 };

	memset(walk, 0, sizeof(*walk));
	walk->now_us = (int64_t)timegm(&tm) * SECOND_US +
	    (int64_t)rng_below(rng, (size_t)(365 * DAY_US));
	walk->latest_us = walk->now_us;
	walk->goes_back = goes_back;
}

void
walk_step(struct walk *walk, struct rng *rng, int64_t edge_ms)
{
	size_t what = rng_below(rng, 100);
	int64_t to_us = walk->now_us;

	if (walk->calm && rng_percent(rng, 93)) {
		if (what < 20)
			walk->now_us += (int64_t)rng_below(rng, 2 * SECOND_US);
		return;
	}
	if (what < 20)
		to_us += random_span(rng);
	else if (what < 30)
		to_us = next_multiple(rng, to_us) + jitter_us(rng);
	else if (what < 40 && edge_ms > 0)
		to_us += edge_ms * 1000 + jitter_us(rng);
	else if (what < 46 && walk->moment_us > to_us)
		to_us = walk->moment_us + jitter_us(rng);
	else if (what >= 46 && what < 48)
		to_us = next_change(rng, to_us) + jitter_us(rng);
	if (to_us < walk->now_us)
		to_us = walk->now_us;
	if (what >= 96 && walk->goes_back)
		to_us = back(rng, walk);
	walk->now_us = to_us;
	if (walk->latest_us < to_us)
		walk->latest_us = to_us;
}
