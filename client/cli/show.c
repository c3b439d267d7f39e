/* SPDX-License-Identifier: ISC */
#include "show.h"

#include <inttypes.h>
#include <string.h>

#include "cli.h"
#include "text.h"

#define NAME_COLUMN 9

/* "" where there is none; whatever else the daemon sends is not shown. */
static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static int64_t
number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void
add(struct buf *out, const char *before, const char *text)
{
	buf_add_str(out, before);
	text_add_clean(out, slice_str(text));
}

/* Only where there is a text. */
static void
add_line(struct buf *out, const char *before, const char *text)
{
	if (!text[0])
		return;
	add(out, before, text);
	buf_add_char(out, '\n');
}

static bool
is_not_reached(const json_t *object)
{
	return strcmp(text_of(object, "result"), "not reached") == 0;
}

static bool
is_shadow(const json_t *limit)
{
	return strcmp(text_of(limit, "mode"), "shadow") == 0;
}

static void
show_condition(struct buf *out, const json_t *condition)
{
	add(out, "        ", text_of(condition, "path"));
	add(out, " ", text_of(condition, "op"));
	add(out, " ", text_of(condition, "value"));
	add_line(out, ": ", text_of(condition, "why"));
}

static void
show_entry(struct buf *out, const json_t *entry)
{
	const json_t *conditions = json_object_get(entry, "conditions");

	if (is_not_reached(entry))
		return;
	add(out, "      ", text_of(entry, "result"));
	add_line(out, "  ", text_of(entry, "rule"));
	for (size_t i = 0; i < json_array_size(conditions); i++)
		show_condition(out, json_array_get(conditions, i));
}

/* Whether it counts calls in flight, which have no window. */
static bool
is_slots(const json_t *counter)
{
	return strcmp(text_of(counter, "algorithm"), "concurrency") == 0;
}

/* A slot is free when its call is settled; the end of a lease is only the latest. */
static void
add_reset(struct buf *out, const json_t *counter)
{
	int64_t ms = number_of(counter, "reset_ms");

	if (!json_is_integer(json_object_get(counter, "reset_ms")))
		return;
	if (is_slots(counter) && ms <= 0) /* nobody holds one */
		return;
	buf_add_str(
	    out, is_slots(counter) ? "; the first lease ends in " : "; resets in ");
	text_add_span(out, ms);
}

/* What the limit alone would say; a shadow limit says nothing that counts. */
static const char *
word_of_limit(const json_t *limit)
{
	const json_t *admits = json_object_get(limit, "admits");

	if (is_shadow(limit))
		return "shadow";
	if (json_is_null(admits))
		return "?   ";
	return json_is_true(admits) ? "pass" : "deny";
}

static void
show_limit(struct buf *out, const json_t *limit)
{
	buf_printf(out, "      %s  ", word_of_limit(limit));
	add(out, "", text_of(limit, "rule"));
	if (is_slots(limit)) {
		buf_printf(out, ": %" PRId64 " at once", number_of(limit, "max"));
	} else {
		buf_printf(out, ": max %" PRId64, number_of(limit, "max"));
		add(out, " per ", text_of(limit, "window"));
	}
	if (json_is_integer(json_object_get(limit, "burst")))
		buf_printf(out, ", burst %" PRId64, number_of(limit, "burst"));
	add(out, ", scope ", text_of(limit, "scope"));
	add(out, "\n        ", text_of(limit, "why"));
	add_reset(out, limit);
	buf_add_char(out, '\n');
	add_line(out, "        key ", text_of(limit, "key"));
}

static void
show_step(struct buf *out, const json_t *step)
{
	const json_t *entries = json_object_get(step, "entries");
	const json_t *limits = json_object_get(step, "limits");
	size_t before;

	buf_printf(out, "  %" PRId64 " ", number_of(step, "step"));
	before = out->len;
	add(out, "", text_of(step, "name"));
	while (!out->failed && out->len - before < NAME_COLUMN)
		buf_add_char(out, ' ');
	if (is_not_reached(step)) {
		buf_add_str(out, "-\n");
		return;
	}
	add(out, "", text_of(step, "result"));
	add(out, ": ", text_of(step, "why"));
	buf_add_char(out, '\n');
	for (size_t i = 0; i < json_array_size(entries); i++)
		show_entry(out, json_array_get(entries, i));
	for (size_t i = 0; i < json_array_size(limits); i++)
		show_limit(out, json_array_get(limits, i));
}

int
show_explanation(struct buf *out, const json_t *root)
{
	const json_t *steps = json_object_get(root, "steps");
	const char *verdict = text_of(root, "verdict");

	if (!verdict[0] || !json_is_array(steps))
		return CLI_NO_ANSWER;
	add(out, "", verdict);
	add(out, "  ", text_of(root, "tool"));
	add(out, " for ", text_of(root, "grant"));
	add(out, " (policy ", text_of(root, "policy"));
	buf_add_char(out, ')');
	if (json_is_true(json_object_get(root, "degraded")))
		buf_add_str(out, " [degraded]");
	if (json_is_true(json_object_get(root, "replayed")))
		buf_add_str(out, " [replayed]");
	buf_add_char(out, '\n');
	add_line(out, "rule:    ", text_of(root, "rule"));
	add_line(out, "because: ", text_of(root, "message"));
	add_line(out, "change:  ", text_of(root, "advice"));
	buf_add_str(out, "\nStep by step, nothing was charged:\n");
	for (size_t i = 0; i < json_array_size(steps); i++)
		show_step(out, json_array_get(steps, i));
	return strcmp(verdict, "allow") == 0 ? CLI_OK : CLI_NO;
}

static void
show_counter(struct buf *out, const json_t *counter)
{
	const char *error = text_of(counter, "error");
	/* Only a bucket has a burst, which is what it holds. */
	const char *most = json_object_get(counter, "burst") ? "burst" : "max";

	add(out, "  ", text_of(counter, "counter"));
	if (is_slots(counter))
		buf_add_str(out, " at once");
	else
		add(out, " per ", text_of(counter, "window"));
	if (json_is_true(json_object_get(counter, "global")))
		buf_add_str(out, ", of all callers");
	if (is_shadow(counter))
		buf_add_str(out, ", shadow");
	if (error[0]) {
		add(out, ": ", error);
	} else {
		buf_printf(out, ": %" PRId64 " of %" PRId64 " used, %" PRId64 " left",
		    number_of(counter, "used"), number_of(counter, most),
		    number_of(counter, "remaining"));
		add_reset(out, counter);
	}
	add(out, "\n    ", text_of(counter, "rule"));
	add_line(out, "\n    key ", text_of(counter, "key"));
}

int
show_usage(struct buf *out, const json_t *root)
{
	const json_t *counters = json_object_get(root, "counters");
	int64_t not_shown = number_of(root, "not_shown");

	if (!json_is_array(counters))
		return CLI_NO_ANSWER;
	add(out, "", text_of(root, "grant"));
	add(out, " (policy ", text_of(root, "policy"));
	buf_printf(out, "): %zu counter%s\n", json_array_size(counters),
	    json_array_size(counters) == 1 ? "" : "s");
	for (size_t i = 0; i < json_array_size(counters); i++)
		show_counter(out, json_array_get(counters, i));
	if (json_is_true(json_object_get(root, "truncated")))
		buf_add_str(out, "  ... and more, which are not shown\n");
	if (not_shown > 0)
		buf_printf(out,
		    "  %" PRId64 " limit%s by a session or an attribute %s not shown\n",
		    not_shown, not_shown == 1 ? "" : "s",
		    not_shown == 1 ? "is" : "are");
	return CLI_OK;
}
