/* SPDX-License-Identifier: ISC */
/* Who is the master by what Sentinels say, against some that say what the test wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "redis/sentinel_reply.h"
#include "sentinel_peers.h"

static void
test_found(void **state)
{
	(void)state;
	follow(1, NULL);
	assert_int_equal(here.n_moves, 0);
	WAIT_FOR(here.n_moves);
	assert_string_equal(here.master, "10.0.0.1:6379");
	turns(20);
	assert_string_equal(peers[0].heard,
	    "SENTINEL MYID\nSENTINEL MASTER m\nSENTINEL GET-MASTER-ADDR-BY-NAME m\n"
	    "SENTINEL SENTINELS m\n"
	    "SUBSCRIBE +failover-state-wait-promotion +promoted-slave "
	    "+switch-master\n");
	assert_int_equal(here.n_moves, 1);
	assert_int_equal(heard(), 1);
	assert_int_equal(metric_get(&cells, METRIC_STORE_MASTER_CHANGES), 0);
}

static void
test_who_we_are(void **state)
{
	(void)state;
	follow(1, "?sentinel_user=u&sentinel_password=p%20w");
	WAIT_FOR(here.n_moves);
	assert_ptr_equal(strstr(peers[0].heard, "AUTH u p w\n"), peers[0].heard);
}

static void
test_other_spellings(void **state)
{
	(void)state;
	peers[0].host = "2001:db8::1";
	follow(1, NULL);
	WAIT_FOR(here.n_moves);
	assert_string_equal(here.master, "[2001:db8::1]:6379");
	name(&peers[0], "redis-0.redis.svc", 1);
	announce(&peers[0], "+switch-master", "m 1 2 3 4");
	WAIT_FOR(here.n_moves == 2);
	assert_string_equal(here.master, "redis-0.redis.svc:6379");
}

static void
test_a_switch(void **state)
{
	(void)state;
	follow(3, NULL);
	WAIT_FOR(heard() == 3);
	turns(20);
	name(&peers[1], "10.0.0.2", 1);
	announce(&peers[1], "+switch-master", "m 10.0.0.1 6379 10.0.0.2 6379");
	WAIT_FOR(here.n_moves == 2);
	assert_string_equal(here.master, "10.0.0.2:6379");
	assert_int_equal(metric_get(&cells, METRIC_STORE_MASTER_CHANGES), 1);
	assert_non_null(strstr(peers[1].heard, "UNSUBSCRIBE"));
	/* The others name the old one still, or are silent. */
	announce(&peers[0], "+switch-master", "other 1 2 3 4");
	WAIT_FOR(peers[0].n_asked == 2);
	turns(50);
	assert_int_equal(here.n_moves, 2);
	assert_int_equal(peers[2].n_asked, 1);
}

/* What is announced while it is being asked is asked about once more. */
static void
test_a_switch_while_asked(void **state)
{
	(void)state;
	follow(1, NULL);
	WAIT_FOR(here.n_moves);
	turns(20);
	announce(&peers[0], "+switch-master", "m 1 2 3 4");
	announce(&peers[0], "+switch-master", "m 1 2 3 4");
	WAIT_FOR(peers[0].n_asked == 3);
}

static void
test_the_newest_is_believed(void **state)
{
	(void)state;
	name(&peers[0], "10.0.0.1", 4);
	name(&peers[1], "10.0.0.2", 5);
	peers[2].deaf = true;
	follow(3, NULL);
	WAIT_FOR(heard() == 2);
	assert_string_equal(here.master, "10.0.0.2:6379");
	/* Nor is an old one when the one that knew better is gone. */
	take_down(&peers[1]);
	WAIT_FOR(heard() == 1);
	name(&peers[0], "10.0.0.3", 4);
	sentinels_doubt(here.all);
	WAIT_FOR(peers[0].n_asked == 2);
	turns(50);
	assert_string_equal(here.master, "10.0.0.2:6379");
	name(&peers[0], "10.0.0.3", 6);
	announce(&peers[0], "+switch-master", "");
	WAIT_FOR(strcmp(here.master, "10.0.0.3:6379") == 0);
}

/* All were taken down and told anew whom to watch. */
static void
test_most_begin_anew(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		name(&peers[i], "10.0.0.1", 7);
	follow(3, NULL);
	WAIT_FOR(heard() == 3);
	for (int i = 0; i < 3; i++) {
		turns(20);
		assert_string_equal(here.master, "10.0.0.1:6379");
		name(&peers[i], "10.0.0.9", 0);
		announce(&peers[i], "+switch-master", "");
	}
	WAIT_FOR(here.n_moves == 2);
	assert_string_equal(here.master, "10.0.0.9:6379");
}

static void
test_a_promotion(void **state)
{
	(void)state;
	follow(2, NULL);
	WAIT_FOR(heard() == 2);
	announce(&peers[0], "+failover-state-wait-promotion",
	    "slave 10.0.0.2:6379 10.0.0.2 6379 @ other 10.0.0.1 6379");
	turns(20);
	assert_int_equal(here.n_moves, 1);
	announce(&peers[0], "+failover-state-wait-promotion",
	    "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
	WAIT_FOR(here.n_moves == 2);
	assert_string_equal(here.master, "10.0.0.2:6379");
	/* Until it has seen it done the old one is named. */
	announce(&peers[1], "+switch-master", "");
	WAIT_FOR(peers[1].n_asked == 2);
	turns(20);
	assert_int_equal(here.n_moves, 2);
	name(&peers[0], "10.0.0.2", 1);
	announce(&peers[0], "+promoted-slave", "");
	WAIT_FOR(peers[0].n_asked == 2);
	turns(20);
	assert_int_equal(here.n_moves, 2);
	assert_int_equal(metric_get(&cells, METRIC_STORE_MASTER_CHANGES), 1);
}

static void
test_a_promotion_that_fails(void **state)
{
	int64_t begun_us;

	(void)state;
	follow(2, NULL);
	WAIT_FOR(heard() == 2);
	announce(&peers[0], "+failover-state-wait-promotion",
	    "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379");
	WAIT_FOR(here.n_moves == 2);
	begun_us = clock_mono_us();
	WAIT_FOR(here.n_moves == 3);
	assert_string_equal(here.master, "10.0.0.1:6379");
	assert_true(clock_mono_us() - begun_us > 2 * SECOND_US);
}

static void
test_the_name_is_wrong(void **state)
{
	(void)state;
	peers[0].host = NULL;
	follow(1, NULL);
	WAIT_FOR(here.fault != FAULT_NONE);
	assert_int_equal(here.fault, FAULT_CONFIG);
	assert_non_null(
	    strstr(here.why, "no master called \"m\"; it knows \"one\", \"two\""));
	assert_int_equal(heard(), 0);
	/* It is told of it later. */
	name(&peers[0], "10.0.0.1", 0);
	announce(&peers[0], "+switch-master", "");
	WAIT_FOR(here.n_moves);
}

static void
test_refusals(void **state)
{
	static const struct {
		const char *answer, *tail, *why;
		enum store_fault fault;
	} cases[] = {
		{ "-NOAUTH Authentication required.\r\n", "", "NOAUTH", FAULT_CONFIG },
		{ "-WRONGPASS no\r\n", "?sentinel_password=x", "AUTH was refused",
		    FAULT_CONFIG },
		{ "-ERR AUTH <password> called without any\r\n", "?sentinel_password=x",
		    "called without", FAULT_CONFIG },
		{ "-NOPERM no\r\n", "", "NOPERM", FAULT_CONFIG },
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", "", "is this a Sentinel?",
		    FAULT_OTHER },
		{ "+PONG\r\n", "", "is this a Sentinel?", FAULT_OTHER },
		{ "*0\r\n", "", "is this a Sentinel?", FAULT_OTHER },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		stop(state);
		start(state);
		peers[0].refusal = cases[i].answer;
		follow(1, cases[i].tail);
		WAIT_FOR(here.fault != FAULT_NONE);
		if (!strstr(here.why, cases[i].why) || here.fault != cases[i].fault)
			fail_msg("case %zu: %d %s", i, (int)here.fault, here.why);
		assert_int_equal(here.n_moves, 0);
		assert_null(strstr(here.why, "sentinel_password"));
	}
}

static void
test_silence_and_noise(void **state)
{
	(void)state;
	peers[0].deaf = true;
	follow(1, NULL);
	WAIT_FOR(here.fault == FAULT_TIMEOUT);
	assert_non_null(strstr(here.why, "no answer within 2 s"));
	peers[0].deaf = false;
	WAIT_FOR(here.n_moves);
	turns(20);
	say(&peers[0], "*1000000\r\n");
	for (int i = 0; i < 30000 && heard() == 1; i++) {
		for (int j = 0; j < 20; j++)
			say(&peers[0],
			    "$60\r\n0123456789012345678901234567890123456789"
			    "01234567890123456789\r\n");
		turn();
	}
	assert_int_equal(heard(), 0);
	WAIT_FOR(heard() == 1);
}

static void
test_others_are_learned(void **state)
{
	(void)state;
	peers[0].others = 0xf & ~1U;
	peers[1].others = 1;
	follow(1, NULL);
	WAIT_FOR(heard() == 4);
	turns(50);
	assert_int_equal(heard(), 4);
	/* One of these that is lost is forgotten until it is told of again. */
	take_down(&peers[3]);
	WAIT_FOR(heard() == 3);
	/* One that was listed is tried again for ever. */
	hang_up(&peers[0]);
	WAIT_FOR(heard() == 2);
	WAIT_FOR(heard() == 3);
}

/* By name and by address it is the same one. */
static void
test_one_by_two_names(void **state)
{
	struct sentinels_options options = {
		.loop = here.loop, .url = &here.url, .ops = &events, .cells = &cells
	};
	char text[64];

	(void)state;
	snprintf(text, sizeof(text), "redis+sentinel://localhost:%d,127.0.0.1:%d/m",
	    peers[0].port, peers[1].port);
	assert_int_equal(redis_url_parse(text, &here.url, NULL), 0);
	peers[0].others = 2;
	peers[1].others = 1 | 4;
	here.all = sentinels_new(&options);
	WAIT_FOR(heard() == 3);
	turns(100);
	assert_int_equal(heard(), 3);
}

static void
test_none_is_left(void **state)
{
	(void)state;
	follow(1, NULL);
	WAIT_FOR(heard() == 1);
	take_down(&peers[0]);
	WAIT_FOR(heard() == 0);
	turns(50);
	assert_int_equal(here.n_moves, 1);
	assert_int_equal(here.fault, FAULT_NONE);
}

static void
test_doubts_are_not_a_storm(void **state)
{
	int64_t end_us;

	(void)state;
	follow(1, NULL);
	WAIT_FOR(heard() == 1);
	turns(20);
	sentinels_doubt(here.all);
	WAIT_FOR(peers[0].n_asked == 2);
	end_us = clock_mono_us() + SECOND_US;
	while (clock_mono_us() < end_us) {
		sentinels_doubt(here.all);
		turn();
	}
	assert_in_range(peers[0].n_asked, 3, 4);
}

static void
test_announcements(void **state)
{
	static const struct {
		const char *text;
		int rc;
		const char *address;
	} cases[] = {
		{ "slave a b 1 @ m c 2", 0, "b:1" },
		{ "slave a ::1 1 @ m c 2", 0, "[::1]:1" },
		{ "slave a b 1 @ n c 2", ERR_NOTFOUND, "" },
		{ "slave a b 1 @ m c", ERR_INVALID, "" },
		{ "slave a b 1 @ m c 2 x", ERR_INVALID, "" },
		{ "slave a b 70000 @ m c 2", ERR_INVALID, "" },
		{ "slave a  1 @ m c 2", ERR_INVALID, "" },
		{ "", ERR_INVALID, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct address to = { 0 };
		int rc = sentinel_reply_promotion(slice_str(cases[i].text), "m", &to);

		assert_int_equal(rc, cases[i].rc);
		if (rc == 0)
			assert_string_equal(to.text, cases[i].address);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SENTINELS(test_found),
		WITH_SENTINELS(test_who_we_are),
		WITH_SENTINELS(test_other_spellings),
		WITH_SENTINELS(test_a_switch),
		WITH_SENTINELS(test_a_switch_while_asked),
		WITH_SENTINELS(test_the_newest_is_believed),
		WITH_SENTINELS(test_most_begin_anew),
		WITH_SENTINELS(test_a_promotion),
		WITH_SENTINELS(test_a_promotion_that_fails),
		WITH_SENTINELS(test_the_name_is_wrong),
		WITH_SENTINELS(test_refusals),
		WITH_SENTINELS(test_silence_and_noise),
		WITH_SENTINELS(test_others_are_learned),
		WITH_SENTINELS(test_one_by_two_names),
		WITH_SENTINELS(test_none_is_left),
		WITH_SENTINELS(test_doubts_are_not_a_storm),
		cmocka_unit_test(test_announcements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
