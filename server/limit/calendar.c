/* SPDX-License-Identifier: ISC */
#include "limit/calendar.h"

/* Years are counted from March, so that the leap day is the last of its year; 400 of
 * them always have the same number of days. */
#define ERA_YEARS 400
#define ERA_DAYS 146097
#define DAYS_TO_1970 719468 /* from 0000-03-01 */

int64_t
calendar_floor_div(int64_t a, int64_t b)
{
	int64_t q = a / b;

	return q * b > a ? q - 1 : q;
}

int64_t
calendar_day(int64_t year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t era = calendar_floor_div(y, ERA_YEARS);
	int64_t of_era = y - era * ERA_YEARS;
	int64_t of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
	    DAYS_TO_1970;
}

struct calendar_date
calendar_date(int64_t day)
{
	int64_t z = day + DAYS_TO_1970;
	int64_t era = calendar_floor_div(z, ERA_DAYS);
	int64_t of_era = z - era * ERA_DAYS;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153; /* 0: March */
	struct calendar_date d;

	d.day = (int)(of_year - (153 * m + 2) / 5 + 1);
	d.month = (int)(m < 10 ? m + 3 : m - 9);
	d.year = y + era * ERA_YEARS + (d.month <= 2);
	return d;
}

int
calendar_weekday(int64_t day)
{
	/* Day 0 was a Thursday. */
	return (int)(day + 3 - calendar_floor_div(day + 3, 7) * 7);
}

bool
calendar_is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int
calendar_month_days(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && calendar_is_leap(year));
}
