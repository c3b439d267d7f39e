/* SPDX-License-Identifier: ISC */
#include "policy/policy_calendar.h"

#include <string.h>

#include "base/tzdata.h"
#include "limit/key.h"
#include "policy/quote.h"

static const char *const weekdays[] = { "monday", "tuesday", "wednesday", "thursday",
	"friday", "saturday", "sunday" };

/* Reads a time zone that no limit of this policy has named before. */
static struct policy_zone *
zone_load(struct reader *r, struct policy *policy, const char *name)
{
	const struct policy_options *o = policy->options;
	struct policy_zone *kept = arena_get(r->arena, sizeof(*kept));
	struct buf bytes = { 0 };
	struct errinfo ei;
	int rc;

	if (!kept)
		return NULL;
	if (o && o->zone_read)
		rc = o->zone_read(o->zone_arg, name, &bytes, &ei);
	else
		rc = tzdata_read(NULL, name, &bytes, &ei);
	if (rc == 0)
		rc = zone_parse(buf_slice(&bytes), &kept->zone, &ei);
	buf_fini(&bytes);
	kept->name = arena_copy(r->arena, slice_str(name));
	kept->next = policy->zones;
	policy->zones = kept;
	if (rc < 0) {
		char quoted[QUOTE_MAX];

		reader_fault(r, rc, "the time zone %s cannot be used: %s",
		    quote_name(quoted, slice_str(name)), ei.text);
	}
	return kept;
}

/* The zone of that name; NULL after a fault. A zone that cannot be used is reported once. */
static const struct zone *
zone_find(struct reader *r, struct policy *policy, const char *name)
{
	struct policy_zone *kept = policy->zones;

	while (kept && kept->name && strcmp(kept->name, name) != 0)
		kept = kept->next;
	if (!kept)
		kept = zone_load(r, policy, name);
	return kept ? kept->zone : NULL;
}

/* -1 after a fault. */
static int
anchor_read(struct reader *r, const struct window *window, const json_t *anchor)
{
	double day = json_number_value(anchor); /* 0 when it is no number */

	if (window->unit == WINDOW_MONTH && day >= 1 && day <= 28 && day == (int)day)
		return (int)day;
	for (size_t i = 0; window->unit == WINDOW_WEEK && json_is_string(anchor) &&
	     i < ARRAY_LEN(weekdays);
	     i++)
		if (strcmp(json_string_value(anchor), weekdays[i]) == 0)
			return (int)i;
	if (window->unit == WINDOW_MONTH)
		reader_wrong_as(
		    r, "the anchor of a month", "a day from 1 to 28", anchor);
	else if (window->unit == WINDOW_WEEK)
		reader_wrong_as(
		    r, "the anchor of a week", "\"monday\" ... \"sunday\"", anchor);
	else
		reader_fault(r, ERR_INVALID,
		    "an anchor belongs to the windows \"month\" and \"week\", not to "
		    "\"%s\"",
		    window->name);
	return -1;
}

/* What follows the window's name in keys. */
static void
add_names(struct buf *out, const struct window *window, const char *timezone,
    const json_t *anchor)
{
	if (timezone) {
		buf_add_char(out, '@');
		key_add_part(out, slice_str(timezone));
	}
	if (anchor) {
		buf_add_char(out, '+');
		if (window->unit == WINDOW_WEEK)
			buf_add_str(out, weekdays[window->anchor]);
		else
			buf_add_int(out, window->anchor);
	}
}

static bool
calendar_set(struct reader *r, struct policy *policy, struct window *window,
    const char *timezone, const json_t *anchor)
{
	size_t mark = reader_enter(r, slice_str(timezone ? "timezone" : "anchor"));
	const struct zone *zone = NULL;
	size_t before = r->faults;
	int first = -1;

	if (timezone)
		zone = zone_find(r, policy, timezone);
	if (r->faults == before && window_set_zone(window, zone, -1) < 0)
		reader_fault(r, ERR_INVALID,
		    "a time zone or an anchor belongs to second, minute, hour, day, "
		    "week, month or year, not to \"%s\"",
		    window->name);
	reader_leave(r, mark);
	mark = reader_enter(r, slice_str("anchor"));
	if (anchor && r->faults == before)
		first = anchor_read(r, window, anchor);
	reader_leave(r, mark);
	return r->faults == before && (!timezone || zone) &&
	    window_set_zone(window, zone, first) == 0;
}

bool
calendar_read(struct reader *r, struct policy *policy, struct policy_limit *limit,
    const char *timezone, const json_t *anchor)
{
	struct window *window = &limit->limit.window;
	struct buf names = { 0 };

	limit->calendar = arena_copy(r->arena, slice_str(""));
	if (!timezone && !anchor)
		return true;
	if (!calendar_set(r, policy, window, timezone, anchor))
		return false;
	add_names(&names, window, timezone, anchor);
	limit->calendar = names.failed ? NULL : arena_copy(r->arena, buf_slice(&names));
	r->arena->failed |= !limit->calendar;
	buf_fini(&names);
	return limit->calendar != NULL;
}

void
calendar_free(struct policy *policy)
{
	for (struct policy_zone *z = policy->zones; z; z = z->next)
		zone_free(z->zone);
	policy->zones = NULL;
}
