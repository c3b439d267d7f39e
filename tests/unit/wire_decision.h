/* SPDX-License-Identifier: ISC */
/* Decisions for the tests of what is written about them. */
#ifndef TESTS_WIRE_DECISION_H
#define TESTS_WIRE_DECISION_H

#include "check/decision.h"

static char counter_charges[] = "charges";
static char counter_odd[] = "a\"b\\c%d \xC3\xA9\n";

static const struct policy_limit limit_charges = {
	.limit = { .max = 30, .window = { .len_ms = 3600000, .name = "hour" } },
	.counter = counter_charges,
};

static const struct policy_limit limit_odd = {
	.limit = { .max = 9007199254740991,
	    .window = { .len_ms = 90000, .name = "90s" } },
	.counter = counter_odd,
};

static const struct decision_limit limits_denied[] = {
	{ .limit = &limit_charges,
	    .scope = "grant",
	    .outcome = { 30, 0, 1234, 1234, 3600000 } },
	{ .limit = &limit_odd,
	    .scope = "grant&org",
	    .outcome = { 5, 9007199254740986, 90000, 0, 90000 } },
};

static const struct policy_limit limit_shadow = {
	.limit = { .max = 3, .window = { .len_ms = 60000, .name = "minute" } },
	.counter = counter_charges,
	.shadow = true,
};

static const struct decision_limit limits_shadow[] = {
	{ .limit = &limit_shadow,
	    .scope = "grant",
	    .would_deny = true,
	    .outcome = { 4, 0, 900, 900, 60000 } },
};

static inline struct decision
decision_allowed(void)
{
	return (struct decision){ .verdict = VERDICT_ALLOW,
		.cause = CAUSE_ALLOWED,
		.policy = slice_str("p"),
		.tool = slice_str("t"),
		.grant = slice_str("g"),
		.limits = limits_denied,
		.n_limits = 2,
		.tightest = 1 };
}

static inline struct decision
decision_limited(void)
{
	struct decision d = decision_allowed();

	d.verdict = VERDICT_DENY;
	d.cause = CAUSE_LIMIT;
	d.rule = slice_str("/tools/t/limits/charges");
	d.message = slice_str("too \"much\"\r\n");
	d.tightest = 0;
	return d;
}

static inline struct decision
decision_approval(void)
{
	return (struct decision){ .verdict = VERDICT_APPROVAL,
		.cause = CAUSE_POLICY,
		.rule = slice_str("/tools/t/action"),
		.message = slice_str("ask"),
		.policy = slice_str("p"),
		.tool = slice_str("t"),
		.grant = slice_str("g"),
		.tightest = DECISION_NO_LIMIT };
}

#endif
