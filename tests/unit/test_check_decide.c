/* SPDX-License-Identifier: ISC */
/* What is decided, from request to decision. */
#include "check_fixture.h"

static void
test_allow_reports_every_limit(void **state)
{
	struct fixture f;
	struct check *check;
	const struct decision *d;

	(void)state;
	fixture_open(&f, NULL);
	check = start_check(&f, "charge", "alice", 2);
	d = check_decision(check);
	assert_int_equal(f.done, 1);
	assert_int_equal(d->verdict, VERDICT_ALLOW);
	assert_int_equal(d->cause, CAUSE_ALLOWED);
	assert_slice(d->rule, "");
	assert_slice(d->message, "");
	assert_slice(d->policy, "shop");
	assert_slice(d->tool, "charge");
	assert_slice(d->grant, "alice");
	assert_int_equal(d->n_limits, 2);
	assert_string_equal(d->limits[0].limit->counter, "charges");
	assert_string_equal(d->limits[0].scope, "grant");
	assert_int_equal(d->limits[0].outcome.used, 2);
	assert_int_equal(d->limits[0].outcome.remaining, 1);
	assert_int_equal(d->limits[0].outcome.reset_ms, 60000);
	assert_int_equal(d->limits[1].outcome.remaining, 3);
	assert_int_equal(d->limits[1].outcome.reset_ms, 3600000);
	assert_int_equal(d->tightest, 0);
	assert_false(d->degraded);
	assert_false(d->replayed);
	assert_int_equal(d->reservation.len, 0);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_ALLOW), 1);
	check_release(check);
	fixture_close(&f);
}

static void
test_refusal_names_the_limit(void **state)
{
	struct fixture f;
	struct check *check;
	const struct decision *d;

	(void)state;
	fixture_open(&f, NULL);
	check_release(start_check(&f, "charge", "alice", 3));
	check = start_check(&f, "charge", "alice", 1);
	d = check_decision(check);
	assert_int_equal(d->verdict, VERDICT_DENY);
	assert_int_equal(d->cause, CAUSE_LIMIT);
	assert_slice(d->rule, "/tools/charge/limits/charges");
	assert_slice(d->message, "slow down");
	assert_int_equal(d->tightest, 0);
	assert_int_equal(d->limits[0].outcome.used, 3);
	assert_int_equal(d->limits[0].outcome.retry_after_ms, 60000);
	assert_int_equal(d->limits[1].outcome.used, 3);
	assert_int_equal(d->limits[1].outcome.retry_after_ms, 0);
	check_release(check);
	/* The second limit lacks room, and the first is not charged. */
	check = start_check(&f, "big", "alice", 3);
	d = check_decision(check);
	assert_slice(d->rule, "/all_tools/limits/calls");
	assert_int_equal(d->tightest, 1);
	assert_int_equal(d->limits[0].outcome.used, 0);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_DENY_LIMIT), 2);
	check_release(check);
	fixture_close(&f);
}

static void
test_tie_goes_to_the_first(void **state)
{
	struct fixture f;
	struct check *check;

	(void)state;
	fixture_open(&f, NULL);
	check = start_check(&f, "big", "alice", 1);
	assert_int_equal(check_decision(check)->limits[0].outcome.remaining, 4);
	assert_int_equal(check_decision(check)->limits[1].outcome.remaining, 4);
	assert_int_equal(check_decision(check)->tightest, 0);
	check_release(check);
	check_release(start_check(&f, "charge", "alice", 1));
	check = start_check(&f, "big", "alice", 0);
	assert_int_equal(check_decision(check)->tightest, 1);
	check_release(check);
	fixture_close(&f);
}

static void
assert_denied(
    struct fixture *f, const char *tool, const char *rule, const char *message)
{
	struct check *check = start_check(f, tool, "alice", 1);
	const struct decision *d = check_decision(check);

	assert_int_equal(d->verdict, VERDICT_DENY);
	assert_int_equal(d->cause, CAUSE_POLICY);
	assert_slice(d->rule, rule);
	if (message)
		assert_slice(d->message, message);
	assert_true(d->message.len > 0);
	assert_int_equal(d->n_limits, 0);
	assert_int_equal(d->tightest, DECISION_NO_LIMIT);
	assert_false(d->degraded);
	check_release(check);
}

static void
test_policy_denies_before_counting(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL);
	assert_denied(&f, "stop", "/tools/stop/action", "not by an agent");
	assert_denied(&f, "secret", "(hidden)", NULL);
	assert_denied(&f, "other", "(default deny)", NULL);
	assert_int_equal(memory_count(f.memory), 0);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_DENY_POLICY), 3);
	fixture_close(&f);
}

static void
test_missing_attribute(void **state)
{
	struct call_attribute team = { slice_str("team"), slice_str("red") };
	struct fixture f;
	struct check_request r;
	struct check *check;

	(void)state;
	fixture_open(&f, NULL);
	check = start_check(&f, "team", "alice", 1);
	assert_slice(check_decision(check)->rule, "/tools/team/limits/t");
	assert_int_equal(check_decision(check)->cause, CAUSE_POLICY);
	assert_non_null(memmem(check_decision(check)->message.ptr,
	    check_decision(check)->message.len, "\"team\"", 6));
	assert_int_equal(memory_count(f.memory), 0);
	check_release(check);
	r = request_of("team", "alice", 1);
	r.call.attributes = &team;
	r.call.n_attributes = 1;
	check = check_start(f.engine, &r, on_done, &f);
	assert_int_equal(check_decision(check)->verdict, VERDICT_ALLOW);
	check_release(check);
	fixture_close(&f);
}

static void
test_no_such_policy(void **state)
{
	struct fixture f;
	struct check_request r = request_of("charge", "alice", 1);
	struct policy_set *two;
	struct check *check;
	char name[] = "nope";

	(void)state;
	fixture_open(&f, NULL);
	r.policy = slice_str(name);
	check = check_start(f.engine, &r, on_done, &f);
	memset(name, 'x', strlen(name));
	assert_slice(check_decision(check)->rule, "(no policy)");
	assert_slice(check_decision(check)->policy, "nope");
	assert_slice(
	    check_decision(check)->message, "there is no policy named \"nope\"");
	assert_int_equal(check_decision(check)->cause, CAUSE_POLICY);
	check_release(check);
	two = set_of(parse("a", open_text), parse("b", open_text));
	check_engine_set_policies(f.engine, two);
	policy_set_unref(two);
	check = start_check(&f, "charge", "alice", 1);
	assert_slice(check_decision(check)->rule, "(no policy)");
	assert_slice(check_decision(check)->policy, "");
	check_release(check);
	fixture_close(&f);
}

static void
test_allow_without_limits(void **state)
{
	struct fixture f;
	struct policy_set *set;
	struct check *check;

	(void)state;
	fixture_open(&f, NULL);
	set = set_of(parse("open", open_text), NULL);
	check_engine_set_policies(f.engine, set);
	policy_set_unref(set);
	assert_ptr_equal(check_engine_policies(f.engine), set);
	check = start_check(&f, "anything", "alice", 1);
	assert_int_equal(check_decision(check)->verdict, VERDICT_ALLOW);
	assert_int_equal(check_decision(check)->tightest, DECISION_NO_LIMIT);
	assert_int_equal(check_decision(check)->n_limits, 0);
	check_release(check);
	fixture_close(&f);
}

static void
test_store_failure_denies(void **state)
{
	struct metric_cells *cells = calloc(1, sizeof(*cells));
	struct store *failing = failing_store_new(FAULT_TIMEOUT, cells);
	struct fixture f;
	struct check *check;
	const struct decision *d;

	(void)state;
	fixture_open(&f, failing);
	check = start_check(&f, "charge", "alice", 1);
	d = check_decision(check);
	assert_int_equal(d->verdict, VERDICT_DENY);
	assert_int_equal(d->cause, CAUSE_STORE);
	assert_int_equal(d->fault, FAULT_TIMEOUT);
	assert_true(d->degraded);
	assert_slice(d->rule, "/tools/charge/limits/charges");
	assert_slice(
	    d->message, "the store is unavailable: the store did not answer in time");
	assert_int_equal(d->n_limits, 0);
	assert_int_equal(d->tightest, DECISION_NO_LIMIT);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_DENY_STORE), 1);
	check_release(check);
	/* What needs no store is answered all the same. */
	assert_denied(&f, "stop", "/tools/stop/action", NULL);
	fixture_close(&f);
	store_close(failing);
	free(cells);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allow_reports_every_limit),
		cmocka_unit_test(test_refusal_names_the_limit),
		cmocka_unit_test(test_tie_goes_to_the_first),
		cmocka_unit_test(test_policy_denies_before_counting),
		cmocka_unit_test(test_missing_attribute),
		cmocka_unit_test(test_no_such_policy),
		cmocka_unit_test(test_allow_without_limits),
		cmocka_unit_test(test_store_failure_denies),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
