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
	d->local = false;
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

enum store_failure
decide_on_failure(const struct weighed *w, const struct policy_limit *limit)
{
	enum store_failure own = limit->on_store_failure;

	if (own == STORE_FAILURE_UNSAID)
		own = w->otherwise;
	return own == STORE_FAILURE_UNSAID ? STORE_FAILURE_DENY : own;
}

/* The first of the strictest enforced limits, or NULL when all are shadow limits. */
static const struct policy_limit *
find_strictest(
    const struct weighed *w, enum store_fault fault, enum store_failure *answer)
{
	const struct policy_limit *strictest = NULL;

	*answer = STORE_FAILURE_ALLOW;
	for (size_t i = 0; i < w->n; i++) {
		const struct policy_limit *limit = w->limits[i].limit;
		enum store_failure own = decide_on_failure(w, limit);

		if (limit->shadow)
			continue;
		if (fault == FAULT_WRONGTYPE)
			own = STORE_FAILURE_DENY;
		if (strictest && own <= *answer)
			continue;
		strictest = limit;
		*answer = own;
	}
	return strictest;
}

enum store_failure
decide_strictest(const struct weighed *w, enum store_fault fault)
{
	enum store_failure answer;

	find_strictest(w, fault, &answer);
	return answer;
}

/* Writes "the store is unavailable: " and why; the caller may append. */
static void
note_failure(struct buf *note, enum store_fault fault, const char *detail)
{
	buf_clear(note);
	buf_printf(note, "the store is unavailable: %s%s%s%s",
	    store_fault_table[fault].phrase, detail[0] ? " (" : "", detail,
	    detail[0] ? ")" : "");
}

static void
set_failed(struct decision *d, const struct policy_limit *limit)
{
	set_verdict(
	    d, VERDICT_DENY, CAUSE_STORE, limit->rule, "the store is unavailable");
}

static void
decide_failed(struct decision *d, const struct take *take, const struct weighed *w,
    struct buf *note)
{
	enum store_fault fault = w->shares ? w->failed : take->fault;
	const struct policy_limit *strictest;
	enum store_failure answer;

	strictest = find_strictest(w, take->fault, &answer);
	if (answer == STORE_FAILURE_ALLOW) {
		set_verdict(d, VERDICT_ALLOW, CAUSE_ALLOWED, "", "");
	} else {
		set_failed(d, strictest);
		note_failure(note, fault, w->shares ? "" : take->detail);
		if (w->shares)
			buf_add_str(note, "; and this daemon has no room to count");
		set_message(d, note);
	}
	d->degraded = true;
	d->local = w->shares != NULL;
	d->fault = fault;
}

/* The limit with the least left; the first of equals. */
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

/* Nothing was counted, so nobody knows when it is worth asking again. */
static struct limit_outcome
uncounted(const struct limit *limit)
{
	return (struct limit_outcome){
		.remaining = limit_capacity(limit),
		.reset_ms = -1,
		.retry_after_ms = -1,
	};
}

/* Fills in how every limit stands. Returns the index of the refused charge's limit, or
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

/* Whether the call costs more than the share ever gives, but not more than the limit. */
static bool
is_beyond_share(const struct share *share, int64_t cost)
{
	return cost > limit_capacity(&share->limit.limit) &&
	    cost <= limit_capacity(&share->of->limit);
}

/* What lacks is the store, not room: with the store the call might go ahead. */
static void
decide_beyond_share(struct decision *d, const struct weighed *w,
    const struct share *share, int64_t cost, struct buf *note)
{
	char counter[QUOTE_MAX];

	set_failed(d, share->of);
	note_failure(note, w->failed, "");
	buf_printf(note,
	    "; this call costs %lld, more than the %lld of %lld that this daemon gives "
	    "of limit %s meanwhile",
	    (long long)cost, (long long)limit_capacity(&share->limit.limit),
	    (long long)limit_capacity(&share->of->limit),
	    quote_name(counter, slice_str(share->of->counter)));
	set_message(d, note);
}

static void
decide_share_used_up(struct decision *d, const struct weighed *w,
    const struct decision_limit *lacking, int64_t cost, struct buf *note)
{
	const struct policy_limit *limit = lacking->limit;

	set_verdict(d, VERDICT_DENY, CAUSE_LIMIT, limit->rule, limit->message);
	buf_clear(note);
	if (limit->on_deny)
		buf_add_str(note, limit->message);
	else
		policy_refusal_format(
		    limit, lacking->scope, cost, lacking->outcome.remaining, note);
	buf_printf(note, " (this daemon's share, while the store is unavailable: %s)",
	    store_fault_table[w->failed].phrase);
	set_message(d, note);
}

static void
decide_refused(struct decision *d, const struct weighed *w, size_t refused,
    const struct take *take, struct buf *note)
{
	const struct decision_limit *lacking = &w->limits[refused];
	int64_t cost = take->charges[take->refused].cost;

	if (UNLIKELY(w->shares) && is_beyond_share(&w->shares[refused], cost)) {
		decide_beyond_share(d, w, &w->shares[refused], cost, note);
		return;
	}
	if (UNLIKELY(w->shares)) {
		decide_share_used_up(d, w, lacking, cost, note);
	} else {
		set_verdict(d, VERDICT_DENY, CAUSE_LIMIT, lacking->limit->rule, "");
		d->message = policy_refusal(lacking->limit, lacking->scope, cost,
		    lacking->outcome.remaining, note);
	}
	d->tightest = refused;
}

/* The store failed, and this process counted. */
static void
mark_local(struct decision *d, const struct weighed *w)
{
	d->degraded = true;
	d->local = true;
	d->fault = w->failed;
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
		decide_refused(d, weighed, refused, take, note);
	}
	if (d->cause != CAUSE_STORE) {
		d->limits = weighed->limits;
		d->n_limits = weighed->n;
	}
	d->replayed = take->ledger && take->ledger->replayed;
	if (UNLIKELY(weighed->shares))
		mark_local(d, weighed);
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
	static const enum metric metrics[2][2] = {
		{ METRIC_DEGRADED_DENY, METRIC_DEGRADED_ALLOW },
		{ METRIC_DEGRADED_LOCAL_DENY, METRIC_DEGRADED_LOCAL_ALLOW },
	};

	return metrics[d->local][d->verdict == VERDICT_ALLOW];
}
