/* SPDX-License-Identifier: ISC */
/* Days of the Gregorian calendar, counted since 1970-01-01, which is day 0. Pure. */
#ifndef LIMIT_CALENDAR_H
#define LIMIT_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

struct calendar_date {
	int64_t year;
	int month; /* 1 ... 12 */
	int day;   /* 1 ... 31 */
};

/* The day of a date; month 1 ... 12, day 1 ... 31. */
int64_t calendar_day(int64_t year, int month, int day);

/* The date of a day. */
struct calendar_date calendar_date(int64_t day);

/* 0 for Monday ... 6 for Sunday. */
int calendar_weekday(int64_t day);

bool calendar_is_leap(int64_t year);
int calendar_month_days(int64_t year, int month);

/* a / b, rounded towards minus infinity; b > 0. */
int64_t calendar_floor_div(int64_t a, int64_t b);

#endif
