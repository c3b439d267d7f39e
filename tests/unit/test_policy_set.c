/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "policy/set.h"

static struct policy *
named(const char *name)
{
	return fixture_policy(name, "{\"version\": \"1\", \"default\": \"deny\"}");
}

static void
found(const struct policy_set *set, const char *asked, const char *name)
{
	const struct policy *policy = policy_set_find(set, slice_str(asked));

	if (!name) {
		assert_null(policy);
		return;
	}
	assert_non_null(policy);
	assert_string_equal(policy_name(policy), name);
}

static void
one_policy(void **state)
{
	struct policy *policies[] = { named("agents") };
	struct policy_set *set = policy_set_new(policies, 1, NULL);

	(void)state;
	assert_non_null(set);
	found(set, NULL, "agents");
	found(set, "agents", "agents");
	found(set, "default", NULL);
	assert_int_equal(policy_set_count(set), 1);
	policy_set_unref(set);
}

static void
several_policies(void **state)
{
	struct policy *policies[] = { named("b"), named("a"), named("c") };
	struct policy_set *set = policy_set_new(policies, 3, NULL);

	(void)state;
	assert_non_null(set);
	found(set, NULL, NULL);
	found(set, "a", "a");
	found(set, "c", "c");
	found(set, "d", NULL);
	assert_int_equal(policy_set_count(set), 3);
	assert_string_equal(policy_name(policy_set_at(set, 0)), "b");
	assert_string_equal(policy_name(policy_set_at(set, 2)), "c");
	policy_set_unref(set);
}

static void
default_policy(void **state)
{
	struct policy *policies[] = { named("b"), named("default") };
	struct policy_set *set = policy_set_new(policies, 2, NULL);

	(void)state;
	assert_non_null(set);
	found(set, NULL, "default");
	found(set, "b", "b");
	policy_set_unref(set);
}

/* The set owned them all the same: a leak or a double free would show here. */
static void
same_name_twice(void **state)
{
	struct policy *policies[] = { named("a"), named("b"), named("a") };
	struct errinfo ei;

	(void)state;
	assert_null(policy_set_new(policies, 3, &ei));
	assert_int_equal(ei.code, ERR_INVALID);
	assert_string_equal(ei.text, "two policies are named \"a\"");
}

static void
references(void **state)
{
	struct policy *policies[] = { named("a") };
	struct policy_set *set = policy_set_new(policies, 1, NULL);

	(void)state;
	assert_ptr_equal(policy_set_ref(set), set);
	policy_set_unref(set);
	found(set, "a", "a");
	policy_set_unref(set);
	policy_set_unref(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_policy),
		cmocka_unit_test(several_policies),
		cmocka_unit_test(default_policy),
		cmocka_unit_test(same_name_twice),
		cmocka_unit_test(references),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
