/* SPDX-License-Identifier: ISC */
#include "wire/explain_json.h"

#include "base/json_text.h"

enum state { STATE_PASS, STATE_DECIDES, STATE_NOT_REACHED };

static const char *const findings[] = {
	[FINDING_HOLDS] = "it holds",
	[FINDING_MISSING] = "missing: the call has nothing there, or null",
	[FINDING_PRESENT] = "present: the call has something there",
	[FINDING_TYPE] =
	    "type mismatch: what the call has there is of another type than "
	    "the operator compares",
	[FINDING_VALUE] = "value mismatch: the type is right, the value is not",
	[FINDING_TOO_LONG] = "cannot be told: a text of more than 65536 bytes is not "
			     "matched with a pattern",
	[FINDING_TOO_HARD] =
	    "cannot be told: the patterns of this tool met the limit of "
	    "what they may cost",
	[FINDING_NOT_ASKED] = "not asked: it was decided before",
};

/* What a step's result is called, why it is so, and what would change it. */
struct step_text {
	const char *name;
	const char *passed;
	const char *decides;
	const char *advice;
};

static const struct step_text steps[] = {
	[STEP_POLICY] = { "policy", "this policy answers",
	    "there is no policy to answer",
	    "name a policy that the daemon has; GET /v1/policies lists them" },
	[STEP_HIDDEN] = { "hidden", "the tool is not hidden", "the tool is hidden",
	    "take the tool out of \"hide\" in the policy" },
	[STEP_DEFAULT] = { "default", NULL,
	    "the tool is not listed under \"tools\", and \"default\" is \"deny\"",
	    "list the tool under \"tools\" in the policy, an empty object is enough; "
	    "or "
	    "correct the tool's name" },
	[STEP_ACTION] = { "action", "the tool's action is not \"deny\"",
	    "the tool's action is \"deny\"",
	    "change \"action\" of the tool in the policy" },
	[STEP_REQUIRE] = { "require", NULL, "an entry that is required does not hold",
	    "call with what the entry's conditions ask for, or change the entry in the "
	    "policy" },
	[STEP_DENY_IF] = { "deny_if", NULL, "an entry that denies holds",
	    "call with something other than the entry's conditions describe, or change "
	    "the entry in the policy" },
	[STEP_APPROVAL] = { "approval", "the tool needs no approval",
	    "the tool's action is \"require_approval\"",
	    "have a person approve the call, or change \"action\" of the tool in the "
	    "policy" },
	[STEP_LIMITS] = { "limits", "every enforced limit has room", NULL, NULL },
	[STEP_ALLOW] = { "allow", NULL, "nothing stands in the way",
	    "nothing: a check of this call would be allowed" },
};

static enum state
state_of(const struct explanation *ex, enum policy_step step)
{
	if (step == ex->decided)
		return STATE_DECIDES;
	return step < ex->decided ? STATE_PASS : STATE_NOT_REACHED;
}

/* --- why ------------------------------------------------------------------------ */

static void
add_default_why(const struct explanation *ex, struct buf *why)
{
	buf_add_str(why,
	    ex->steps.listed ? "the tool is listed under \"tools\""
			     : "the tool is not listed under \"tools\", and "
			       "\"default\" is \"allow\"");
}

static void
add_entries_why(const struct explanation *ex, bool required, struct buf *why)
{
	size_t n = 0;

	for (size_t i = 0; i < ex->steps.n_entries; i++)
		n += ex->steps.entries[i].required == required;
	if (n == 0)
		buf_printf(
		    why, "the tool has no \"%s\"", required ? "require" : "deny_if");
	else
		buf_printf(why,
		    required ? "all %zu entries hold" : "none of %zu entries holds", n);
}

/* Counts enforced limits only, since others never deny. */
static size_t
count_enforced(const struct explanation *ex)
{
	size_t n = 0;

	for (size_t i = 0; i < ex->n_limits; i++)
		n += !ex->limits[i].limit->shadow;
	return n;
}

static size_t
count_without_room(const struct explanation *ex)
{
	size_t n = 0;

	for (size_t i = 0; ex->looked && i < ex->n_limits; i++)
		n += !ex->limits[i].limit->shadow && !ex->limits[i].uncounted &&
		    !ex->limits[i].fits;
	return n;
}

/* Allowed although the counters could not be read. */
static bool
is_uncounted(const struct decision *d, const struct explanation *ex)
{
	return !ex->looked && d->verdict == VERDICT_ALLOW;
}

/* The counters were this daemon's own. */
static void
add_local_why(const struct decision *d, const struct explanation *ex, struct buf *why)
{
	size_t counted = 0;

	for (size_t i = 0; i < ex->n_limits; i++)
		counted += !ex->limits[i].uncounted;
	buf_printf(why,
	    "%s; of %zu limit%s whose \"on_store_failure\" is \"local\" this daemon "
	    "gives its share, and %zu of them %s no room",
	    store_fault_table[d->fault].phrase, counted, counted == 1 ? "" : "s",
	    count_without_room(ex), count_without_room(ex) == 1 ? "has" : "have");
}

static void
add_limits_why(const struct decision *d, const struct explanation *ex, struct buf *why)
{
	size_t without = count_without_room(ex);
	size_t enforced = count_enforced(ex);

	if (is_uncounted(d, ex))
		buf_add_str(why,
		    "the store is unavailable, and \"on_store_failure\" of no "
		    "enforced limit denies: the call goes ahead uncounted");
	else if (!ex->looked && d->cause == CAUSE_STORE)
		buf_printf(why, "%.*s; \"on_store_failure\" of %.*s is the strictest",
		    SLICE_ARG(d->message), SLICE_ARG(d->rule));
	else if (ex->lacking < ex->n_limits || !ex->looked)
		buf_add_slice(why, d->message);
	else if (d->local)
		add_local_why(d, ex, why);
	else
		buf_printf(why, "%zu of %zu %slimits %s no room", without, enforced,
		    enforced < ex->n_limits ? "enforced " : "",
		    without == 1 ? "has" : "have");
}

static void
add_why(const struct decision *d, const struct explanation *ex, enum policy_step step,
    struct buf *why)
{
	const struct step_text *text = &steps[step];
	enum state state = state_of(ex, step);

	if (state == STATE_NOT_REACHED)
		buf_add_str(why, "not reached");
	else if (step == STEP_POLICY && state == STATE_DECIDES)
		buf_add_slice(why, d->message);
	else if (step == STEP_LIMITS && state == STATE_DECIDES)
		add_limits_why(d, ex, why);
	else if (step == STEP_LIMITS && ex->replayed)
		buf_add_str(why,
		    "the request id was admitted before: a check gets that answer "
		    "again, and is charged nothing");
	else if (step == STEP_LIMITS && d->local)
		add_local_why(d, ex, why);
	else if (step == STEP_LIMITS && ex->n_limits == 0)
		buf_add_str(why, "no limit counts this call");
	else if (state == STATE_DECIDES)
		buf_add_str(why, text->decides);
	else if (step == STEP_DEFAULT)
		add_default_why(ex, why);
	else if (step == STEP_REQUIRE || step == STEP_DENY_IF)
		add_entries_why(ex, step == STEP_REQUIRE, why);
	else
		buf_add_str(why, text->passed);
}

static const char *
room_of(const struct explanation_limit *el)
{
	if (el->fits)
		return "there is room";
	/* By its count the call would be let through. */
	if (el->outcome.retry_after_ms < 0 &&
	    el->cost <= limit_capacity(&el->limit->limit))
		return "the counter's key holds something that is no count";
	return "there is no room";
}

static void
add_limit_why(const struct explanation *ex, size_t i, struct buf *why)
{
	const struct explanation_limit *el = &ex->limits[i];
	const struct limit_outcome *o = &el->outcome;

	if (ex->lacking < i)
		buf_add_str(why, "not asked: a limit before it denies");
	else if (el->unreserved)
		buf_add_str(why,
		    "it counts calls in flight, and a check holds a slot only with "
		    "mode \"reserve\"");
	else if (ex->lacking == i || el->missing)
		buf_add_str(
		    why, "the call lacks what names this limit's counter or cost");
	else if (!ex->looked)
		buf_add_str(why, "its counter was not read");
	else if (el->uncounted)
		buf_add_str(why, "not counted while the store is away");
	else
		buf_printf(why,
		    "%s%lld of %lld used, %lld left, the call costs %lld: %s",
		    ex->replayed ? "at that answer " : "", (long long)o->used,
		    (long long)limit_capacity(&el->limit->limit),
		    (long long)o->remaining, (long long)el->cost, room_of(el));
	if (el->limit->shadow)
		buf_add_str(why, "; a shadow limit: it never denies");
}

/* `max` is the document's key that says how much the limit gives. */
static void
add_what_to_raise(const struct explanation_limit *el, const char *max, struct buf *out)
{
	const struct limit *l = &el->limit->limit;

	if (l->burst == 0)
		buf_printf(out, "raise \"%s\" of ", max);
	else if (el->cost > limit_capacity(l))
		buf_add_str(out, "raise \"burst\" of ");
	else
		buf_printf(out, "raise \"burst\" or \"%s\" of ", max);
}

/* What to do about the limit that denies. */
static void
add_limit_advice(
    const struct decision *d, const struct explanation *ex, struct buf *out)
{
	const struct explanation_limit *el = &ex->limits[d->tightest];
	const struct limit_outcome *o = &el->outcome;
	bool overridden = el->limit != ex->steps.limits[d->tightest];

	if (o->retry_after_ms > 0)
		buf_printf(out, "wait %lld s, or ",
		    (long long)((o->retry_after_ms + 999) / 1000));
	else
		buf_add_str(out, "waiting does not help: ");
	if (o->remaining > 0 && policy_limit_cost_path(el->limit))
		buf_printf(out, "call with %s of at most %lld, or ",
		    policy_limit_cost_path(el->limit), (long long)o->remaining);
	else if (o->remaining > 0 && el->limit->cost < 0)
		buf_printf(out, "call with a cost of at most %lld, or ",
		    (long long)o->remaining);
	add_what_to_raise(el, overridden ? "overrides" : "max", out);
	buf_add_slice(out, d->rule);
	buf_add_str(out, " in the policy");
	if (count_without_room(ex) > 1)
		buf_add_str(out, "; other limits have no room either");
}

static void
add_advice(const struct decision *d, const struct explanation *ex, struct buf *out)
{
	if (ex->decided != STEP_LIMITS)
		buf_add_str(out, steps[ex->decided].advice);
	else if (is_uncounted(d, ex))
		buf_add_str(out,
		    "nothing: a check of this call would be allowed, but not counted; "
		    "see why the store is away");
	else if (d->local)
		buf_add_str(out,
		    "see why the store is away: until it is back, only this daemon's "
		    "share of its limits is given");
	else if (d->cause == CAUSE_STORE)
		buf_add_str(
		    out, "the counters cannot be read now: see why the store is away");
	else if (ex->lacking < ex->n_limits && ex->limits[ex->lacking].unreserved)
		buf_add_str(out,
		    "ask with mode \"reserve\", and settle the reservation when the "
		    "call is over");
	else if (ex->lacking < ex->n_limits)
		buf_add_str(out,
		    "send what the message names, or change the limit's \"scope\" or "
		    "\"cost_from\" in the policy");
	else if (d->tightest < ex->n_limits)
		add_limit_advice(d, ex, out);
}

/* --- the document --------------------------------------------------------------- */

static void
format_text(struct json_text *j, const char *key, struct buf *text)
{
	json_text_string(j, key, buf_slice(text));
	j->out->failed |= text->failed;
	buf_fini(text);
}

static void
format_condition(struct json_text *j, const struct condition_finding *c)
{
	json_text_open(j, NULL, '{');
	json_text_string(j, "path", slice_str(c->path));
	json_text_string(j, "op", slice_str(c->op));
	json_text_string(j, "value", c->value);
	if (c->finding < FINDING_TOO_LONG)
		json_text_bool(j, "holds", c->finding == FINDING_HOLDS);
	else
		json_text_null(j, "holds");
	json_text_string(j, "why", slice_str(findings[c->finding]));
	json_text_close(j, '}');
}

static void
format_entries(struct json_text *j, const struct explanation *ex, bool required)
{
	json_text_open(j, "entries", '[');
	for (size_t i = 0; i < ex->steps.n_entries; i++) {
		const struct entry_finding *e = &ex->steps.entries[i];

		if (e->required != required)
			continue;
		json_text_open(j, NULL, '{');
		json_text_string(j, "rule", slice_str(e->rule));
		json_text_string(j, "result",
		    slice_str(e->denies ? "deny"
			    : e->asked  ? "pass"
					: "not reached"));
		json_text_string(j, "message", slice_str(e->message));
		json_text_open(j, "conditions", '[');
		for (size_t k = 0; k < e->n_conditions; k++)
			format_condition(j, &e->conditions[k]);
		json_text_close(j, ']');
		json_text_close(j, '}');
	}
	json_text_close(j, ']');
}

/* The counts, or null for each of them when they were not read. */
static void
format_outcome(struct json_text *j, const struct limit_outcome *o)
{
	static const char *const names[] = { "used", "remaining", "reset_ms",
		"retry_after_ms" };
	int64_t values[] = { o ? o->used : 0, o ? o->remaining : 0, o ? o->reset_ms : 0,
		o ? o->retry_after_ms : 0 };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (o)
			json_text_int(j, names[i], values[i]);
		else
			json_text_null(j, names[i]);
	}
}

static void
format_counter(struct json_text *j, const struct policy_limit *pl, const char *scope,
    struct slice key)
{
	static const char *const algorithms[] = {
		[ALGORITHM_FIXED] = "fixed",
		[ALGORITHM_SLIDING] = "sliding",
		[ALGORITHM_TOKEN_BUCKET] = "token_bucket",
		[ALGORITHM_CONCURRENCY] = "concurrency",
	};

	json_text_string(j, "counter", slice_str(pl->counter));
	json_text_string(j, "algorithm", slice_str(algorithms[pl->limit.algorithm]));
	json_text_string(j, "rule", slice_str(pl->rule));
	json_text_string(j, "window", slice_str(pl->limit.window.name));
	json_text_string(j, "scope", slice_str(scope));
	if (key.ptr)
		json_text_string(j, "key", key);
	else
		json_text_null(j, "key");
	json_text_int(j, "max", pl->limit.max);
	if (pl->limit.algorithm == ALGORITHM_TOKEN_BUCKET)
		json_text_int(j, "burst", pl->limit.capacity);
}

static void
format_limit(struct json_text *j, const struct explanation *ex, size_t i)
{
	const struct explanation_limit *el = &ex->limits[i];
	bool read = ex->looked && !el->missing && !el->uncounted;
	struct buf why = { 0 };

	json_text_open(j, NULL, '{');
	format_counter(j, el->limit, el->scope, el->key);
	if (el->key.ptr)
		json_text_int(j, "cost", el->cost);
	else
		json_text_null(j, "cost");
	if (el->limit->shadow)
		json_text_string(j, "mode", slice_str("shadow"));
	format_outcome(j, read ? &el->outcome : NULL);
	if (read)
		json_text_bool(j, "admits", el->fits);
	else
		json_text_null(j, "admits");
	add_limit_why(ex, i, &why);
	format_text(j, "why", &why);
	json_text_close(j, '}');
}

static void
format_step(struct json_text *j, const struct decision *d, const struct explanation *ex,
    enum policy_step step, const char *verdict)
{
	enum state state = state_of(ex, step);
	struct buf why = { 0 };

	json_text_open(j, NULL, '{');
	json_text_int(j, "step", step);
	json_text_string(j, "name", slice_str(steps[step].name));
	json_text_string(j, "result",
	    slice_str(state == STATE_PASS    ? "pass"
		    : state == STATE_DECIDES ? verdict
					     : "not reached"));
	add_why(d, ex, step, &why);
	format_text(j, "why", &why);
	if (step == STEP_REQUIRE || step == STEP_DENY_IF)
		format_entries(j, ex, step == STEP_REQUIRE);
	if (step == STEP_LIMITS) {
		json_text_open(j, "limits", '[');
		for (size_t i = 0; i < ex->n_limits; i++)
			format_limit(j, ex, i);
		json_text_close(j, ']');
	}
	json_text_close(j, '}');
}

static void
format_tightest(struct json_text *j, const struct decision *d)
{
	static const struct limit_outcome none = { .reset_ms = -1 };
	const struct limit_outcome *o = &none;

	if (d->tightest < d->n_limits)
		o = &d->limits[d->tightest].outcome;
	json_text_int(j, "reset_ms", o->reset_ms);
	json_text_int(j, "retry_after_ms", o->retry_after_ms);
	json_text_bool(j, "degraded", d->degraded);
	json_text_bool(j, "replayed", d->replayed);
}

void
explain_json_format(
    const struct decision *d, const struct explanation *ex, struct buf *out)
{
	static const char *const verdicts[] = {
		[VERDICT_DENY] = "deny",
		[VERDICT_ALLOW] = "allow",
		[VERDICT_APPROVAL] = "require_approval",
	};
	const char *verdict = verdicts[d->verdict];
	struct buf advice = { 0 };
	struct json_text j;

	json_text_init(&j, out);
	json_text_open(&j, NULL, '{');
	json_text_string(&j, "verdict", slice_str(verdict));
	json_text_string(&j, "rule", d->rule);
	json_text_string(&j, "message", d->message);
	add_advice(d, ex, &advice);
	format_text(&j, "advice", &advice);
	json_text_string(&j, "policy", d->policy);
	json_text_string(&j, "policy_hash", slice_str(ex->policy_hash));
	json_text_string(&j, "tool", d->tool);
	json_text_string(&j, "grant", d->grant);
	json_text_open(&j, "steps", '[');
	for (enum policy_step step = STEP_POLICY; step <= STEP_ALLOW; step++)
		format_step(&j, d, ex, step, verdict);
	json_text_close(&j, ']');
	format_tightest(&j, d);
	json_text_close(&j, '}');
}

/* --- usage ---------------------------------------------------------------------- */

static void
format_usage_counter(struct json_text *j, const struct usage_counter *uc)
{
	bool read = uc->fault == FAULT_NONE;

	json_text_open(j, NULL, '{');
	format_counter(j, uc->limit, uc->scope, uc->key);
	json_text_bool(j, "global", uc->limit->scope.n == 0);
	if (uc->limit->shadow)
		json_text_string(j, "mode", slice_str("shadow"));
	if (read) {
		json_text_int(j, "used", uc->outcome.used);
		json_text_int(j, "remaining", uc->outcome.remaining);
		json_text_int(j, "reset_ms", uc->outcome.reset_ms);
		json_text_null(j, "error");
	} else {
		json_text_null(j, "used");
		json_text_null(j, "remaining");
		json_text_null(j, "reset_ms");
		json_text_string(j, "error",
		    slice_str("the counter's key holds something that is no count"));
	}
	json_text_close(j, '}');
}

void
usage_json_format(const struct decision *d, const struct usage *usage, struct buf *out)
{
	size_t start = out->len;
	struct json_text j;
	size_t i;

	json_text_init(&j, out);
	json_text_open(&j, NULL, '{');
	json_text_string(&j, "policy", d->policy);
	json_text_string(&j, "grant", d->grant);
	json_text_open(&j, "counters", '[');
	for (i = 0; i < usage->n && out->len - start < USAGE_BYTES_MAX; i++)
		format_usage_counter(&j, &usage->counters[i]);
	json_text_close(&j, ']');
	json_text_bool(&j, "truncated", usage->truncated || i < usage->n);
	json_text_int(&j, "not_shown", (int64_t)usage->others);
	json_text_close(&j, '}');
}
