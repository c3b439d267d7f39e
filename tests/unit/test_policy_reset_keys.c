/* SPDX-License-Identifier: ISC */
/* Which counters an operator's reset means. */
#include "policy_fixture.h"

#include "policy/reset_keys.h"

static const char text[] =
    "{ \"version\": \"1\", \"default\": \"allow\","
    "  \"all_tools\": { \"limits\": ["
    "    { \"counter\": \"calls\", \"window\": \"minute\", \"max\": 5 },"
    "    { \"counter\": \"everybody\", \"window\": \"day\", \"max\": 9,"
    "      \"scope\": \"global\" } ] },"
    "  \"tools\": {"
    "    \"a\": { \"limits\": ["
    "      { \"counter\": \"shared\", \"window\": \"hour\", \"max\": 5 },"
    "      { \"counter\": \"odd name\", \"window\": \"90s\", \"max\": 5,"
    "        \"algorithm\": \"sliding\", \"mode\": \"shadow\" },"
    "      { \"counter\": \"team\", \"window\": \"hour\", \"max\": 5,"
    "        \"scope\": [\"team\", \"grant\"] } ] },"
    "    \"c\": { \"limits\": ["
    "      { \"counter\": \"long\", \"window\": \"30d\", \"max\": 5,"
    "        \"scope\": \"org\" },"
    "      { \"counter\": \"billed\", \"window\": \"24h\", \"max\": 5,"
    "        \"timezone\": \"Europe/Berlin\", \"algorithm\": \"sliding\","
    "        \"scope\": \"org\" },"
    "      { \"counter\": \"runs\", \"algorithm\": \"concurrency\", \"max\": 5,"
    "        \"scope\": \"org\" } ] },"
    "    \"b\": { \"limits\": ["
    "      { \"counter\": \"shared\", \"window\": \"hour\", \"max\": 7 },"
    "      { \"counter\": \"seats\", \"window\": \"hour\", \"max\": 7,"
    "        \"scope\": \"session\" } ],"
    "      \"rate_limit\": { \"max\": 2, \"window\": 60 } } } }";

struct searched {
	struct policy *policy;
	struct reset_keys keys;
	struct errinfo ei;
};

static int
find_max(struct searched *f, const char *counter, const char *window, const char *scope,
    size_t max)
{
	struct reset_wanted wanted = { slice_str(counter), slice_str(window),
		slice_str(scope) };

	reset_keys_fini(&f->keys);
	memset(&f->ei, 0, sizeof(f->ei));
	return reset_keys_find(f->policy, &wanted, max, &f->keys, &f->ei);
}

static int
find(struct searched *f, const char *counter, const char *window, const char *scope)
{
	return find_max(f, counter, window, scope, 1000);
}

static int
setup(void **state)
{
	struct searched *f = calloc(1, sizeof(*f));
	struct errlist errors;

	f->policy = policy_parse("shop", "shop", text, strlen(text), NULL, &errors);
	if (!f->policy)
		print_message("%s\n", errors.items[0].text);
	assert_non_null(f->policy);
	errlist_fini(&errors);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct searched *f = *state;

	reset_keys_fini(&f->keys);
	policy_free(f->policy);
	free(f);
	return 0;
}

/* The keys, in any order. */
static void
expect(const struct searched *f, const char *const *want)
{
	size_t n = 0;

	for (; want[n]; n++) {
		size_t i = 0;

		while (i < f->keys.n && !slice_eq_str(f->keys.items[i], want[n]))
			i++;
		if (i == f->keys.n)
			fail_msg("%s is not among the keys", want[n]);
	}
	assert_int_equal(f->keys.n, n);
}

#define KEYS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define ALICE "ration:shop:{grant=alice}:"
#define ORG "ration:shop:{org=o}:"

static void
test_one_counter(void **state)
{
	struct searched *f = *state;

	assert_int_equal(find(f, "shared", "hour", "grant=alice"), 0);
	expect(f, KEYS(ALICE "shared:hour"));
	assert_int_equal(find(f, "odd name", "90s.sliding", "grant=alice"), 0);
	expect(f, KEYS(ALICE "odd%20name:90s.sliding"));
	assert_int_equal(find(f, "everybody", "day", "global"), 0);
	expect(f, KEYS("ration:shop:{global}:everybody:day"));
	assert_int_equal(find(f, "seats", "hour", "session=s1"), 0);
	expect(f, KEYS("ration:shop:{session=s1}:seats:hour"));
}

/* Whatever the spelling of the policy, a window is meant in each that it takes. */
static void
test_windows_as_policies_have_them(void **state)
{
	static const struct {
		const char *counter;
		const char *windows[8];
		const char *scope, *key;
	} rows[] = {
		{ "shared", { "hour", "1h", "60m", "3600s", "3600" }, "grant=alice",
		    ALICE "shared:hour" },
		{ "odd name", { "90s.sliding", "90.sliding" }, "grant=alice",
		    ALICE "odd%20name:90s.sliding" },
		{ "long", { "30d", "720h", "2592000s", "2592000" }, "org=o",
		    ORG "long:2592000s" },
		{ "billed",
		    { "day@Europe%2FBerlin.sliding", "24h@Europe%2FBerlin.sliding",
			"86400@Europe%2FBerlin.sliding" },
		    "org=o", ORG "billed:day@Europe%2FBerlin.sliding" },
		{ "runs", { "slots" }, "org=o", ORG "runs:slots" },
	};
	struct searched *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t k = 0; rows[i].windows[k]; k++) {
			const char *window = rows[i].windows[k];

			if (find(f, rows[i].counter, window, rows[i].scope) != 0)
				fail_msg("%s: %s", window, f->ei.text);
			expect(f, KEYS(rows[i].key));
		}
}

static void
test_windows_that_none_has(void **state)
{
	static const char *const windows[] = { "0", "-3600", "+3600", "03600", "03600s",
		"3600 ", " 3600", "3600.0", "1.h", "hou", "hour.", "hours", "HOUR",
		"1H", "hour@", "hour+1", "hour.sliding", "60", "3601",
		"99999999999999999999", "9999999999999d", ".", "@", "+", ".hour",
		"slots", "hour\n" };
	struct searched *f = *state;

	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
		if (find(f, "shared", windows[i], "grant=alice") != ERR_NOTFOUND)
			fail_msg("\"%s\" was found", windows[i]);
	assert_int_equal(find(f, "runs", "1s", "org=o"), ERR_NOTFOUND);
	assert_int_equal(find(f, "odd name", "90", "team=a"), ERR_NOTFOUND);
	assert_int_equal(find(f, "odd name", "90s.", "grant=alice"), ERR_NOTFOUND);
	assert_int_equal(
	    find(f, "odd name", "90s.bucket", "grant=alice"), ERR_NOTFOUND);
	assert_int_equal(
	    find(f, "billed", "day@Europe%2FBerlin", "org=o"), ERR_NOTFOUND);
	assert_int_equal(find(f, "runs", "slot", "org=o"), ERR_NOTFOUND);
}

/* What answers call the window: nothing of the algorithm, the zone and the anchor. */
static void
test_windows_as_answers_have_them(void **state)
{
	static const char both[] =
	    "{ \"version\": \"1\", \"default\": \"deny\", \"tools\": {"
	    "  \"a\": { \"limits\": [ { \"counter\": \"c\", \"window\": \"day\","
	    "    \"max\": 5 } ] },"
	    "  \"b\": { \"limits\": [ { \"counter\": \"c\", \"window\": \"day\","
	    "    \"max\": 5, \"timezone\": \"UTC\" },"
	    "    { \"counter\": \"d\", \"window\": \"day\", \"max\": 5,"
	    "      \"timezone\": \"UTC\" } ] },"
	    "  \"c\": { \"limits\": [ { \"counter\": \"d\", \"window\": \"day\","
	    "    \"max\": 5, \"algorithm\": \"token_bucket\" } ] } } }";
	struct searched *f = *state;
	struct errlist errors;

	assert_int_equal(find(f, "odd name", "90s", "grant=alice"), 0);
	expect(f, KEYS(ALICE "odd%20name:90s.sliding"));
	assert_int_equal(find(f, "billed", "86400", "org=o"), 0);
	expect(f, KEYS(ORG "billed:day@Europe%2FBerlin.sliding"));
	policy_free(f->policy);
	f->policy = policy_parse("shop", "shop", both, strlen(both), NULL, &errors);
	errlist_fini(&errors);
	/* One whose key says just this is meant alone. */
	assert_int_equal(find(f, "c", "day", "grant=alice"), 0);
	expect(f, KEYS(ALICE "c:day"));
	assert_int_equal(find(f, "d", "day", "grant=alice"), 0);
	expect(f, KEYS(ALICE "d:day@UTC", ALICE "d:day.bucket"));
}

static void
test_all_of_a_scope_value(void **state)
{
	struct searched *f = *state;

	assert_int_equal(find(f, "", "", "grant=alice"), 0);
	expect(f,
	    KEYS(ALICE "shared:hour", ALICE "odd%20name:90s.sliding",
		ALICE "calls:minute", ALICE "b_rate_limit:minute"));
	/* A session's: what counts by the grant is not among them. */
	assert_int_equal(find(f, "", "", "session=s1"), 0);
	expect(f,
	    KEYS("ration:shop:{session=s1}:seats:hour",
		"ration:shop:{session=s1}:b_rate_limit:minute"));
	assert_int_equal(find(f, "", "", "global"), 0);
	expect(f, KEYS("ration:shop:{global}:everybody:day"));
	assert_int_equal(find(f, "", "hour", "grant=alice"), 0);
	expect(f, KEYS(ALICE "shared:hour"));
}

static void
test_scopes_of_several_names(void **state)
{
	struct searched *f = *state;
	const char *key = "ration:shop:{grant=a%26b&team=x%3Dy}:team:hour";

	assert_int_equal(find(f, "team", "hour", "grant=a%26b&team=x%3dy"), 0);
	expect(f, KEYS(key));
	assert_int_equal(find(f, "team", "hour", "team=%78%3Dy&gr%61nt=a%26b"), 0);
	expect(f, KEYS(key));
	/* An attribute may be empty, a grant may not. */
	assert_int_equal(find(f, "team", "hour", "grant=a&team="), 0);
	expect(f, KEYS("ration:shop:{grant=a&team=}:team:hour"));
}

static void
test_scopes_that_cannot_be_read(void **state)
{
	static const char *const bad[] = { "", "alice", "&", "grant=a&", "&grant=a",
		"grant=", "session=", "=a", "grant=a=b", "grant=%4", "grant=%zz",
		"grant=%", "%=a", "grant=a&grant=a", "team=a&team=b",
		"session=a&session=b", "global=a", "tool=a", "policy=p", "grant=%00",
		"grant=%ff", "team=%00", "global&grant=a",
		"a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9" };
	struct searched *f = *state;
	char long_value[CALL_NAME_MAX + 16] = "grant=";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (find(f, "", "", bad[i]) != ERR_INVALID)
			fail_msg("\"%s\" was read", bad[i]);
		assert_string_not_equal(f->ei.text, "");
	}
	memset(long_value + 6, 'x', CALL_NAME_MAX + 1);
	assert_int_equal(find(f, "", "", long_value), ERR_INVALID);
	long_value[6 + CALL_NAME_MAX] = '\0';
	assert_int_equal(find(f, "", "", long_value), 0);
}

static void
test_names_what_there_is(void **state)
{
	struct searched *f = *state;

	assert_int_equal(find(f, "share", "hour", "grant=a"), ERR_NOTFOUND);
	assert_string_equal(f->ei.text,
	    "the policy has no such counter and window; those of this scope are "
	    "\"shared\" hour, \"odd name\" 90s.sliding, \"b_rate_limit\" minute, "
	    "\"calls\" minute");
	/* The name is right, the window, or the scope, is another. */
	assert_int_equal(find(f, "shared", "minute", "grant=a"), ERR_NOTFOUND);
	assert_int_equal(find(f, "shared", "hour", "global"), ERR_NOTFOUND);
	assert_string_equal(f->ei.text,
	    "the policy has no such counter and window; those of this scope are "
	    "\"everybody\" day");
	assert_int_equal(find(f, "", "", "team=a"), ERR_NOTFOUND);
	assert_string_equal(f->ei.text,
	    "no limit of the policy counts by this scope; its scopes are grant, "
	    "grant&team, org, session, session or grant, global");
}

static void
test_too_many(void **state)
{
	struct searched *f = *state;

	assert_int_equal(find_max(f, "", "", "grant=a", 4), 0);
	assert_int_equal(find_max(f, "", "", "grant=a", 3), ERR_TOOBIG);
	assert_int_equal(find_max(f, "calls", "minute", "grant=a", 1), 0);
}

static void
test_no_limits(void **state)
{
	static const char open[] = "{ \"version\": \"1\", \"default\": \"allow\" }";
	struct searched *f = *state;
	struct errlist errors;

	policy_free(f->policy);
	f->policy = policy_parse("shop", "shop", open, strlen(open), NULL, &errors);
	errlist_fini(&errors);
	assert_int_equal(find(f, "", "", "grant=a"), ERR_NOTFOUND);
	assert_string_equal(f->ei.text, "the policy has no limits");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_counter),
		TEST(test_windows_as_policies_have_them),
		TEST(test_windows_that_none_has),
		TEST(test_windows_as_answers_have_them),
		TEST(test_all_of_a_scope_value),
		TEST(test_scopes_of_several_names),
		TEST(test_scopes_that_cannot_be_read),
		TEST(test_names_what_there_is),
		TEST(test_too_many),
		TEST(test_no_limits),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
