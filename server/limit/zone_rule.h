/* SPDX-License-Identifier: ISC */
/*
 * The rule that a time zone follows after the last change that its file lists: a POSIX TZ
 * string with the extensions of RFC 9636, "CET-1CEST,M3.5.0,M10.5.0/3". Pure.
 */
#ifndef LIMIT_ZONE_RULE_H
#define LIMIT_ZONE_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

/* A stretch of time in which a zone's clock is one offset ahead of UTC. */
struct zone_span {
	int64_t from_s;  /* the first second in it; INT64_MIN: it has no beginning */
	int64_t until_s; /* the first second after it; INT64_MAX: it has no end */
	int32_t offset_s;
};

/* When in a year the clock is changed. */
struct zone_change {
	char kind;    /* 'J': day 1 ... 365 without leap days; 'N': day 0 ... 365;
	                 'M': the week-th weekday of a month, 5 for the last */
	int month;    /* 'M': 1 ... 12 */
	int week;     /* 'M': 1 ... 5 */
	int day;      /* 'M': 0 for Sunday ... 6 */
	int32_t at_s; /* second of that day, by the clock before the change */
};

struct zone_rule {
	int32_t offset_s; /* of standard time, ahead of UTC */
	bool has_dst;
	int32_t dst_offset_s;
	struct zone_change start, end; /* of daylight-saving time */
};

/* 0, or ERR_SYNTAX. */
int zone_rule_parse(struct slice text, struct zone_rule *out) MUST_CHECK;

/* The span that contains t_s (seconds since 1970, UTC). */
void zone_rule_at(const struct zone_rule *rule, int64_t t_s, struct zone_span *out);

#endif
