/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/num.h"
#include "batch_fixture.h"

static void
test_runs(void **state)
{
	(void)state;
	/* Two shapes, mixed: the call puts each shape's checks together. */
	make_and_add(0, "a", NULL, 1);
	make_and_add(1, "b", "B", 2);
	make_and_add(2, "c", NULL, 1);
	assert_int_equal(batch_live(here.batch), 3);
	assert_true(batch_format(here.batch,
	    slice_str("0123456789012345678901234567890123456789"), NOW_US, &here.out));
	assert_true(sends("*23\r\n$7\r\nEVALSHA\r\n$40\r\n"));
	assert_true(sends(
	    "$1\r\n4\r\n$1\r\na\r\n$1\r\nc\r\n$1\r\nb\r\n$1\r\nB\r\n"
	    "$1\r\n2\r\n$1\r\n1\r\n$2\r\n30\r\n$1\r\n1\r\n$5\r\n60000\r\n$1\r\n0\r\n"
	    "$1\r\n1\r\n$1\r\n2\r\n"));
	batch_fail(here.batch, &store, FAULT_OTHER, NULL);
	assert_int_equal(here.n_told, 3);
	assert_int_equal(batch_live(here.batch), 0);
}

/* Limits that say the same are one shape, whosever they are. */
static void
test_limits_alike(void **state)
{
	static struct limit other, less;

	(void)state;
	memcpy(&other, &minute, sizeof(other));
	memcpy(&less, &minute, sizeof(less));
	less.max = 29;
	make_and_add(0, "a", NULL, 1);
	make(1, "b", NULL, 1);
	here.ones[1].charges[0].limit = &less;
	add(1);
	make(2, "c", NULL, 1);
	here.ones[2].charges[0].limit = &other;
	add(2);
	call();
	assert_true(sends(
	    "$1\r\n3\r\n$1\r\na\r\n$1\r\nc\r\n$1\r\nb\r\n"
	    "$1\r\n2\r\n$1\r\n1\r\n$2\r\n30\r\n$1\r\n1\r\n$5\r\n60000\r\n$1\r\n0\r\n"
	    "$1\r\n1\r\n$1\r\n1\r\n$2\r\n29\r\n$1\r\n1\r\n$5\r\n60000\r\n$1\r\n0\r\n"));
}

static void
test_answers(void **state)
{
	(void)state;
	make_and_add(0, "a", "A", 1);
	make_and_add(1, "b", "B", 1);
	make_and_add(2, "c", "C", 1);
	call();
	answer("*7\r\n:1767225601500000\r\n"
	       ":1\r\n:2\r\n:4\r\n:-101\r\n$9\r\nWRONGTYPE\r\n:0\r\n");
	assert_int_equal(here.n_told, 3);
	assert_int_equal(here.ones[0].take.status, TAKE_ADMITTED);
	assert_int_equal(here.ones[0].charges[1].count.used, 2);
	assert_int_equal(here.ones[0].take.now_us, NOW_US);
	assert_int_equal(here.ones[1].take.status, TAKE_REFUSED);
	assert_int_equal(here.ones[1].take.refused, 1);
	assert_int_equal(here.ones[1].charges[0].count.used, 4);
	assert_int_equal(here.ones[1].charges[1].count.used, 100);
	assert_int_equal(here.ones[2].take.status, TAKE_FAILED);
	assert_int_equal(here.ones[2].take.fault, FAULT_WRONGTYPE);
	assert_int_equal(here.outcome.late, 0);
	assert_int_equal(here.outcome.fault, FAULT_WRONGTYPE);
	assert_string_equal(here.outcome.detail, "WRONGTYPE");
}

static void
test_answer_that_does_not_fit(void **state)
{
	static const char *const replies[] = {
		":1\r\n",
		"*0\r\n",
		"*1\r\n:1767225601500000\r\n",
		"*3\r\n:1767225601500000\r\n:1\r\n:1\r\n",
		"*2\r\n$1\r\nx\r\n:1\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		stop(state);
		start(state);
		make_and_add(0, "a", NULL, 1);
		call();
		assert_int_equal(apply(replies[i]), ERR_SYNTAX);
		assert_int_equal(here.n_told, 1);
		assert_int_equal(here.ones[0].take.status, TAKE_FAILED);
	}
}

/* A take that leaves before the call is not in it; one that leaves after it is given
 * back when the reply says that it was charged. */
static void
test_leaving(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		static const char *const keys[] = { "k0", "k1", "k2", "k3" };

		make_and_add(i, keys[i], NULL, 7);
		here.ones[i].take.deadline_us = 1000 * (i + 1);
	}
	assert_int_equal(batch_expire(here.batch, 1000, on_left, NULL), 2000);
	assert_int_equal(here.n_left, 1);
	assert_int_equal(batch_live(here.batch), 3);
	call();
	assert_false(sends("k0"));
	assert_int_equal(batch_expire(here.batch, 3500, on_left, NULL), 4000);
	assert_int_equal(here.n_left, 3);
	assert_int_equal(batch_live(here.batch), 1);
	/* The keys' memory is the taker's again. */
	here.ones[1].charges[0].key = here.ones[2].charges[0].key = slice_str("gone");
	answer("*4\r\n:1767225601500000\r\n"
	       ":7\r\n:-31\r\n:14\r\n");
	assert_int_equal(here.n_told, 1);
	assert_int_equal(here.outcome.late, 2);
	assert_int_equal(here.outcome.admitted, 1);
	assert_true(gives_back(
	    "$1\r\n1\r\n$2\r\nk1\r\n$1\r\n1\r\n$0\r\n\r\n$0\r\n\r\n"
	    "$1\r\n7\r\n$5\r\nfixed\r\n$13\r\n1767225660000\r\n$5\r\n60000\r\n"));
	assert_false(gives_back("k2"));
}

/* Takes that only look are a run of their own, and nothing is given back for them. */
static void
test_look(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		make(i, "k", NULL, 25);
		here.ones[i].take.look = i > 0;
		add(i);
		here.ones[i].take.deadline_us = 1000 * (i + 1);
	}
	call();
	assert_true(sends("$2\r\n-3\r\n$1\r\n1\r\n"));
	assert_true(sends("$1\r\n1\r\n$1\r\n1\r\n"));
	batch_expire(here.batch, 2000, on_left, NULL);
	assert_int_equal(here.n_left, 2);
	answer("*5\r\n:1767225601500000\r\n"
	       ":-6\r\n:5\r\n:5\r\n:6\r\n");
	assert_int_equal(here.outcome.late, 1);
	assert_int_equal(here.outcome.admitted, 0);
	assert_int_equal(here.ones[2].take.status, TAKE_ADMITTED);
	assert_int_equal(here.ones[2].charges[0].count.used, 5);
	assert_int_equal(here.ones[3].take.status, TAKE_REFUSED);
	assert_int_equal(here.ones[3].take.refused, 0);
	assert_int_equal(here.ones[3].charges[0].count.used, 6);
}

/* A shadow charge: told by its max in the call, and by its number in the answer, which
 * refuses nothing; given back with the others. */
static void
test_shadow(void **state)
{
	static const char enforced[] =
	    "$1\r\n1\r\n$1\r\n2\r\n$2\r\n30\r\n$1\r\n1\r\n$5\r\n60000\r\n"
	    "$1\r\n0\r\n$3\r\n100\r\n";
	static const char shadow[] =
	    "$1\r\n3\r\n$1\r\n2\r\n$2\r\n30\r\n$1\r\n1\r\n$5\r\n60000\r\n"
	    "$1\r\n0\r\n$4\r\n-101\r\n";

	(void)state;
	for (int i = 0; i < 4; i++) {
		static const char *const keys[] = { "k0", "K0", "k1", "K1", "k2", "K2",
			"k3", "K3" };

		make(i, keys[2 * i], keys[2 * i + 1], 1);
		here.ones[i].charges[1].shadow = i > 0;
		here.ones[i].take.deadline_us = i < 2 ? 9000 : 1000 * i;
		add(i);
	}
	call();
	assert_true(sends(enforced));
	assert_true(sends(shadow));
	batch_expire(here.batch, 3000, on_left, NULL);
	assert_int_equal(here.n_left, 2);
	answer("*12\r\n:1767225601500000\r\n"
	       ":1\r\n:1\r\n:1\r\n:-102\r\n:1\r\n"
	       ":2\r\n:-103\r\n:1\r\n:-31\r\n:-104\r\n:0\r\n");
	assert_int_equal(here.ones[0].take.status, TAKE_ADMITTED);
	assert_int_equal(here.ones[1].take.status, TAKE_ADMITTED);
	assert_true(here.ones[1].charges[1].lacked);
	assert_int_equal(here.ones[1].charges[1].count.used, 101);
	assert_false(here.ones[1].charges[0].lacked);
	assert_int_equal(here.outcome.late, 2);
	assert_int_equal(here.outcome.admitted, 1);
	assert_true(gives_back("$1\r\n2\r\n$2\r\nk2\r\n$2\r\nK2\r\n"));
	assert_false(gives_back("k3"));
}

/* NOSCRIPT: nothing ran, so the call is made again, without those that left. */
static void
test_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		static const char *const keys[] = { "k0", "k1", "k2" };

		make_and_add(i, keys[i], NULL, 1);
		here.ones[i].take.deadline_us = 1000 * (i + 1);
	}
	call();
	batch_expire(here.batch, 2000, on_left, NULL);
	batch_regather(here.batch);
	buf_clear(&here.out);
	assert_true(batch_format(here.batch, slice_str("y"), NOW_US, &here.out));
	assert_false(sends("k0"));
	assert_false(sends("k1"));
	assert_true(sends("k2"));
	batch_regather(here.batch);
	batch_expire(here.batch, 3000, on_left, NULL);
	assert_false(batch_format(here.batch, slice_str("y"), NOW_US, &here.out));
	assert_int_equal(batch_live(here.batch), 0);
}

/* More shapes than a batch tells apart still make a right call. */
static void
test_many_shapes(void **state)
{
	enum { N = 60 };
	static char keys[N][8];
	struct buf text = { 0 };

	(void)state;
	for (int i = 0; i < N; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		make_and_add(i, keys[i], NULL, i + 1);
	}
	call();
	buf_printf(&text, "*%d\r\n:%lld\r\n", N + 1, (long long)NOW_US);
	/* Every shape differs, and so the order of the call is the order of the runs:
	 * the answer tells each check its own cost. */
	for (int i = 0; i < N; i++)
		buf_printf(&text, ":%d\r\n", i + 1);
	answer(buf_cstr(&text));
	assert_int_equal(here.n_told, N);
	for (int i = 0; i < N; i++)
		assert_int_equal(here.ones[i].charges[0].count.used, i + 1);
	buf_fini(&text);
}

/* What is no count of ours is read as far as the arithmetic of limits goes. */
static void
test_counts_past_all_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		make(i, "k", NULL, 1);
		here.ones[i].take.look = i == 0;
		add(i);
	}
	call();
	answer("*3\r\n:1767225601500000\r\n"
	       ":9223372036854775807\r\n:-9223372036854775808\r\n");
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(here.ones[i].take.status, TAKE_REFUSED);
		assert_int_equal(here.ones[i].charges[0].count.used, NUM_MAX);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BATCH(test_runs),
		WITH_BATCH(test_limits_alike),
		WITH_BATCH(test_answers),
		WITH_BATCH(test_answer_that_does_not_fit),
		WITH_BATCH(test_leaving),
		WITH_BATCH(test_shadow),
		WITH_BATCH(test_look),
		WITH_BATCH(test_again),
		WITH_BATCH(test_many_shapes),
		WITH_BATCH(test_counts_past_all_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
