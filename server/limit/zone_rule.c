/* SPDX-License-Identifier: ISC */
#include "limit/zone_rule.h"

#include "base/err.h"
#include "limit/calendar.h"

#define DAY_S 86400
#define HOUR_S 3600

/* --- reading ------------------------------------------------------------------ */

/* What is left to read; `bad` is set once something did not fit. */
struct cursor {
	const char *at, *end;
	bool bad;
};

static bool
take_char(struct cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
take_number(struct cursor *c, int min, int max)
{
	const char *begin = c->at;
	int n = 0;

	for (; c->at < c->end && is_digit(*c->at) && n <= max; c->at++)
		n = n * 10 + (*c->at - '0');
	if (c->at == begin || n < min || n > max)
		c->bad = true;
	return n;
}

/* Skips an abbreviation, "CET" or "<+0530>", which has no effect. */
static void
take_name(struct cursor *c)
{
	bool quoted = take_char(c, '<');
	const char *begin = c->at;

	while (c->at < c->end &&
	    (is_letter(*c->at) ||
		(quoted && (is_digit(*c->at) || *c->at == '+' || *c->at == '-'))))
		c->at++;
	if (c->at - begin < 3 || (quoted && !take_char(c, '>')))
		c->bad = true;
}

/* [+-]hh[:mm[:ss]] */
static int32_t
take_time(struct cursor *c, int hours_max)
{
	int sign = take_char(c, '-') ? -1 : 1;
	int32_t s;

	if (sign == 1)
		(void)take_char(c, '+');
	s = take_number(c, 0, hours_max) * HOUR_S;
	if (take_char(c, ':')) {
		s += take_number(c, 0, 59) * 60;
		if (take_char(c, ':'))
			s += take_number(c, 0, 59);
	}
	return sign * s;
}

static void
take_change(struct cursor *c, struct zone_change *out)
{
	*out = (struct zone_change){ .kind = 'N', .at_s = 2 * HOUR_S };
	if (!take_char(c, ','))
		c->bad = true;
	if (take_char(c, 'M')) {
		out->kind = 'M';
		out->month = take_number(c, 1, 12);
		c->bad |= !take_char(c, '.');
		out->week = take_number(c, 1, 5);
		c->bad |= !take_char(c, '.');
		out->day = take_number(c, 0, 6);
	} else if (take_char(c, 'J')) {
		out->kind = 'J';
		out->day = take_number(c, 1, 365);
	} else {
		out->day = take_number(c, 0, 365);
	}
	if (take_char(c, '/'))
		out->at_s = take_time(c, 167);
}

int
zone_rule_parse(struct slice text, struct zone_rule *out)
{
	struct cursor c = { text.ptr, text.ptr + text.len, false };

	*out = (struct zone_rule){ 0 };
	take_name(&c);
	/* In POSIX offsets are positive west of Greenwich. */
	out->offset_s = -take_time(&c, 24);
	if (!c.bad && c.at < c.end) {
		out->has_dst = true;
		out->dst_offset_s = out->offset_s + HOUR_S;
		take_name(&c);
		if (c.at < c.end && *c.at != ',')
			out->dst_offset_s = -take_time(&c, 24);
		take_change(&c, &out->start);
		take_change(&c, &out->end);
	}
	return c.bad || c.at != c.end ? ERR_SYNTAX : 0;
}

/* --- using -------------------------------------------------------------------- */

static int64_t
change_day(const struct zone_change *c, int64_t year)
{
	int64_t first = calendar_day(year, 1, 1);
	int weekday, day;

	if (c->kind == 'N')
		return first + c->day;
	if (c->kind == 'J')
		return first + c->day - 1 + (calendar_is_leap(year) && c->day >= 60);
	first = calendar_day(year, c->month, 1);
	weekday = (calendar_weekday(first) + 1) % 7; /* 0: Sunday */
	day = (c->day - weekday + 7) % 7 + (c->week - 1) * 7;
	if (day >= calendar_month_days(year, c->month))
		day -= 7;
	return first + day;
}

/* The year's two changes, earlier one first. */
struct turn {
	int64_t at_s;
	int32_t offset_s; /* from then on */
};

static void
year_turns(const struct zone_rule *r, int64_t year, struct turn turns[2])
{
	struct turn start = { change_day(&r->start, year) * DAY_S + r->start.at_s -
		    r->offset_s,
		r->dst_offset_s };
	struct turn end = { change_day(&r->end, year) * DAY_S + r->end.at_s -
		    r->dst_offset_s,
		r->offset_s };
	bool south = end.at_s < start.at_s;

	turns[0] = south ? end : start;
	turns[1] = south ? start : end;
}

void
zone_rule_at(const struct zone_rule *rule, int64_t t_s, struct zone_span *out)
{
	struct turn turns[6];
	int64_t year;

	*out = (struct zone_span){ INT64_MIN, INT64_MAX, rule->offset_s };
	if (!rule->has_dst)
		return;
	year = calendar_date(calendar_floor_div(t_s + rule->offset_s, DAY_S)).year;
	for (int i = 0; i < 3; i++)
		year_turns(rule, year - 1 + i, &turns[2 * i]);
	for (int i = 0; i < 6; i++) {
		if (turns[i].at_s <= t_s && turns[i].at_s >= out->from_s) {
			out->from_s = turns[i].at_s;
			out->offset_s = turns[i].offset_s;
		} else if (turns[i].at_s > t_s && turns[i].at_s < out->until_s) {
			out->until_s = turns[i].at_s;
		}
	}
}
