/* SPDX-License-Identifier: ISC */
/* What a limit tells a call that it refuses, when its document has no on_deny. */
#include "policy/policy.h"
#include "policy/quote.h"
#include "policy/scope.h"

/* Whether it is a bucket whose burst is not the same as max. */
static bool
has_burst(const struct limit *l)
{
	return limit_capacity(l) != l->max;
}

static void
add_never(const struct limit *l, int64_t cost, struct buf *out)
{
	buf_printf(out,
	    ": this call costs %lld, more than the limit's %s of %lld ever allows",
	    (long long)cost, has_burst(l) ? "burst" : "max",
	    (long long)limit_capacity(l));
}

/* "30 per hour ", "a burst of 10 at 60 per minute ", "5 at once " */
static void
add_rate(const struct limit *l, struct buf *out)
{
	if (l->algorithm == ALGORITHM_CONCURRENCY) {
		buf_printf(out, "%lld at once ", (long long)l->max);
		return;
	}
	if (has_burst(l))
		buf_printf(out, "a burst of %lld at ", (long long)limit_capacity(l));
	buf_printf(out, "%lld per %s ", (long long)l->max, l->window.name);
}

static void
add_left(const struct limit *l, int64_t cost, int64_t remaining, struct buf *out)
{
	buf_printf(out, ": this call costs %lld, and %lld of ", (long long)cost,
	    (long long)remaining);
	add_rate(l, out);
	buf_add_str(out, remaining == 1 ? "is left " : "are left ");
}

static void
add_used_up(const struct limit *l, struct buf *out)
{
	buf_add_str(out, " is used up: ");
	add_rate(l, out);
}

void
policy_refusal_format(const struct policy_limit *limit, const char *scope, int64_t cost,
    int64_t remaining, struct buf *out)
{
	const struct limit *l = &limit->limit;
	char quoted[QUOTE_MAX];

	buf_add_str(out, "limit ");
	buf_add_str(out, quote_name(quoted, slice_str(limit->counter)));
	if (cost > limit_capacity(l)) {
		add_never(l, cost, out);
		return;
	}
	if (remaining > 0)
		add_left(l, cost, remaining, out);
	else
		add_used_up(l, out);
	scope_add_phrase(&limit->scope, scope, out);
}

struct slice
policy_refusal(const struct policy_limit *limit, const char *scope, int64_t cost,
    int64_t remaining, struct buf *note)
{
	bool ready = remaining == 0 && cost <= limit_capacity(&limit->limit) &&
	    scope == limit->scope.text;

	if (limit->on_deny || ready)
		return slice_str(limit->message);
	buf_clear(note);
	policy_refusal_format(limit, scope, cost, remaining, note);
	return note->failed ? slice_str(limit->message) : buf_slice(note);
}
