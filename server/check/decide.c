/* SPDX-License-Identifier: ISC */
#include "check/decide.h"

#include "base/attr.h"

static void
set_verdict(struct decision *d, enum verdict verdict, enum decision_cause cause,
    const char *rule, const char *message)
{
	d->verdict = verdict;
	d->cause = cause;
	d->rule = slice_str(rule);
	d->message = slice_str(message);
	d->limits = NULL;
	d->n_limits = 0;
	d->tightest = DECISION_NO_LIMIT;
	d->degraded = false;
	d->replayed = false;
	d->reservation = slice_make(NULL, 0);
	d->fault = FAULT_NONE;
}

/* The composed text, if there was memory for it. */
static void
set_message(struct decision *d, const struct buf *note)
{
	if (!note->failed)
		d->message = buf_slice(note);
}

void
decide_no_policy(struct decision *d, struct slice asked, struct buf *note)
{
	set_verdict(d, VERDICT_DENY, CAUSE_POLICY, "(no policy)",
	    "the request names no policy, and none is called \"default\"");
	if (asked.len == 0)
		return;
	d->message = slice_str("there is no policy of that name");
	buf_clear(note);
	buf_add_str(note, "there is no policy named \"");
	buf_add_slice(note, asked);
	buf_add_str(note, "\"");
	set_message(d, note);
}

void
decide_ruled(struct decision *d, const struct ruling *ruling)
{
	enum decision_cause cause =
	    ruling->verdict == VERDICT_ALLOW ? CAUSE_ALLOWED : CAUSE_POLICY;

	set_verdict(d, ruling->verdict, cause, ruling->rule, ruling->message);
}

void
decide_missing(struct decision *d, const struct policy_limit *limit, const char *why,
    struct buf *note)
{
	set_verdict(d, VERDICT_DENY, CAUSE_POLICY, limit->rule,
	    "the request lacks what this limit counts by");
	buf_clear(note);
	buf_add_str(note, why);
	set_message(d, note);
}

static void
decide_failed(struct decision *d, const struct take *take,
    const struct policy_limit *first, struct buf *note)
{
	const char *phrase = store_fault_table[take->fault].phrase;

	set_verdict(
	    d, VERDICT_DENY, CAUSE_STORE, first->rule, "the store is unavailable");
	d->degraded = true;
	d->fault = take->fault;
	buf_clear(note);
	buf_printf(note, "the store is unavailable: %s%s%s%s", phrase,
	    take->detail[0] ? " (" : "", take->detail, take->detail[0] ? ")" : "");
	set_message(d, note);
}

/* The least that is left; the first of equals. */
static size_t
find_tightest(const struct decision_limit *limits, size_t n)
{
	size_t least = 0;

	for (size_t i = 1; i < n; i++)
		if (limits[i].outcome.remaining < limits[least].outcome.remaining)
			least = i;
	return least;
}

static void
report(struct decision_limit *limits, const struct take *take, size_t refused)
{
	for (size_t i = 0; i < take->n; i++) {
		const struct charge *c = &take->charges[i];

		limits[i].outcome = limit_report(
		    c->limit, c->count, c->cost, take->now_us, i == refused);
	}
}

void
decide_taken(struct decision *d, const struct take *take, struct decision_limit *limits,
    struct buf *note)
{
	const struct policy_limit *lacking;

	if (take->status == TAKE_FAILED) {
		decide_failed(d, take, limits[0].limit, note);
		return;
	}
	if (take->status == TAKE_ADMITTED) {
		report(limits, take, DECISION_NO_LIMIT);
		set_verdict(d, VERDICT_ALLOW, CAUSE_ALLOWED, "", "");
		d->tightest = find_tightest(limits, take->n);
	} else {
		report(limits, take, take->refused);
		lacking = limits[take->refused].limit;
		set_verdict(
		    d, VERDICT_DENY, CAUSE_LIMIT, lacking->rule, lacking->message);
		d->tightest = take->refused;
	}
	d->limits = limits;
	d->n_limits = take->n;
}

enum metric
decide_metric(const struct decision *d)
{
	static const enum metric by_cause[] = {
		[CAUSE_ALLOWED] = METRIC_CHECKS_ALLOW,
		[CAUSE_POLICY] = METRIC_CHECKS_DENY_POLICY,
		[CAUSE_LIMIT] = METRIC_CHECKS_DENY_LIMIT,
		[CAUSE_STORE] = METRIC_CHECKS_DENY_STORE,
	};

	return d->verdict == VERDICT_APPROVAL ? METRIC_CHECKS_APPROVAL
					      : by_cause[d->cause];
}
