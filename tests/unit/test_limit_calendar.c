/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limit/calendar.h"

static void
test_known_days(void **state)
{
	(void)state;
	assert_int_equal(calendar_day(1970, 1, 1), 0);
	assert_int_equal(calendar_day(1969, 12, 31), -1);
	assert_int_equal(calendar_day(2000, 2, 29), 11016);
	assert_int_equal(calendar_day(2000, 3, 1), 11017);
	assert_int_equal(calendar_day(2100, 3, 1) - calendar_day(2100, 2, 28), 1);
	assert_int_equal(calendar_day(2024, 3, 1) - calendar_day(2024, 2, 28), 2);
	assert_int_equal(calendar_day(2026, 1, 1), 20454);
	assert_int_equal(calendar_weekday(0), 3);
	assert_int_equal(calendar_weekday(-1), 2);
	assert_int_equal(calendar_weekday(calendar_day(2026, 1, 5)), 0);
	assert_int_equal(calendar_weekday(calendar_day(2026, 1, 4)), 6);
}

/* Every day from 1600 to 2400: the date follows the one of the day before. */
static void
test_there_and_back(void **state)
{
	struct calendar_date last = calendar_date(calendar_day(1600, 1, 1) - 1);
	int64_t end = calendar_day(2400, 12, 31);

	(void)state;
	assert_int_equal(last.year, 1599);
	for (int64_t day = calendar_day(1600, 1, 1); day <= end; day++) {
		struct calendar_date d = calendar_date(day);

		assert_int_equal(calendar_day(d.year, d.month, d.day), day);
		if (d.day > 1) {
			assert_int_equal(d.day, last.day + 1);
		} else {
			assert_int_equal(
			    last.day, calendar_month_days(last.year, last.month));
			assert_int_equal(d.month, last.month % 12 + 1);
			assert_int_equal(d.year, last.year + (last.month == 12));
		}
		last = d;
	}
}

static void
test_leap_years(void **state)
{
	(void)state;
	assert_true(calendar_is_leap(2024));
	assert_true(calendar_is_leap(2000));
	assert_false(calendar_is_leap(2100));
	assert_false(calendar_is_leap(2026));
	assert_int_equal(calendar_month_days(2024, 2), 29);
	assert_int_equal(calendar_month_days(1900, 2), 28);
	assert_int_equal(calendar_floor_div(-1, 86400), -1);
	assert_int_equal(calendar_floor_div(-86400, 86400), -1);
	assert_int_equal(calendar_floor_div(86399, 86400), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_days),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_leap_years),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
