/* SPDX-License-Identifier: ISC */
#include "check_fixture.h"

/* Nobody observes what is no decision, so on_done() of the fixture would not do. */
static void
on_kind_done(struct check *check, void *arg)
{
	(void)arg;
	assert_true(check_is_done(check));
}

static struct check *
ask(struct fixture *f, enum check_kind kind, const char *tool, const char *grant)
{
	struct check_request r = request_of(tool, grant, 1);
	struct check *check;

	r.kind = kind;
	check = check_start(f->engine, &r, on_kind_done, f);
	assert_non_null(check);
	return check;
}

static void
test_explains_what_a_check_gets(void **state)
{
	static const struct {
		const char *tool;
		enum policy_step step;
	} rows[] = { { "secret", STEP_HIDDEN }, { "unlisted", STEP_DEFAULT },
		{ "stop", STEP_ACTION }, { "team", STEP_LIMITS },
		{ "charge", STEP_ALLOW } };
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct check *explained = ask(&f, CHECK_EXPLAIN, rows[i].tool, "g");
		struct check *check = start_check(&f, rows[i].tool, "g", 1);
		const struct decision *want = check_decision(check);
		const struct decision *got = check_decision(explained);

		assert_null(check_explanation(check));
		assert_int_equal(check_explanation(explained)->decided, rows[i].step);
		assert_int_equal(got->verdict, want->verdict);
		assert_true(slice_eq(got->rule, want->rule));
		assert_true(slice_eq(got->message, want->message));
		check_release(explained);
		check_release(check);
	}
	/* Only the checks were counted and seen. */
	assert_int_equal(f.observed, ARRAY_LEN(rows));
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_ALLOW), 1);
	fixture_close(&f);
}

static void
test_limits(void **state)
{
	struct fixture f;
	struct check *check;
	const struct explanation *ex;

	(void)state;
	fixture_open(&f, NULL);
	for (int i = 0; i < 3; i++)
		check_release(start_check(&f, "charge", "g", 1));
	check = ask(&f, CHECK_EXPLAIN, "charge", "g");
	ex = check_explanation(check);
	assert_int_equal(ex->decided, STEP_LIMITS);
	assert_true(ex->looked);
	assert_int_equal(ex->n_limits, 2);
	assert_slice(ex->limits[0].key, "ration:shop:{grant=g}:charges:minute");
	assert_false(ex->limits[0].fits);
	assert_int_equal(ex->limits[0].outcome.used, 3);
	assert_int_equal(ex->limits[0].outcome.retry_after_ms, 60000);
	assert_slice(ex->limits[1].key, "ration:shop:{grant=g}:calls:hour");
	assert_true(ex->limits[1].fits);
	assert_int_equal(ex->limits[1].outcome.used, 3);
	assert_int_equal(ex->limits[1].outcome.retry_after_ms, 0);
	check_release(check);
	fixture_close(&f);
}

static void
test_usage(void **state)
{
	struct fixture f;
	struct check *check;
	const struct usage *usage;

	(void)state;
	fixture_open(&f, NULL);
	check_release(start_check(&f, "charge", "g", 2));
	check = ask(&f, CHECK_USAGE, "", "g");
	usage = check_usage(check);
	assert_true(usage->known);
	assert_int_equal(usage->fault, FAULT_NONE);
	assert_int_equal(usage->n, 3);
	assert_int_equal(usage->others, 1);
	assert_slice(usage->counters[0].key, "ration:shop:{grant=g}:charges:minute");
	assert_int_equal(usage->counters[0].outcome.used, 2);
	assert_int_equal(usage->counters[1].outcome.used, 0);
	assert_int_equal(usage->counters[2].outcome.used, 2);
	check_release(check);
	assert_int_equal(f.observed, 1);
	fixture_close(&f);
}

static void
test_store_fails(void **state)
{
	struct store *failing = failing_store_new(FAULT_TIMEOUT, NULL);
	struct fixture f;
	struct check *check;

	(void)state;
	fixture_open(&f, failing);
	check = ask(&f, CHECK_EXPLAIN, "charge", "g");
	assert_false(check_explanation(check)->looked);
	assert_int_equal(check_decision(check)->cause, CAUSE_STORE);
	check_release(check);
	check = ask(&f, CHECK_USAGE, "", "g");
	assert_int_equal(check_usage(check)->fault, FAULT_TIMEOUT);
	check_release(check);
	store_close(failing);
	fixture_close(&f);
}

/* A client that goes away while the store still looks. */
static void
test_detached(void **state)
{
	struct patient patient = { .store = { &patient_ops, NULL } };
	struct policy_set *open;
	struct fixture f;
	struct check *check;

	(void)state;
	fixture_open(&f, &patient.store);
	check = ask(&f, CHECK_EXPLAIN, "charge", "g");
	assert_true(patient.waiting->look);
	check_release(check);
	/* What the explanation points into lives on. */
	open = set_of(parse("open", open_text), NULL);
	check_engine_set_policies(f.engine, open);
	policy_set_unref(open);
	answer(&patient, TAKE_ADMITTED);
	assert_int_equal(f.done, 0);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_explains_what_a_check_gets),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_store_fails),
		cmocka_unit_test(test_detached),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
