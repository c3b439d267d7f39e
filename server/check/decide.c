/* SPDX-License-Identifier: ISC */
#include "check/decide.h"

#include "base/attr.h"
#include "policy/quote.h"

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

void
decide_unreserved(
    struct decision *d, const struct policy_limit *limit, struct buf *note)
{
	char counter[QUOTE_MAX];

	set_verdict(d, VERDICT_DENY, CAUSE_POLICY, limit->rule,
	    "the tool has a concurrency limit and needs mode \"reserve\"");
	buf_clear(note);
	buf_printf(note,
	    "limit %s counts calls in flight: the tool needs mode \"reserve\"",
	    quote_name(counter, slice_str(limit->counter)));
	set_message(d, note);
}

/* The first of the strictest enforced limits, or NULL when all are shadow limits. A
 * counter that holds no count is not a store that is away: it denies. */
static const struct policy_limit *
find_strictest(
    const struct weighed *w, enum store_fault fault, enum store_failure *answer)
{
	const struct policy_limit *strictest = NULL;

	*answer = STORE_FAILURE_ALLOW;
	for (size_t i = 0; i < w->n; i++) {
		const struct policy_limit *limit = w->limits[i].limit;
		enum store_failure own = limit->on_store_failure;

		if (limit->shadow)
			continue;
		if (own == STORE_FAILURE_UNSAID)
			own = w->otherwise;
		if (own == STORE_FAILURE_UNSAID || fault == FAULT_WRONGTYPE)
			own = STORE_FAILURE_DENY;
		if (strictest && own <= *answer)
			continue;
		strictest = limit;
		*answer = own;
	}
	return strictest;
}

static void
decide_failed(struct decision *d, const struct take *take, const struct weighed *w,
    struct buf *note)
{
	const char *phrase = store_fault_table[take->fault].phrase;
	const struct policy_limit *strictest;
	enum store_failure answer;

	strictest = find_strictest(w, take->fault, &answer);
	if (answer == STORE_FAILURE_ALLOW) {
		set_verdict(d, VERDICT_ALLOW, CAUSE_ALLOWED, "", "");
	} else {
		set_verdict(d, VERDICT_DENY, CAUSE_STORE, strictest->rule,
		    "the store is unavailable");
		buf_clear(note);
		buf_printf(note, "the store is unavailable: %s%s%s%s", phrase,
		    take->detail[0] ? " (" : "", take->detail,
		    take->detail[0] ? ")" : "");
		set_message(d, note);
	}
	d->degraded = true;
	d->fault = take->fault;
}

/* The least that is left; the first of equals. */
static size_t
find_tightest(const struct weighed *w)
{
	size_t least = DECISION_NO_LIMIT;

	for (size_t i = 0; i < w->n; i++) {
		const struct decision_limit *one = &w->limits[i];

		if (one->limit->shadow)
			continue;
		if (least == DECISION_NO_LIMIT ||
		    one->outcome.remaining < w->limits[least].outcome.remaining)
			least = i;
	}
	return least;
}

/* Nothing was counted, so nothing says when it will be better. */
static struct limit_outcome
uncounted(const struct limit *limit)
{
	return (struct limit_outcome){
		.remaining = limit_capacity(limit),
		.reset_ms = -1,
		.retry_after_ms = -1,
	};
}

/* Fills in how every limit stands. The index of the refused charge's limit, or
 * DECISION_NO_LIMIT. */
static size_t
report(const struct weighed *w, const struct take *take)
{
	size_t refused = DECISION_NO_LIMIT;

	for (size_t i = 0; i < w->n; i++) {
		struct decision_limit *one = &w->limits[i];
		const struct charge *c;
		bool lacked;

		if (one->charge == DECISION_NO_CHARGE) {
			one->would_deny = true;
			one->outcome = uncounted(&one->limit->limit);
			continue;
		}
		c = &take->charges[one->charge];
		one->would_deny = c->shadow && c->lacked;
		lacked = take->status == TAKE_REFUSED && one->charge == take->refused;
		if (lacked)
			refused = i;
		one->outcome = limit_report(c->limit, c->count, c->cost, take->now_us,
		    lacked || one->would_deny);
	}
	return refused;
}

static void
decide_refused(struct decision *d, const struct decision_limit *lacking, int64_t cost,
    struct buf *note)
{
	const struct policy_limit *limit = lacking->limit;

	set_verdict(d, VERDICT_DENY, CAUSE_LIMIT, limit->rule, "");
	d->message = policy_refusal(
	    limit, lacking->scope, cost, lacking->outcome.remaining, note);
}

void
decide_taken(struct decision *d, const struct take *take, const struct weighed *weighed,
    struct buf *note)
{
	size_t refused;

	if (take->status == TAKE_FAILED) {
		decide_failed(d, take, weighed, note);
		return;
	}
	if (UNLIKELY(take->status == TAKE_CONFLICT)) {
		set_verdict(d, VERDICT_DENY, CAUSE_CONFLICT, "",
		    "the request id was used with another tool or other charges, or "
		    "in another mode; give each call an id of its own");
		return;
	}
	refused = report(weighed, take);
	if (refused == DECISION_NO_LIMIT) {
		set_verdict(d, VERDICT_ALLOW, CAUSE_ALLOWED, "", "");
		d->tightest = find_tightest(weighed);
	} else {
		decide_refused(d, &weighed->limits[refused],
		    take->charges[take->refused].cost, note);
		d->tightest = refused;
	}
	d->limits = weighed->limits;
	d->n_limits = weighed->n;
	d->replayed = take->ledger && take->ledger->replayed;
}

enum metric
decide_metric(const struct decision *d)
{
	static const enum metric by_cause[] = {
		[CAUSE_ALLOWED] = METRIC_CHECKS_ALLOW,
		[CAUSE_POLICY] = METRIC_CHECKS_DENY_POLICY,
		[CAUSE_LIMIT] = METRIC_CHECKS_DENY_LIMIT,
		[CAUSE_STORE] = METRIC_CHECKS_DENY_STORE,
		[CAUSE_CONFLICT] = METRIC_CHECKS_CONFLICT,
	};

	return d->verdict == VERDICT_APPROVAL ? METRIC_CHECKS_APPROVAL
					      : by_cause[d->cause];
}

enum metric
decide_metric_degraded(const struct decision *d)
{
	return d->verdict == VERDICT_ALLOW ? METRIC_DEGRADED_ALLOW
					   : METRIC_DEGRADED_DENY;
}
