/* SPDX-License-Identifier: ISC */
/* The life of checks: what they keep, when they end, what they cost. */
#include "check_fixture.h"

/* Linked with --wrap: every allocation of the rooms passes through here. */
static size_t n_allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

void *
__wrap_malloc(size_t size)
{
	n_allocations++;
	return __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	n_allocations++;
	return __real_calloc(n, size);
}

void *
__wrap_realloc(void *ptr, size_t size)
{
	n_allocations++;
	return __real_realloc(ptr, size);
}

static void
test_request_may_die_at_once(void **state)
{
	struct fixture f;
	struct check *check;
	char tool[] = "charge";
	char grant[] = "alice";

	(void)state;
	fixture_open(&f, &f.patient.store);
	check = start_check(&f, tool, grant, 1);
	memset(tool, 'x', strlen(tool));
	memset(grant, 'x', strlen(grant));
	assert_false(check_is_done(check));
	assert_int_equal(check_engine_pending(f.engine), 1);
	assert_slice(f.patient.waiting->charges[0].key,
	    "ration:shop:{grant=alice}:charges:minute");
	assert_slice(
	    f.patient.waiting->charges[1].key, "ration:shop:{grant=alice}:calls:hour");
	answer(&f.patient, TAKE_FAILED);
	assert_true(check_is_done(check));
	assert_slice(check_decision(check)->tool, "charge");
	assert_slice(check_decision(check)->grant, "alice");
	assert_slice(check_decision(check)->message,
	    "the store is unavailable: the store reported an error (ERR it broke)");
	check_release(check);
	fixture_close(&f);
}

static void
test_deadline_is_the_callers(void **state)
{
	static const struct {
		int64_t timeout_ms;
		int64_t want_ms;
	} cases[] = { { 0, 50 }, { 20, 20 }, { 49, 49 }, { 50, 50 }, { 51, 51 },
		{ 60000, 60000 } };
	struct fixture f;

	(void)state;
	fixture_open(&f, &f.patient.store);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct check_request r = request_of("charge", "alice", 1);
		int64_t before = clock_mono_us();
		struct check *check;

		r.timeout_ms = cases[i].timeout_ms;
		check = check_start(f.engine, &r, on_done, &f);
		assert_in_range(check_started_us(check), before, clock_mono_us());
		assert_int_equal(f.patient.waiting->deadline_us,
		    check_started_us(check) + cases[i].want_ms * 1000);
		answer(&f.patient, TAKE_ADMITTED);
		check_release(check);
	}
	fixture_close(&f);
}

static void
test_released_early(void **state)
{
	struct fixture f;
	struct check *check;

	(void)state;
	fixture_open(&f, &f.patient.store);
	check = start_check(&f, "charge", "alice", 1);
	check_release(check);
	assert_int_equal(check_engine_pending(f.engine), 1);
	answer(&f.patient, TAKE_ADMITTED);
	assert_int_equal(f.done, 0);
	assert_int_equal(f.observed, 1);
	assert_int_equal(check_engine_pending(f.engine), 0);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_ALLOW), 1);
	fixture_close(&f);
}

/* A check under way, and one decided but not released, keep the policies that they
 * began with; the sanitizer would see a use after the free. */
static void
test_policies_swapped_under_checks(void **state)
{
	struct fixture f;
	struct policy_set *set;
	struct check *waiting;
	struct check *decided;

	(void)state;
	fixture_open(&f, &f.patient.store);
	decided = start_check(&f, "stop", "alice", 1);
	waiting = start_check(&f, "charge", "alice", 1);
	for (int i = 0; i < 3; i++) {
		set = set_of(parse("open", open_text), NULL);
		check_engine_set_policies(f.engine, set);
		policy_set_unref(set);
	}
	check_release(start_check(&f, "charge", "alice", 1));
	answer(&f.patient, TAKE_REFUSED);
	assert_slice(check_decision(waiting)->message, "slow down");
	assert_slice(check_decision(waiting)->policy, "shop");
	assert_slice(check_decision(decided)->message, "not by an agent");
	check_release(waiting);
	check_release(decided);
	fixture_close(&f);
}

/* Releases inside its own callback, and starts the next there. */
static void
on_done_again(struct check *check, void *arg)
{
	struct fixture *f = arg;

	check_release(check);
	f->done++;
	if (f->done < 5) {
		struct check_request r = request_of("charge", "alice", 1);

		assert_non_null(check_start(f->engine, &r, on_done_again, f));
	}
}

static void
test_release_and_start_inside_done(void **state)
{
	struct fixture f;
	struct check_request r = request_of("charge", "alice", 1);

	(void)state;
	fixture_open(&f, NULL);
	assert_non_null(check_start(f.engine, &r, on_done_again, &f));
	assert_int_equal(f.done, 5);
	assert_int_equal(f.observed, 5);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_ALLOW), 3);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_DENY_LIMIT), 2);
	fixture_close(&f);
}

static void
run_round(struct fixture *f, int n)
{
	static const char *const tools[] = { "charge", "stop", "big", "secret" };
	struct check *open_checks[8];

	for (int i = 0; i < n; i++) {
		for (int k = 0; k < 8; k++)
			open_checks[k] = start_check(f, tools[(i + k) % 4], "alice", 1);
		for (int k = 0; k < 8; k++)
			check_release(open_checks[k]);
	}
}

static void
test_steady_state_allocates_nothing(void **state)
{
	struct fixture f;
	size_t before;

	(void)state;
	fixture_open(&f, NULL);
	run_round(&f, 10);
	before = n_allocations;
	assert_true(before > 0);
	run_round(&f, 10000 / 8);
	assert_int_equal(n_allocations, before);
	fixture_close(&f);
}

static void
test_many_checks_at_once(void **state)
{
	enum { MANY = 5000 };
	struct check **all = calloc(MANY, sizeof(struct check *));
	struct fixture f;

	(void)state;
	fixture_open(&f, NULL);
	for (int i = 0; i < MANY; i++)
		all[i] = start_check(&f, "charge", "alice", 0);
	for (int i = 0; i < MANY; i++) {
		assert_slice(check_decision(all[i])->tool, "charge");
		check_release(all[i]);
	}
	free(all);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_may_die_at_once),
		cmocka_unit_test(test_deadline_is_the_callers),
		cmocka_unit_test(test_released_early),
		cmocka_unit_test(test_policies_swapped_under_checks),
		cmocka_unit_test(test_release_and_start_inside_done),
		cmocka_unit_test(test_steady_state_allocates_nothing),
		cmocka_unit_test(test_many_checks_at_once),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
