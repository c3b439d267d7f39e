/* SPDX-License-Identifier: ISC */
/* Shadow limits and stores that fail: what a check does with what cannot be counted. */
#include "check_fixture.h"

static const char shadow_text[] =
    "{ \"version\": \"1\", \"default\": \"allow\","
    "  \"tools\": {"
    "    \"both\": { \"limits\": ["
    "      { \"counter\": \"s\", \"window\": \"minute\", \"max\": 1,"
    "        \"mode\": \"shadow\", \"scope\": \"org\" },"
    "      { \"counter\": \"e\", \"window\": \"minute\", \"max\": 2 },"
    "      { \"counter\": \"z\", \"window\": \"hour\", \"max\": 1,"
    "        \"mode\": \"shadow\" } ] },"
    "    \"only\": { \"limits\": ["
    "      { \"counter\": \"o\", \"window\": \"minute\", \"max\": 0,"
    "        \"mode\": \"shadow\" } ] },"
    "    \"org\": { \"limits\": ["
    "      { \"counter\": \"p\", \"window\": \"minute\", \"max\": 3,"
    "        \"mode\": \"shadow\", \"scope\": \"org\" } ] } } }";

static const char failing_text[] =
    "{ \"version\": \"1\", \"default\": \"allow\", \"on_store_failure\": \"allow\","
    "  \"tools\": {"
    "    \"open\": { \"limits\": ["
    "      { \"counter\": \"a\", \"window\": \"minute\", \"max\": 1,"
    "        \"overrides\": { \"alice\": 2 } } ] },"
    "    \"shut\": { \"limits\": ["
    "      { \"counter\": \"b\", \"window\": \"minute\", \"max\": 1,"
    "        \"on_store_failure\": \"deny\" } ] },"
    "    \"mixed\": { \"limits\": ["
    "      { \"counter\": \"c\", \"window\": \"minute\", \"max\": 1 },"
    "      { \"counter\": \"s\", \"window\": \"minute\", \"max\": 1,"
    "        \"mode\": \"shadow\", \"on_store_failure\": \"deny\" },"
    "      { \"counter\": \"d\", \"window\": \"minute\", \"max\": 1,"
    "        \"on_store_failure\": \"deny\" },"
    "      { \"counter\": \"e\", \"window\": \"minute\", \"max\": 1,"
    "        \"on_store_failure\": \"deny\" } ] },"
    "    \"rate\": { \"rate_limit\": { \"max\": 1, \"window\": 60 } },"
    "    \"shadow\": { \"limits\": ["
    "      { \"counter\": \"t\", \"window\": \"minute\", \"max\": 1,"
    "        \"mode\": \"shadow\", \"on_store_failure\": \"deny\" } ] } } }";

static void
use_policy(struct fixture *f, const char *text)
{
	struct policy_set *set = set_of(parse("test", text), NULL);

	check_engine_set_policies(f->engine, set);
	policy_set_unref(set);
}

/* --- shadow limits ---------------------------------------------------------------- */

static void
test_reported_in_policy_order(void **state)
{
	struct call_attribute org = { slice_str("org"), slice_str("acme") };
	struct fixture f;
	struct check_request r = request_of("both", "alice", 1);
	struct check *check;
	const struct decision *d;

	(void)state;
	fixture_open(&f, NULL);
	use_policy(&f, shadow_text);
	r.call.attributes = &org;
	r.call.n_attributes = 1;
	for (int i = 1; i <= 2; i++) {
		check = check_start(f.engine, &r, on_done, &f);
		d = check_decision(check);
		assert_int_equal(d->verdict, VERDICT_ALLOW);
		assert_int_equal(d->n_limits, 3);
		assert_string_equal(d->limits[0].limit->counter, "s");
		assert_string_equal(d->limits[0].scope, "org");
		assert_string_equal(d->limits[1].limit->counter, "e");
		assert_string_equal(d->limits[2].limit->counter, "z");
		assert_int_equal(d->tightest, 1);
		for (int k = 0; k < 3; k++) {
			assert_int_equal(d->limits[k].outcome.used, i);
			assert_int_equal(d->limits[k].would_deny, k != 1 && i == 2);
		}
		check_release(check);
	}
	check = check_start(f.engine, &r, on_done, &f);
	d = check_decision(check);
	assert_slice(d->rule, "/tools/both/limits/e");
	assert_int_equal(d->tightest, 1);
	assert_int_equal(d->limits[0].outcome.used, 2);
	assert_int_equal(d->limits[2].outcome.retry_after_ms, 3600000);
	assert_false(d->limits[1].would_deny);
	check_release(check);
	fixture_close(&f);
}

/* A take has enforced charges first, and none that could not be made. */
static void
test_what_the_store_is_asked(void **state)
{
	struct fixture f;
	struct check *check;
	const struct take *take;

	(void)state;
	fixture_open(&f, &f.patient.store);
	use_policy(&f, shadow_text);
	check = start_check(&f, "both", "alice", 1);
	take = f.patient.waiting;
	assert_int_equal(take->n, 2);
	assert_slice(take->charges[0].key, "ration:test:{grant=alice}:e:minute");
	assert_false(take->charges[0].shadow);
	assert_slice(take->charges[1].key, "ration:test:{grant=alice}:z:hour");
	assert_true(take->charges[1].shadow);
	answer(&f.patient, TAKE_ADMITTED);
	assert_true(check_decision(check)->limits[0].would_deny);
	assert_int_equal(check_decision(check)->limits[0].outcome.used, 0);
	assert_int_equal(check_decision(check)->limits[0].outcome.reset_ms, -1);
	assert_int_equal(check_decision(check)->limits[1].outcome.used, 1);
	check_release(check);
	/* Nothing to ask: decided before check_start() returns. */
	check = start_check(&f, "org", "alice", 1);
	assert_null(f.patient.waiting);
	assert_true(check_is_done(check));
	assert_int_equal(check_decision(check)->verdict, VERDICT_ALLOW);
	assert_int_equal(check_decision(check)->tightest, DECISION_NO_LIMIT);
	assert_int_equal(check_decision(check)->n_limits, 1);
	assert_true(check_decision(check)->limits[0].would_deny);
	assert_int_equal(check_decision(check)->limits[0].outcome.remaining, 3);
	check_release(check);
	fixture_close(&f);
}

static void
test_full_store_is_no_reason(void **state)
{
	struct memory_options mo = { 1, fixture_now_us, NULL };
	struct fixture f;
	struct metric_cells *cells = calloc(1, sizeof(*cells));
	struct memory *memory;
	struct store *store;
	struct check *check;
	const struct decision *d;

	(void)state;
	mo.now_arg = &f;
	memory = memory_new(&mo);
	store = memory_store_new(memory, cells);
	fixture_open(&f, store);
	use_policy(&f, shadow_text);
	check = start_check(&f, "both", "alice", 1);
	d = check_decision(check);
	assert_int_equal(d->verdict, VERDICT_ALLOW);
	assert_false(d->degraded);
	assert_int_equal(d->limits[1].outcome.used, 1);
	assert_int_equal(d->limits[2].outcome.used, 0);
	assert_true(d->limits[2].would_deny);
	assert_int_equal(d->limits[2].outcome.retry_after_ms, -1);
	assert_int_equal(memory_count(memory), 1);
	check_release(check);
	fixture_close(&f);
	store->cells = cells;
	store_close(store);
	memory_free(memory);
	free(cells);
}

/* --- the store fails -------------------------------------------------------------- */

struct failing {
	struct fixture f;
	struct metric_cells *cells;
	struct store *store;
};

static void
failing_open(struct failing *x, enum store_fault fault, const char *text)
{
	x->cells = calloc(1, sizeof(*x->cells));
	x->store = failing_store_new(fault, x->cells);
	fixture_open(&x->f, x->store);
	use_policy(&x->f, text);
}

static void
failing_close(struct failing *x)
{
	fixture_close(&x->f);
	store_close(x->store);
	free(x->cells);
}

/* `rule` NULL: it is allowed. */
static void
assert_degraded(struct failing *x, const char *tool, const char *rule)
{
	struct check *check = start_check(&x->f, tool, "alice", 1);
	const struct decision *d = check_decision(check);

	assert_int_equal(d->verdict, rule ? VERDICT_DENY : VERDICT_ALLOW);
	assert_int_equal(d->cause, rule ? CAUSE_STORE : CAUSE_ALLOWED);
	assert_slice(d->rule, rule ? rule : "");
	assert_int_equal(d->message.len > 0, rule != NULL);
	assert_true(d->degraded);
	assert_int_equal(d->n_limits, 0);
	assert_int_equal(d->tightest, DECISION_NO_LIMIT);
	check_release(check);
}

static void
test_strictest_decides(void **state)
{
	struct failing x;
	struct check *check;

	(void)state;
	failing_open(&x, FAULT_DISCONNECTED, failing_text);
	assert_degraded(&x, "open", NULL);
	assert_degraded(&x, "rate", NULL);
	assert_degraded(&x, "shut", "/tools/shut/limits/b");
	assert_degraded(&x, "mixed", "/tools/mixed/limits/d");
	assert_degraded(&x, "shadow", NULL);
	check = start_check(&x.f, "unlimited", "alice", 1);
	assert_false(check_decision(check)->degraded);
	check_release(check);
	assert_int_equal(metric_get(x.f.cells, METRIC_DEGRADED_ALLOW), 3);
	assert_int_equal(metric_get(x.f.cells, METRIC_DEGRADED_DENY), 2);
	assert_int_equal(metric_get(x.f.cells, METRIC_CHECKS_ALLOW), 4);
	assert_int_equal(metric_get(x.f.cells, METRIC_CHECKS_DENY_STORE), 2);
	failing_close(&x);
}

/* All faults but one are a store that cannot be asked. */
static void
test_which_faults_let_through(void **state)
{
	(void)state;
	for (int fault = FAULT_NONE + 1; fault < FAULT_COUNT; fault++) {
		struct failing x;

		failing_open(&x, (enum store_fault)fault, failing_text);
		assert_degraded(&x, "open",
		    fault == FAULT_WRONGTYPE ? "/tools/open/limits/a" : NULL);
		assert_degraded(&x, "mixed",
		    fault == FAULT_WRONGTYPE ? "/tools/mixed/limits/c"
					     : "/tools/mixed/limits/d");
		failing_close(&x);
	}
}

/* Where neither limit nor document says it, the daemon does. */
static void
test_default_of_the_daemon(void **state)
{
	static const enum store_failure answers[] = { STORE_FAILURE_UNSAID,
		STORE_FAILURE_DENY, STORE_FAILURE_ALLOW };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct failing x;
		struct check_options co = { .deadline_ms = 50,
			.on_store_failure = answers[i] };
		struct policy_set *set;

		failing_open(&x, FAULT_TIMEOUT, policy_text);
		set = policy_set_ref(check_engine_policies(x.f.engine));
		check_engine_free(x.f.engine);
		co.store = x.store;
		co.cells = x.f.cells;
		co.keep = on_keep;
		co.observe = on_observe;
		co.observe_arg = &x.f;
		co.keep = on_keep;
		x.f.engine = check_engine_new(&co, set);
		policy_set_unref(set);
		assert_degraded(&x, "charge",
		    answers[i] == STORE_FAILURE_ALLOW ? NULL
						      : "/tools/charge/limits/charges");
		use_policy(&x.f, failing_text);
		assert_degraded(&x, "open", NULL);
		assert_degraded(&x, "shut", "/tools/shut/limits/b");
		failing_close(&x);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reported_in_policy_order),
		cmocka_unit_test(test_what_the_store_is_asked),
		cmocka_unit_test(test_full_store_is_no_reason),
		cmocka_unit_test(test_strictest_decides),
		cmocka_unit_test(test_which_faults_let_through),
		cmocka_unit_test(test_default_of_the_daemon),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
