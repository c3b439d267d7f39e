/* SPDX-License-Identifier: ISC */
/* Concurrency limits: a check holds a slot only when it reserves. */
#include "check_fixture.h"

static const char slots_text[] =
    "{ \"version\": \"1\", \"default\": \"deny\", \"tools\": {"
    "  \"job\": { \"limits\": ["
    "    { \"counter\": \"n\", \"window\": \"minute\", \"max\": 9 },"
    "    { \"counter\": \"jobs\", \"max\": 2, \"algorithm\": \"concurrency\","
    "      \"on_deny\": \"too many jobs\" } ] },"
    "  \"watched\": { \"limits\": ["
    "    { \"counter\": \"n\", \"window\": \"minute\", \"max\": 9 },"
    "    { \"counter\": \"jobs\", \"max\": 2, \"algorithm\": \"concurrency\","
    "      \"mode\": \"shadow\" } ] } } }";

static void
on_any_done(struct check *check, void *arg)
{
	assert_true(check_is_done(check));
	((struct fixture *)arg)->done++;
}

static void
open_slots(struct fixture *f)
{
	struct policy_set *set = set_of(parse("shop", slots_text), NULL);

	fixture_open(f, &f->patient.store);
	check_engine_set_policies(f->engine, set);
	policy_set_unref(set);
}

static struct check *
start(struct fixture *f, const char *tool, enum check_kind kind, enum check_mode mode)
{
	struct check_request r = request_of(tool, "alice", 5);
	struct check *check;

	r.kind = kind;
	r.mode = mode;
	check = check_start(f->engine, &r, on_any_done, f);
	assert_non_null(check);
	return check;
}

static void
test_enforce_is_denied(void **state)
{
	struct fixture f;
	struct check *check;
	const struct decision *d;

	(void)state;
	open_slots(&f);
	check = start(&f, "job", CHECK_ASK, MODE_ENFORCE);
	assert_null(f.patient.waiting);
	d = check_decision(check);
	assert_int_equal(d->verdict, VERDICT_DENY);
	assert_int_equal(d->cause, CAUSE_POLICY);
	assert_slice(d->rule, "/tools/job/limits/jobs");
	assert_slice(d->message,
	    "limit \"jobs\" counts calls in flight: the tool needs mode \"reserve\"");
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_DENY_POLICY), 1);
	check_release(check);
	fixture_close(&f);
}

static void
test_shadow_reports(void **state)
{
	struct fixture f;
	struct check *check;
	const struct decision *d;

	(void)state;
	open_slots(&f);
	check = start(&f, "watched", CHECK_ASK, MODE_ENFORCE);
	assert_int_equal(f.patient.waiting->n, 1);
	assert_null(f.patient.waiting->ledger);
	answer(&f.patient, TAKE_ADMITTED);
	d = check_decision(check);
	assert_int_equal(d->verdict, VERDICT_ALLOW);
	assert_int_equal(d->n_limits, 2);
	assert_true(d->limits[1].would_deny);
	assert_int_equal(d->limits[1].charge, DECISION_NO_CHARGE);
	check_release(check);
	fixture_close(&f);
}

static void
test_reserve_takes_a_slot(void **state)
{
	struct fixture f;
	struct check *check;
	const struct charge *c;
	const struct decision *d;

	(void)state;
	open_slots(&f);
	check = start(&f, "job", CHECK_ASK, MODE_RESERVE);
	assert_int_equal(f.patient.waiting->n, 2);
	c = f.patient.waiting->charges;
	assert_int_equal(c[0].cost, 5);
	assert_true(c[0].corrects);
	/* One slot, whatever the call costs; a commit does not change that. */
	assert_slice(c[1].key, "ration:shop:{grant=alice}:jobs:slots");
	assert_int_equal(c[1].cost, 1);
	assert_false(c[1].corrects);
	f.patient.waiting->charges[1].count.before = 7;
	answer(&f.patient, TAKE_ADMITTED);
	d = check_decision(check);
	assert_int_equal(d->verdict, VERDICT_ALLOW);
	assert_int_not_equal(d->reservation.len, 0);
	assert_int_equal(d->limits[1].outcome.used, 1);
	assert_int_equal(d->limits[1].outcome.remaining, 1);
	assert_int_equal(d->limits[1].outcome.reset_ms, 7);
	check_release(check);
	fixture_close(&f);
}

static void
test_looks_are_as_if_reserved(void **state)
{
	struct fixture f;
	struct check *check;

	(void)state;
	open_slots(&f);
	check = start(&f, "job", CHECK_ASK, MODE_PEEK);
	assert_int_equal(f.patient.waiting->n, 2);
	assert_true(f.patient.waiting->look);
	answer(&f.patient, TAKE_ADMITTED);
	assert_int_equal(check_decision(check)->verdict, VERDICT_ALLOW);
	assert_int_equal(check_decision(check)->reservation.len, 0);
	check_release(check);
	check = start(&f, "job", CHECK_EXPLAIN, MODE_RESERVE);
	assert_true(f.patient.waiting->look);
	answer(&f.patient, TAKE_ADMITTED);
	assert_true(check_explanation(check)->looked);
	assert_true(check_explanation(check)->limits[1].fits);
	assert_false(check_explanation(check)->limits[1].unreserved);
	check_release(check);
	fixture_close(&f);
}

/* A peek with an id guesses first how such a tool's id was admitted. */
static void
test_peek_with_an_id(void **state)
{
	struct check_request r = request_of("job", "alice", 5);
	char reserved[LEDGER_PRINT_LEN + 1] = "";
	struct fixture f;

	(void)state;
	open_slots(&f);
	r.id = slice_str("x");
	for (int i = 0; i < 2; i++) {
		struct check *check;
		const struct slice *print;

		r.mode = i == 0 ? MODE_RESERVE : MODE_PEEK;
		check = check_start(f.engine, &r, on_any_done, &f);
		assert_non_null(check);
		print = &f.patient.waiting->ledger->print;
		if (i == 0)
			memcpy(reserved, print->ptr, LEDGER_PRINT_LEN);
		else
			assert_slice(*print, reserved);
		answer(&f.patient, TAKE_ADMITTED);
		check_release(check);
	}
	fixture_close(&f);
}

static void
test_explained(void **state)
{
	struct fixture f;
	struct check *check;
	const struct explanation *ex;

	(void)state;
	open_slots(&f);
	check = start(&f, "job", CHECK_EXPLAIN, MODE_ENFORCE);
	ex = check_explanation(check);
	assert_int_equal(ex->decided, STEP_LIMITS);
	assert_int_equal(ex->lacking, 1);
	assert_true(ex->limits[1].unreserved);
	assert_false(ex->limits[0].unreserved);
	assert_int_equal(check_decision(check)->cause, CAUSE_POLICY);
	check_release(check);
	check = start(&f, "watched", CHECK_EXPLAIN, MODE_ENFORCE);
	answer(&f.patient, TAKE_ADMITTED);
	ex = check_explanation(check);
	assert_int_equal(ex->decided, STEP_ALLOW);
	assert_true(ex->limits[1].unreserved);
	assert_true(ex->limits[1].missing);
	check_release(check);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enforce_is_denied),
		cmocka_unit_test(test_shadow_reports),
		cmocka_unit_test(test_reserve_takes_a_slot),
		cmocka_unit_test(test_looks_are_as_if_reserved),
		cmocka_unit_test(test_peek_with_an_id),
		cmocka_unit_test(test_explained),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
