/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "redis/fault.h"
#include "redis/url.h"

static void
test_good(void **state)
{
	static const struct {
		const char *text, *host, *port, *path, *user, *password, *shown;
		int db;
	} cases[] = {
		{ "redis://h", "h", "6379", "", "", "", "redis://h:6379/0", 0 },
		{ "redis://127.0.0.1:7000/3", "127.0.0.1", "7000", "", "", "",
		    "redis://127.0.0.1:7000/3", 3 },
		{ "redis://:s%40c%3a@h:1/0", "h", "1", "", "", "s@c:", "redis://h:1/0",
		    0 },
		{ "redis://bob:pw@[::1]:7000", "::1", "7000", "", "bob", "pw",
		    "redis://[::1]:7000/0", 0 },
		{ "redis://[::1]", "::1", "6379", "", "", "", "redis://[::1]:6379/0",
		    0 },
		{ "REDIS://h/", "h", "6379", "", "", "", "redis://h:6379/0", 0 },
		{ "redis+unix:///run/r.sock", "", "", "/run/r.sock", "", "",
		    "redis+unix:///run/r.sock?db=0", 0 },
		{ "redis+unix://u:p@/run/r.sock?db=2", "", "", "/run/r.sock", "u", "p",
		    "redis+unix:///run/r.sock?db=2", 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redis_url url;
		struct errinfo ei = { 0 };

		assert_int_equal(redis_url_parse(cases[i].text, &url, &ei), 0);
		assert_string_equal(url.hosts[0].host, cases[i].host);
		assert_string_equal(url.hosts[0].port, cases[i].port);
		assert_string_equal(url.hosts[0].path, cases[i].path);
		assert_string_equal(url.user, cases[i].user);
		assert_string_equal(url.password, cases[i].password);
		assert_string_equal(url.shown, cases[i].shown);
		assert_int_equal(url.db, cases[i].db);
	}
}

static void
test_many_hosts(void **state)
{
	struct redis_url url;
	struct errinfo ei = { 0 };

	(void)state;
	assert_int_equal(redis_url_parse("rediss+sentinel://u:p@a,[::1]:7,c:8/"
					 "my%20m?db=3&sentinel_password=s%26t",
			     &url, &ei),
	    0);
	assert_int_equal(url.kind, REDIS_SENTINEL);
	assert_true(url.tls);
	assert_int_equal(url.n_hosts, 3);
	assert_string_equal(url.hosts[0].text, "a:26379");
	assert_string_equal(url.hosts[1].host, "::1");
	assert_string_equal(url.hosts[2].port, "8");
	assert_string_equal(url.user, "u");
	assert_string_equal(url.password, "p");
	assert_string_equal(url.sentinel_password, "s&t");
	assert_string_equal(url.name, "my m");
	assert_int_equal(url.db, 3);
	assert_string_equal(
	    url.shown, "rediss+sentinel://a:26379,[::1]:7,c:8/my m?db=3");
	assert_int_equal(redis_url_parse("redis+cluster://:p@a,b:7", &url, &ei), 0);
	assert_int_equal(url.kind, REDIS_CLUSTER);
	assert_false(url.tls);
	assert_int_equal(url.n_hosts, 2);
	assert_string_equal(url.hosts[0].text, "a:6379");
	assert_string_equal(url.shown, "redis+cluster://a:6379,b:7");
	assert_int_equal(redis_url_parse("rediss://h", &url, &ei), 0);
	assert_true(url.tls);
	assert_string_equal(url.shown, "rediss://h:6379/0");
}

static void
test_bad(void **state)
{
	static const struct {
		const char *text;
		int code;
	} cases[] = {
		{ "", ERR_INVALID },
		{ "localhost:6379", ERR_INVALID },
		{ "redis://", ERR_INVALID },
		{ "redis://:@h", ERR_INVALID },
		{ "redis://user:hunter2/0", ERR_INVALID },
		{ "redis://user:hunter2", ERR_INVALID },
		{ "redis://:12345/0", ERR_INVALID },
		{ "redis://:h\x11\x12@h%1", ERR_INVALID },
		{ "redis://hunter2@h", ERR_INVALID },
		{ "redis://:hunter2%zz@h", ERR_INVALID },
		{ "redis://:hunter2%00@h", ERR_INVALID },
		{ "redis://h:99999", ERR_INVALID },
		{ "redis://h/x", ERR_INVALID },
		{ "redis://h/99999", ERR_INVALID },
		{ "redis+unix://relative", ERR_INVALID },
		{ "redis+unix:///p?x=1", ERR_INVALID },
		{ "redis+sentinel://h:1", ERR_INVALID },
		{ "redis+sentinel://h:1/", ERR_INVALID },
		{ "redis+sentinel://h:1/m?x=1", ERR_INVALID },
		{ "redis+sentinel://h:1/m?sentinel_user=u", ERR_INVALID },
		{ "redis+sentinel://h:1,,g/m", ERR_INVALID },
		{ "redis+sentinel://:hunter2@,h/m", ERR_INVALID },
		{ "redis+sentinel://h,u:hunter2@g/m", ERR_INVALID },
		{ "redis+cluster://h:1,u:hunter2@g:1", ERR_INVALID },
		{ "redis+cluster://u:hunter2@h:1,u:hunter2@g:1", ERR_INVALID },
		{ "redis+cluster://h:1/2", ERR_INVALID },
		{ "redis+cluster://", ERR_INVALID },
		{ "redis+cluster://h,", ERR_INVALID },
		{ "redis+cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
		    ERR_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redis_url url;
		struct errinfo ei = { 0 };

		assert_int_equal(
		    redis_url_parse(cases[i].text, &url, &ei), cases[i].code);
		assert_true(ei.text[0] != '\0');
		/* A password never reaches a message. */
		assert_null(strstr(ei.text, "hunter2"));
	}
}

static void
test_long_password(void **state)
{
	char text[1200] = "redis://:";
	struct redis_url url;
	struct errinfo ei = { 0 };

	(void)state;
	memset(text + 9, 'x', 1000);
	strcpy(text + 1009, "@h");
	assert_int_equal(redis_url_parse(text, &url, &ei), ERR_INVALID);
}

static void
test_faults(void **state)
{
	static const struct {
		const char *text;
		enum store_fault fault;
	} cases[] = {
		{ "LOADING Redis is loading the dataset in memory", FAULT_LOADING },
		{ "READONLY You can't write against a read only replica.",
		    FAULT_READONLY },
		{ "ERR Error running script: @user_script:7: -READONLY You can't",
		    FAULT_READONLY },
		{ "BUSY Redis is busy running a script.", FAULT_BUSY },
		{ "OOM command not allowed when used memory > 'maxmemory'.",
		    FAULT_MEMORY },
		{ "MISCONF Redis is configured to save RDB snapshots", FAULT_MISCONF },
		{ "NOAUTH Authentication required.", FAULT_CONFIG },
		{ "WRONGPASS invalid username-password pair", FAULT_CONFIG },
		{ "NOPERM this user has no permissions", FAULT_CONFIG },
		{ "ERR The user executing the script can't run this command or "
		  "subcommand",
		    FAULT_CONFIG },
		{ "The user executing the script can't run this command or subcommand",
		    FAULT_CONFIG },
		{ "NOREPLICAS Not enough good replicas to write.", FAULT_NOREPLICAS },
		{ "MASTERDOWN Link with MASTER is down", FAULT_MASTERDOWN },
		{ "CLUSTERDOWN Hash slot not served", FAULT_CLUSTER },
		{ "TRYAGAIN Multiple keys request during rehashing of slot",
		    FAULT_TRYAGAIN },
		{ "MOVED 3999 127.0.0.1:6381", FAULT_MOVED },
		{ "ASK 3999 127.0.0.1:6381", FAULT_MOVED },
		{ "CROSSSLOT Keys in request don't hash to the same slot",
		    FAULT_MOVED },
		{ "ERR max number of clients reached", FAULT_MAXCLIENTS },
		{ "WRONGTYPE Operation against a key", FAULT_WRONGTYPE },
		{ "ERR value is not an integer or out of range", FAULT_WRONGTYPE },
		{ "ERR something new", FAULT_OTHER },
		{ "", FAULT_OTHER },
		{ "TASKS are not ASKED", FAULT_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    redis_fault_of(slice_str(cases[i].text)), cases[i].fault);
	assert_true(redis_fault_is_noscript(slice_str("NOSCRIPT No matching script.")));
	assert_false(redis_fault_is_noscript(slice_str("ERR NOSCRIPT")));
	assert_false(redis_fault_is_noscript(slice_make(NULL, 0)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_many_hosts),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_long_password),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
