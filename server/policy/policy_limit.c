/* SPDX-License-Identifier: ISC */
/* One limit of a document: its keys, and what is worked out from them at load. */
#include <stdio.h>

#include "base/num.h"
#include "limit/key.h"
#include "policy/compiled.h"
#include "policy/override.h"
#include "policy/path.h"
#include "policy/policy_calendar.h"
#include "policy/position.h"
#include "policy/quote.h"
#include "policy/scope.h"

#define WANT_COUNT "a whole number from 0 to 9007199254740991"
#define WANT_WINDOW                                                                  \
	"second, minute, hour, day, week, month or year, a duration such as "        \
	"\"90s\", \"15m\", \"6h\" or \"30d\", or a whole number of seconds, from 1 " \
	"second to 3650 days"
#define WANT_SCOPE                                                       \
	"\"grant\", \"session\", \"global\", an attribute's name, or a " \
	"list of names"
#define WANT_OVERRIDES "an object with a max for each value of the scope"
#define WANT_ARGUMENT "an argument's path, such as \"args.amount\""
#define WANT_ALGORITHM "\"fixed\", \"sliding\", \"token_bucket\" or \"concurrency\""
#define WANT_BURST "a whole number from 1 to 9007199254740991"
#define WANT_SECONDS "a whole number of seconds, from 1 to 315360000"

/* A limit while its keys are read. */
struct draft {
	struct policy_limit *limit;
	const char *timezone;
	const json_t *anchor;
	bool has_cost;
	json_t *overrides;
};

static void
read_counter(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;

	d->limit->counter = reader_name(r, "a counter's name", value);
}

static void
read_window(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;
	struct window *window = &d->limit->limit.window;
	struct errinfo ei;
	int64_t seconds;

	if (json_is_number(value)) {
		if (reader_whole(r, value, 1, WINDOW_SECONDS_MAX, &seconds) &&
		    window_from_seconds(seconds, window, &ei) < 0)
			reader_wrong(r, value);
		return;
	}
	if (window_parse(slice_str(json_string_value(value)), window, &ei) < 0)
		reader_wrong(r, value);
}

static void
read_max(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;

	reader_whole(r, value, 0, NUM_MAX, &d->limit->limit.max);
}

static void
read_scope(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;

	scope_read(r, value, &d->limit->scope);
}

/* "increment" means "cost", "increment_from" means "cost_from", and only one of all four may
 * be given. */
static void
note_cost(struct reader *r, struct draft *d)
{
	if (d->has_cost)
		reader_fault(r, ERR_INVALID,
		    "the cost is given twice; give one of cost, increment, cost_from "
		    "and increment_from");
	d->has_cost = true;
}

static void
read_cost(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;

	note_cost(r, d);
	reader_whole(r, value, 0, NUM_MAX, &d->limit->cost);
}

static void
read_cost_from(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;
	struct path *path = arena_get(r->arena, sizeof(*path));

	note_cost(r, d);
	if (path && path_read(r, value, true, path))
		d->limit->cost_from = path;
}

static void
read_overrides(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;

	d->overrides = value;
	override_list_read(r, value, d->limit);
}

static void
read_on_deny(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;

	d->limit->message = reader_message(r, value);
	d->limit->on_deny = true;
}

static void
read_algorithm(struct reader *r, json_t *value, void *into)
{
	static const struct reader_choice choices[] = {
		{ "fixed", ALGORITHM_FIXED },
		{ "sliding", ALGORITHM_SLIDING },
		{ "token_bucket", ALGORITHM_TOKEN_BUCKET },
		{ "concurrency", ALGORITHM_CONCURRENCY },
	};
	struct draft *d = into;
	int algorithm = ALGORITHM_FIXED;

	reader_choose(r, value, choices, ARRAY_LEN(choices), &algorithm);
	d->limit->limit.algorithm = (enum algorithm)algorithm;
}

static void
read_burst(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;

	reader_whole(r, value, 1, NUM_MAX, &d->limit->limit.burst);
}

static void
read_timezone(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;

	(void)r;
	d->timezone = json_string_value(value);
}

static void
read_anchor(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;

	(void)r;
	d->anchor = value;
}

static void
read_mode(struct reader *r, json_t *value, void *into)
{
	static const struct reader_choice choices[] = {
		{ "enforce", false },
		{ "shadow", true },
	};
	struct draft *d = into;
	int shadow = false;

	reader_choose(r, value, choices, ARRAY_LEN(choices), &shadow);
	d->limit->shadow = shadow;
}

void
store_failure_read(struct reader *r, json_t *value, enum store_failure *out)
{
	static const struct reader_choice choices[] = {
		{ "deny", STORE_FAILURE_DENY },
		{ "allow", STORE_FAILURE_ALLOW },
		{ "local", STORE_FAILURE_LOCAL },
	};
	int answer = STORE_FAILURE_DENY;

	reader_choose(r, value, choices, ARRAY_LEN(choices), &answer);
	*out = (enum store_failure)answer;
}

static void
read_on_store_failure(struct reader *r, json_t *value, void *into)
{
	struct draft *d = into;

	store_failure_read(r, value, &d->limit->on_store_failure);
}

static const struct reader_key limit_keys[] = {
	{ "counter", KIND_STRING, true, "a name", read_counter },
	/* Also required, but not for every algorithm: see limit_read(). */
	{ "window", KIND_STRING | KIND_NUMBER, false, WANT_WINDOW, read_window },
	{ "max", KIND_NUMBER, true, WANT_COUNT, read_max },
	{ "scope", KIND_STRING | KIND_ARRAY, false, WANT_SCOPE, read_scope },
	{ "cost", KIND_NUMBER, false, WANT_COUNT, read_cost },
	{ "increment", KIND_NUMBER, false, WANT_COUNT, read_cost },
	{ "on_deny", KIND_STRING, false, "a message", read_on_deny },
	{ "algorithm", KIND_STRING, false, WANT_ALGORITHM, read_algorithm },
	{ "burst", KIND_NUMBER, false, WANT_BURST, read_burst },
	{ "timezone", KIND_STRING, false, "a time zone's name", read_timezone },
	{ "anchor", KIND_NUMBER | KIND_STRING, false, WANT_ANCHOR, read_anchor },
	{ "mode", KIND_STRING, false, "\"enforce\" or \"shadow\"", read_mode },
	{ "on_store_failure", KIND_STRING, false, WANT_STORE_FAILURE,
	    read_on_store_failure },
	{ "overrides", KIND_OBJECT, false, WANT_OVERRIDES, read_overrides },
	{ "cost_from", KIND_STRING, false, WANT_ARGUMENT, read_cost_from },
	{ "increment_from", KIND_STRING, false, WANT_ARGUMENT, read_cost_from },
};

static const struct reader_key rate_keys[] = {
	{ "max", KIND_NUMBER, true, WANT_COUNT, read_max },
	{ "window", KIND_NUMBER, true, WANT_SECONDS, read_window },
};

/* Moves what was gathered into the arena. */
static char *
keep(struct reader *r, struct buf *text)
{
	char *kept = text->failed ? NULL : arena_copy(r->arena, buf_slice(text));

	if (!kept)
		r->arena->failed = true;
	buf_clear(text);
	return kept;
}

/* What is said when nothing is left. */
static char *
keep_message(struct reader *r, const struct policy_limit *limit, struct buf *text)
{
	policy_refusal_format(limit, limit->scope.text, 0, 0, text);
	return keep(r, text);
}

/* Checks what several keys mean together, once each of them was read without a fault. */
static void
limit_check(struct reader *r, struct limit *limit)
{
	size_t mark = reader_enter(r, slice_str(limit->burst ? "burst" : "max"));
	struct errinfo ei;

	if (limit->burst && limit->algorithm != ALGORITHM_TOKEN_BUCKET)
		reader_fault(r, ERR_INVALID,
		    "\"burst\" belongs to \"algorithm\": \"token_bucket\"");
	else if (limit_prepare(limit, &ei) < 0)
		reader_fault(r, ei.code, "%s", ei.text);
	reader_leave(r, mark);
}

/* What follows the window's name in a key. */
static void
add_suffix(struct buf *key, const struct policy_limit *limit)
{
	static const char *const suffixes[] = {
		[ALGORITHM_FIXED] = "",
		[ALGORITHM_SLIDING] = ".sliding",
		[ALGORITHM_TOKEN_BUCKET] = ".bucket",
		[ALGORITHM_CONCURRENCY] = "",
	};

	buf_add_str(key, limit->calendar);
	buf_add_str(key, suffixes[limit->limit.algorithm]);
}

/* Nothing is admitted where max is 0, whatever the burst. */
static void
override_prepare(struct reader *r, struct override *override)
{
	struct limit *limit = &override->limit.limit;
	size_t mark = reader_enter(r, slice_str("overrides"));
	struct errinfo ei;

	reader_enter(r, override->value);
	if (limit->max == 0)
		limit->burst = 0;
	if (limit_prepare(limit, &ei) < 0)
		reader_fault(r, ei.code, "%s", ei.text);
	reader_leave(r, mark);
}

/* An override is the whole limit with another max. */
static void
finish_overrides(struct reader *r, struct policy_limit *limit)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < limit->n_overrides; i++) {
		struct policy_limit *own = &limit->overrides[i].limit;
		int64_t max = own->limit.max;

		*own = *limit;
		own->limit.max = max;
		override_prepare(r, &limit->overrides[i]);
		own->overrides = NULL;
		own->n_overrides = 0;
		if (!own->on_deny)
			own->message = keep_message(r, own, &text);
	}
	buf_fini(&text);
}

/* Makes the texts that a check needs, so that the check need not. `rule` is the limit's
 * JSON Pointer, and is used up. */
static void
limit_finish(struct reader *r, struct policy *policy, struct policy_limit *limit,
    struct buf *rule)
{
	struct buf text = { 0 };

	limit->rule = keep(r, rule);
	if (!limit->on_deny)
		limit->message = keep_message(r, limit, &text);
	buf_add_str(&text, "}:");
	key_add_part(&text, slice_str(limit->counter));
	buf_add_char(&text, ':');
	buf_add_str(&text, limit->limit.window.name);
	add_suffix(&text, limit);
	limit->key_tail = keep(r, &text);
	limit->key_head = policy->key_head;
	finish_overrides(r, limit);
	policy->n_limits++;
	buf_fini(&text);
}

/* A limit on calls in flight has no window, and each call takes one slot. */
static void
slots_check(struct reader *r, json_t *object, struct limit *limit)
{
	static const char *const refused[] = { "window", "cost", "increment",
		"cost_from", "increment_from", "burst", "timezone", "anchor" };

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		size_t mark;

		if (!json_object_get(object, refused[i]))
			continue;
		mark = reader_enter(r, slice_str(refused[i]));
		reader_fault(r, ERR_INVALID,
		    "a concurrency limit counts calls in flight, one slot each; it has "
		    "no \"%s\"",
		    refused[i]);
		reader_leave(r, mark);
	}
	snprintf(limit->window.name, sizeof(limit->window.name), "slots");
}

/* `list` is the JSON Pointer of the list that the limit is in. */
static void
limit_read(struct reader *r, json_t *object, struct policy *policy, struct slice list,
    struct policy_limit *limit)
{
	struct draft d = { .limit = limit };
	size_t before = r->faults;
	struct buf rule = { 0 };

	limit->cost = -1;
	reader_object(r, object, limit_keys, ARRAY_LEN(limit_keys), &d);
	if (limit->limit.algorithm == ALGORITHM_CONCURRENCY)
		slots_check(r, object, &limit->limit);
	else if (!json_object_get(object, "window"))
		reader_fault(r, ERR_INVALID,
		    "the key \"window\" is missing; it must be %s", WANT_WINDOW);
	if (!json_object_get(object, "scope"))
		scope_set_default(r, &limit->scope);
	if (d.overrides)
		override_check_scope(r, &limit->scope);
	if (r->faults == before &&
	    calendar_read(r, policy, limit, d.timezone, d.anchor))
		limit_check(r, &limit->limit);
	if (r->faults != before || r->arena->failed)
		return;
	buf_add_slice(&rule, list);
	position_pointer_add(&rule, slice_str(limit->counter));
	limit_finish(r, policy, limit, &rule);
	buf_fini(&rule);
}

/* A rule id names its limit by list and counter, so a counter may be in a list only once. */
static void
check_counter(struct reader *r, const struct limit_list *list, size_t i)
{
	const char *counter = list->items[i].counter;
	char quoted[QUOTE_MAX];

	for (size_t k = 0; counter && k < i; k++) {
		const char *other = list->items[k].counter;
		size_t mark;

		if (!other || strcmp(other, counter) != 0)
			continue;
		mark = reader_enter(r, slice_str("counter"));
		reader_fault(r, ERR_INVALID,
		    "the counter %s is given twice in this list "
		    "(also at [%zu]); counters in one list need different names",
		    quote_name(quoted, slice_str(counter)), k);
		reader_leave(r, mark);
		return;
	}
}

void
limit_list_read(
    struct reader *r, json_t *list, struct policy *policy, struct limit_list *out)
{
	struct buf path = { 0 };
	size_t n = json_array_size(list);

	if (n > POLICY_LIMITS_MAX) {
		reader_fault(r, ERR_TOOBIG, "a list holds at most %d limits, not %zu",
		    POLICY_LIMITS_MAX, n);
		return;
	}
	buf_add_slice(&path, buf_slice(&r->path));
	out->items = arena_get(r->arena, n * sizeof(*out->items));
	out->n = out->items ? n : 0;
	for (size_t i = 0; i < out->n; i++) {
		json_t *object = json_array_get(list, i);
		size_t mark = reader_enter_at(r, i);

		if (json_is_object(object))
			limit_read(r, object, policy, buf_slice(&path), &out->items[i]);
		else
			reader_wrong_as(r, "a limit", "an object", object);
		check_counter(r, out, i);
		reader_leave(r, mark);
	}
	r->arena->failed |= path.failed; /* else rules would lack their list */
	buf_fini(&path);
}

struct policy_limit *
rate_limit_read(
    struct reader *r, json_t *object, struct policy *policy, const char *tool)
{
	struct policy_limit *limit = arena_get(r->arena, sizeof(*limit));
	struct draft d = { .limit = limit };
	size_t before = r->faults;
	struct buf text = { 0 };

	if (!limit)
		return NULL;
	limit->cost = -1;
	limit->calendar = arena_copy(r->arena, slice_str(""));
	reader_object(r, object, rate_keys, ARRAY_LEN(rate_keys), &d);
	if (r->faults != before || !scope_set_rate(r, &limit->scope))
		return NULL;
	buf_printf(&text, "%s_rate_limit", tool);
	limit->counter = keep(r, &text);
	buf_add_slice(&text, buf_slice(&r->path));
	if (limit->counter)
		limit_finish(r, policy, limit, &text);
	buf_fini(&text);
	return limit->key_tail ? limit : NULL;
}

const struct reader_table limit_table = { "limit", limit_keys, ARRAY_LEN(limit_keys) };
const struct reader_table rate_limit_table = { "rate_limit", rate_keys,
	ARRAY_LEN(rate_keys) };
