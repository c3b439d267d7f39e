/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "policy/suggest.h"

static int
distance(const char *typed, const char *known)
{
	return suggest_distance(slice_str(typed), known);
}

static void
near_names(void **state)
{
	(void)state;
	assert_int_equal(distance("limits", "limits"), 0);
	assert_int_equal(distance("Limits", "limits"), 0);
	assert_int_equal(distance("on-deny", "on_deny"), 0);
	assert_int_equal(distance("limit", "limits"), 1);
	assert_int_equal(distance("lmitz", "limits"), 2);
	assert_int_equal(distance("limtis", "limits"), 1);
	assert_int_equal(distance("rateLimit", "rate_limit"), 1);
	assert_int_equal(distance("max", "max"), 0);
	assert_true(distance("desc", "description") < SUGGEST_FAR);
	assert_true(distance("maximum", "max") < SUGGEST_FAR);
}

static void
far_names(void **state)
{
	(void)state;
	assert_int_equal(distance("", "max"), SUGGEST_FAR);
	assert_int_equal(distance("per", "max"), SUGGEST_FAR);
	assert_int_equal(distance("ma", "description"), SUGGEST_FAR);
	assert_int_equal(distance("owner", "counter"), SUGGEST_FAR);
	assert_int_equal(
	    distance("limits_that_go_on_and_on_and_on_and_on_and_on", "limits"),
	    SUGGEST_FAR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(near_names),
		cmocka_unit_test(far_names),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
