/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/tzdata.h"
#include "limit/window.h"

#define S INT64_C(1000)
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* 2026-01-01T00:00:00Z, a Thursday. */
#define NEW_YEAR_MS INT64_C(1767225600000)

static struct window
window_of(const char *text)
{
	struct window w;

	assert_int_equal(window_parse(slice_str(text), &w, NULL), 0);
	return w;
}

static void
test_parse_names(void **state)
{
	static const struct {
		const char *text;
		int64_t len_ms;
		const char *name;
	} cases[] = {
		{ "second", S, "second" },
		{ "minute", MINUTE, "minute" },
		{ "hour", HOUR, "hour" },
		{ "day", DAY, "day" },
		{ "week", 7 * DAY, "week" },
		{ "1s", S, "second" },
		{ "60s", MINUTE, "minute" },
		{ "1m", MINUTE, "minute" },
		{ "90s", 90 * S, "90s" },
		{ "15m", 15 * MINUTE, "900s" },
		{ "60m", HOUR, "hour" },
		{ "6h", 6 * HOUR, "21600s" },
		{ "24h", DAY, "day" },
		{ "1d", DAY, "day" },
		{ "30d", 30 * DAY, "2592000s" },
		{ "7d", 7 * DAY, "604800s" },
		{ "3650d", 3650 * DAY, "315360000s" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct window w = window_of(cases[i].text);
		struct window same;

		assert_true(w.len_ms == cases[i].len_ms);
		assert_string_equal(w.name, cases[i].name);
		if (w.offset_ms != 0)
			continue;
		assert_int_equal(window_from_seconds(w.len_ms / S, &same, NULL), 0);
		assert_string_equal(same.name, w.name);
	}
}

static void
test_parse_refuses(void **state)
{
	static const char *const bad[] = { "", "s", "0s", "-1s", "01s", "1.5h", "90",
		"90S", "1w", "3651d", "315360001s", "99999999999999999999s", "minutes",
		"Minute", " minute", "minute ", "1 m", "1h30m",
		"9223372036854775807d" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct window w = { .len_ms = 7 };
		struct errinfo ei = { 0 };

		assert_int_equal(window_parse(slice_str(bad[i]), &w, &ei), ERR_INVALID);
		assert_int_equal(w.len_ms, 7);
		assert_non_null(strstr(ei.text, "\"15m\""));
	}
}

static void
test_seconds_range(void **state)
{
	struct window w;

	(void)state;
	assert_int_equal(window_from_seconds(0, &w, NULL), ERR_INVALID);
	assert_int_equal(window_from_seconds(-60, &w, NULL), ERR_INVALID);
	assert_int_equal(window_from_seconds(WINDOW_SECONDS_MAX, &w, NULL), 0);
	assert_int_equal(
	    window_from_seconds(WINDOW_SECONDS_MAX + 1, &w, NULL), ERR_INVALID);
}

/* From the first to the last microsecond a window is the same; then the next begins. */
static void
assert_window(const char *text, int64_t start_ms, int64_t end_ms)
{
	struct window w = window_of(text);
	const int64_t inside[] = { start_ms * 1000, start_ms * 1000 + 1,
		(start_ms + end_ms) / 2 * 1000, end_ms * 1000 - 1 };

	for (size_t i = 0; i < ARRAY_LEN(inside); i++) {
		assert_true(window_start_ms(&w, inside[i]) == start_ms);
		assert_true(window_end_ms(&w, inside[i]) == end_ms);
	}
	assert_true(window_start_ms(&w, end_ms * 1000) == end_ms);
	if (start_ms > 0)
		assert_true(window_end_ms(&w, start_ms * 1000 - 1) == start_ms);
}

static void
test_alignment(void **state)
{
	struct window week = window_of("week");

	(void)state;
	assert_window("second", NEW_YEAR_MS, NEW_YEAR_MS + S);
	assert_window("minute", NEW_YEAR_MS - MINUTE, NEW_YEAR_MS);
	assert_window("hour", NEW_YEAR_MS + HOUR, NEW_YEAR_MS + 2 * HOUR);
	assert_window("day", NEW_YEAR_MS - DAY, NEW_YEAR_MS);
	/* Monday, 2025-12-29, to Monday, 2026-01-05. */
	assert_window("week", NEW_YEAR_MS - 3 * DAY, NEW_YEAR_MS + 4 * DAY);
	/* Seven days as a duration begin on a Thursday, as the epoch did. */
	assert_window("7d", NEW_YEAR_MS, NEW_YEAR_MS + 7 * DAY);
	assert_window("90s", NEW_YEAR_MS, NEW_YEAR_MS + 90 * S);
	assert_window("6h", NEW_YEAR_MS - 6 * HOUR, NEW_YEAR_MS);
	assert_window("minute", 0, MINUTE);
	/* The first days of the epoch belong to the week before its first Monday. */
	assert_true(window_start_ms(&week, 0) == -3 * DAY);
	assert_true(window_end_ms(&week, 1) == 4 * DAY);
}

static void
test_reset_rounds_up(void **state)
{
	struct window w = window_of("minute");
	int64_t end_us = (NEW_YEAR_MS + MINUTE) * 1000;

	(void)state;
	assert_int_equal(window_reset_ms(&w, NEW_YEAR_MS * 1000), 60000);
	assert_int_equal(window_reset_ms(&w, NEW_YEAR_MS * 1000 + 1), 60000);
	assert_int_equal(window_reset_ms(&w, NEW_YEAR_MS * 1000 + 999), 60000);
	assert_int_equal(window_reset_ms(&w, NEW_YEAR_MS * 1000 + 1000), 59999);
	assert_int_equal(window_reset_ms(&w, end_us - 1001), 2);
	assert_int_equal(window_reset_ms(&w, end_us - 1000), 1);
	assert_int_equal(window_reset_ms(&w, end_us - 1), 1);
	assert_int_equal(window_reset_ms(&w, end_us), 60000);
}

/* A month is as long as it is; the other windows have no calendar of their own. */
static void
test_calendar(void **state)
{
	struct window month = window_of("month");
	struct window day = window_of("day");
	struct window span = window_of("90s");
	int64_t cuts_ms[WINDOW_CUTS];

	(void)state;
	assert_true(window_is_calendar(&month));
	assert_true(window_is_calendar(&(struct window){ .unit = WINDOW_YEAR }));
	assert_false(window_is_calendar(&day));
	/* 2028-02-15: January to May of a leap year */
	window_cuts(&month, INT64_C(1834185600000000), cuts_ms);
	assert_true(cuts_ms[0] == INT64_C(1830297600000));
	assert_true(cuts_ms[1] - cuts_ms[0] == 31 * INT64_C(86400000));
	assert_true(cuts_ms[2] - cuts_ms[1] == 29 * INT64_C(86400000));
	assert_true(cuts_ms[3] - cuts_ms[2] == 31 * INT64_C(86400000));
	assert_true(cuts_ms[4] - cuts_ms[3] == 30 * INT64_C(86400000));
	assert_int_equal(window_set_zone(&span, NULL, -1), ERR_INVALID);
	assert_int_equal(window_set_zone(&day, NULL, -1), 0);
	assert_true(window_is_calendar(&day));
	window_cuts(&day, INT64_C(1834185600000001), cuts_ms);
	for (int i = 0; i < WINDOW_CUTS; i++)
		assert_true(cuts_ms[i] == 1834185600000 + (i - 1) * INT64_C(86400000));
}

/* In the order of time and without gaps, each moment in its own window, over ten years
 * of a zone; also where days are skipped, or begin at one o'clock. */
static void
test_windows_join(void **state)
{
	static const char *const names[] = { "hour", "day", "week", "month", "year" };
	static const char *const zones[] = { "Europe/Berlin", "America/Sao_Paulo",
		"Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns" };

	(void)state;
	for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
		struct buf bytes = { 0 };
		struct zone *zone;

		assert_int_equal(tzdata_read(NULL, zones[z], &bytes, NULL), 0);
		assert_int_equal(zone_parse(buf_slice(&bytes), &zone, NULL), 0);
		buf_fini(&bytes);
		for (size_t n = 0; n < ARRAY_LEN(names); n++) {
			struct window w = window_of(names[n]);
			int64_t start_ms, end_ms;
			int64_t at_ms = 1293840000000; /* 2011 */

			assert_int_equal(window_set_zone(&w, zone, -1), 0);
			window_bounds(&w, at_ms * 1000, &start_ms, &end_ms);
			while (at_ms < 1609459200000) {
				int64_t last_ms = end_ms;

				at_ms = end_ms;
				window_bounds(&w, at_ms * 1000, &start_ms, &end_ms);
				assert_true(start_ms == last_ms && end_ms > last_ms);
				window_bounds(&w, end_ms * 1000 - 1, &start_ms, &at_ms);
				assert_true(start_ms == last_ms && at_ms == end_ms);
			}
		}
		zone_free(zone);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_names),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_seconds_range),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_reset_rounds_up),
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_windows_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
