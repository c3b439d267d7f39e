/* SPDX-License-Identifier: ISC */
#include "limit/window.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/num.h"

#define DAY_S INT64_C(86400)
#define WEEK_S (7 * DAY_S)
/* 1970-01-01 was a Thursday; the first Monday is four days later. */
#define MONDAY_MS (4 * DAY_S * 1000)

static const struct {
	const char *name;
	int64_t seconds;
	int64_t offset_ms;
} named[] = {
	{ "second", 1, 0 },
	{ "minute", 60, 0 },
	{ "hour", 3600, 0 },
	{ "day", DAY_S, 0 },
	{ "week", WEEK_S, MONDAY_MS },
};

static const struct {
	char letter;
	int64_t seconds;
} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', DAY_S } };

static int
invalid(struct errinfo *ei)
{
	return err_set(ei, ERR_INVALID,
	    "a window is second, minute, hour, day or week, "
	    "a duration such as \"90s\", \"15m\", \"6h\" or \"30d\", or a whole number "
	    "of seconds, from 1 second to 3650 days");
}

int
window_from_seconds(int64_t seconds, struct window *out, struct errinfo *ei)
{
	if (seconds < 1 || seconds > WINDOW_SECONDS_MAX)
		return invalid(ei);
	out->len_ms = seconds * 1000;
	out->offset_ms = 0;
	snprintf(out->name, sizeof(out->name), "%llds", (long long)seconds);
	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		if (named[i].seconds == seconds && named[i].offset_ms == 0)
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
		out->len_ms = named[i].seconds * 1000;
		out->offset_ms = named[i].offset_ms;
		snprintf(out->name, sizeof(out->name), "%s", named[i].name);
		return 0;
	}
	if (slice_eq_str(text, "month") || slice_eq_str(text, "year"))
		return err_set(ei, ERR_UNSUPPORTED,
		    "the calendar window \"%.*s\" is not "
		    "supported yet; a duration such as \"30d\" is",
		    SLICE_ARG(text));
	return parse_duration(text, out, ei);
}

int64_t
window_start_ms(const struct window *w, int64_t now_us)
{
	int64_t now_ms = now_us / 1000;
	int64_t into = (now_ms - w->offset_ms) % w->len_ms;

	if (into < 0)
		into += w->len_ms;
	return now_ms - into;
}

int64_t
window_end_ms(const struct window *w, int64_t now_us)
{
	return window_start_ms(w, now_us) + w->len_ms;
}

int64_t
window_reset_ms(const struct window *w, int64_t now_us)
{
	int64_t left_us = window_end_ms(w, now_us) * 1000 - now_us;

	return (left_us + 999) / 1000;
}
