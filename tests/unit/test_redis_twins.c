/* SPDX-License-Identifier: ISC */
/* Takes that are the very same, in a batch without a server: the bytes of the call, and
 * replies written by hand. What a real Redis makes of them is tested by run_crowds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "batch_fixture.h"

#define N 10

static const struct limit bucket = { .algorithm = ALGORITHM_TOKEN_BUCKET,
	.max = 10,
	.window = { .len_ms = 1000, .name = "second" },
	.capacity = 10,
	.interval_us = 100000 };

/* Charges of `key`, and of a bucket where `second` names one. */
static void
ask(size_t i, const char *key, const char *second)
{
	make(i, key, second, 2);
	here.ones[i].charges[1].limit = &bucket;
	add(i);
}

/* The calls of those that say so went ahead. */
static void
stand_some(void *arg, struct take *take)
{
	(void)arg;
	if (take == &here.ones[0].take || take == &here.ones[2].take ||
	    take == &here.ones[4].take)
		late_stand(take->late);
	late_unref(take->late);
}

static void
assert_told(size_t i, enum take_status status, int64_t used)
{
	assert_int_equal(here.ones[i].take.status, status);
	assert_int_equal(here.ones[i].charges[0].count.used, used);
	assert_int_equal(here.ones[i].charges[0].lacked, status == TAKE_REFUSED);
}

static void
test_one_entry(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		ask(i, i == 3 ? "b" : i == 7 ? "c" : "a", NULL);
	/* Those of their own come first. */
	assert_non_null(strstr(call(),
	    "*20\r\n$7\r\nEVALSHA\r\n$1\r\nx\r\n$1\r\n3\r\n"
	    "$1\r\nb\r\n$1\r\nc\r\n$1\r\na\r\n"
	    "$1\r\n2\r\n$1\r\n1\r\n$2\r\n30\r\n$1\r\n2\r\n$5\r\n60000\r\n$1\r\n0\r\n"
	    "$5\r\ntimes\r\n"
	    "$1\r\n1\r\n$1\r\n1\r\n$2\r\n30\r\n$1\r\n2\r\n$5\r\n60000\r\n$1\r\n0\r\n"
	    "$1\r\n8\r\n"));
	assert_int_equal(batch_live(here.batch), N);
	answer("*5\r\n:1767225601500000\r\n:2\r\n:-31\r\n:8\r\n:20\r\n");
	assert_int_equal(here.n_told, N);
	assert_told(3, TAKE_ADMITTED, 2);
	assert_told(7, TAKE_REFUSED, 30);
	assert_told(0, TAKE_ADMITTED, 6);
	assert_told(1, TAKE_ADMITTED, 8);
	assert_told(9, TAKE_ADMITTED, 20);
}

/* Who came first is granted first, as one after another would. */
static void
test_granted_in_part(void **state)
{
	(void)state;
	for (size_t i = 0; i < 6; i++)
		ask(i, "a", "A");
	assert_non_null(strstr(call(), "$5\r\ntimes\r\n$1\r\n1\r\n$1\r\n2\r\n"));
	/* Four were granted; then the bucket has no room. */
	answer("*5\r\n:1767225601500000\r\n:4\r\n:28\r\n:-950001\r\n:77\r\n");
	for (size_t i = 0; i < 6; i++) {
		struct one *one = &here.ones[i];

		assert_ptr_equal(here.told[i], &one->take);
		assert_int_equal(one->take.now_us, NOW_US);
		assert_int_equal(
		    one->take.status, i < 4 ? TAKE_ADMITTED : TAKE_REFUSED);
		assert_int_equal(
		    one->charges[0].count.used, i < 4 ? 22 + 2 * (int64_t)i : 28);
		assert_int_equal(one->charges[1].count.used,
		    i < 4 ? 350000 + 200000 * (int64_t)i : 950000);
		assert_int_equal(one->charges[1].count.before, 77);
		assert_int_equal(one->charges[1].lacked, i >= 4);
	}
	assert_int_equal(here.ones[5].take.refused, 1);
}

/* What is left over by those that wait was charged for those that left. */
static void
test_late_ones(void **state)
{
	const char *back;
	size_t times = 0;

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		ask(i, "key", NULL);
		here.ones[i].take.deadline_us = i % 2 ? 2000 : 1000;
	}
	call();
	assert_int_equal(batch_expire(here.batch, 1500, on_left, NULL), 2000);
	assert_int_equal(batch_live(here.batch), 4);
	here.ones[0].charges[0].key = slice_str("gone");
	answer("*3\r\n:1767225601500000\r\n:6\r\n:-30\r\n");
	assert_int_equal(here.n_told, 4);
	assert_told(1, TAKE_ADMITTED, 19);
	assert_told(7, TAKE_ADMITTED, 25);
	assert_int_equal(here.outcome.late, 4);
	assert_int_equal(here.outcome.admitted, 2);
	back = buf_cstr(&here.outcome.give_back);
	for (; (back = strstr(back, "$3\r\nkey\r\n")); back++)
		times++;
	assert_int_equal(times, 2);
}

/* Of those that left three went ahead; two of the four were granted, or all. */
static void
test_late_ones_stand(void **state)
{
	(void)state;
	for (size_t granted = 6; granted <= 8; granted += 2) {
		char reply[80];

		for (size_t i = 0; i < 8; i++) {
			ask(i, "key", NULL);
			here.ones[i].take.deadline_us = i % 2 ? 2000 : 1000;
		}
		call();
		batch_expire(here.batch, 1500, stand_some, NULL);
		snprintf(reply, sizeof(reply),
		    "*3\r\n:1767225601500000\r\n:%zu\r\n:30\r\n", granted);
		answer(reply);
		assert_int_equal(here.outcome.late, 4);
		assert_int_equal(here.outcome.stood, granted == 6 ? 2 : 3);
		assert_int_equal(here.outcome.admitted, granted == 6 ? 0 : 1);
	}
}

static void
test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < 6; i++)
		ask(i, "a", NULL);
	ask(6, "b", NULL);
	call();
	answer("*4\r\n:1767225601500000\r\n:2\r\n$11\r\nWRONGTYPE x\r\n:0\r\n");
	assert_int_equal(here.n_told, 7);
	assert_int_equal(here.ones[0].take.fault, FAULT_WRONGTYPE);
	assert_int_equal(here.ones[5].take.fault, FAULT_WRONGTYPE);
	assert_told(6, TAKE_ADMITTED, 2);
}

/* Dates that do not fit, and a script that is not there: nobody is lost. */
static void
test_asked_again(void **state)
{
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < 6; i++)
		ask(i, "a", NULL);
	call();
	batch_regather(here.batch);
	assert_int_equal(batch_live(here.batch), 6);
	assert_non_null(strstr(call(), "$1\r\n6\r\n"));
	answer("*3\r\n:1767225601500000\r\n$5\r\nDATES\r\n:0\r\n");
	assert_int_equal(here.n_told, 0);
	for (struct take *t = here.outcome.again; t; t = t->next)
		n++;
	assert_int_equal(n, 6);
}

/* The same key is not the same check. */
static void
test_who_has_none(void **state)
{
	struct ledger ledger = { .held_key = slice_str("held"),
		.holder = slice_str("0123"),
		.ttl_ms = 1000 };

	(void)state;
	for (size_t i = 0; i < N; i++) {
		ask(i, "a", NULL);
		assert_true(twins_allow(&here.ones[i].take));
	}
	for (int what = 0; what < 4; what++) {
		batch_fail(here.batch, &store, FAULT_OTHER, NULL);
		here.n_told = 0;
		for (size_t i = 0; i < N; i++) {
			struct take *t = &here.ones[i].take;

			here.ones[i].charges[0].cost = what == 0 ? 0 : 2;
			here.ones[i].charges[0].shadow = what == 1;
			t->look = what == 2;
			t->ledger = what == 3 ? &ledger : NULL;
			assert_false(twins_allow(t));
			add(i);
		}
		assert_null(strstr(call(), "times"));
	}
}

static void
test_a_few_are_not_worth_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < TWINS_MIN; i++)
		ask(i, "a", NULL);
	ask(TWINS_MIN, "b", NULL);
	assert_null(strstr(call(), "times"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BATCH(test_one_entry),
		WITH_BATCH(test_granted_in_part),
		WITH_BATCH(test_late_ones),
		WITH_BATCH(test_late_ones_stand),
		WITH_BATCH(test_errors),
		WITH_BATCH(test_asked_again),
		WITH_BATCH(test_who_has_none),
		WITH_BATCH(test_a_few_are_not_worth_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
