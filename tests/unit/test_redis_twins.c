/* SPDX-License-Identifier: ISC */
/* Takes that are the very same, in a batch without a server: the bytes of the call, and
 * replies written by hand. What a real Redis makes of them is tested by run_crowds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "redis/batch.h"
#include "redis/late.h"
#include "redis/twins.h"

static struct twins scratch;

#define NOW_US INT64_C(1767225601500000) /* 2026-01-01T00:00:01.5Z */
#define N 10

static struct metric_cells cells;
static struct store store = { NULL, &cells };
static struct take *order[2 * N]; /* in which they were told */
static size_t n_done;

static const struct limit minute = { .max = 30,
	.window = { .len_ms = 60000, .name = "minute" } };
static const struct limit bucket = { .algorithm = ALGORITHM_TOKEN_BUCKET,
	.max = 10,
	.window = { .len_ms = 1000, .name = "second" },
	.capacity = 10,
	.interval_us = 100000 };

struct one {
	struct charge charges[2];
	struct take take;
};

struct fixture {
	struct batch *batch;
	struct reply_reader *reader;
	struct batch_outcome outcome;
	struct buf out;
	struct one ones[N];
};

static int
setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .batch = batch_new(&scratch),
		.reader = reply_reader_new() };
	n_done = 0;
	*state = &f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	batch_fail(f->batch, &store, FAULT_OTHER, NULL);
	batch_free(f->batch);
	reply_reader_free(f->reader);
	buf_fini(&f->outcome.give_back);
	buf_fini(&f->out);
	return 0;
}

static void
on_done(struct take *take)
{
	order[n_done++] = take;
	/* Whoever is told may use it again. */
	take->next = take->prev = NULL;
}

/* Charges of `key`, and of a bucket where `second` names one. */
static void
add(struct fixture *f, size_t i, const char *key, const char *second)
{
	struct one *one = &f->ones[i];

	*one = (struct one){ 0 };
	one->charges[0] =
	    (struct charge){ .key = slice_str(key), .limit = &minute, .cost = 2 };
	one->charges[1] =
	    (struct charge){ .key = slice_str(second), .limit = &bucket, .cost = 2 };
	one->take = (struct take){ .charges = one->charges,
		.n = second ? 2 : 1,
		.deadline_us = 1000,
		.done = on_done };
	assert_int_equal(batch_add(f->batch, &one->take), 0);
}

static void
ignore(void *arg, struct take *take)
{
	(void)arg;
	late_unref(take->late);
}

/* The calls of those that say so went ahead. */
static void
stand_some(void *arg, struct take *take)
{
	const struct fixture *f = arg;

	if (take == &f->ones[0].take || take == &f->ones[2].take ||
	    take == &f->ones[4].take)
		late_stand(take->late);
	late_unref(take->late);
}

static const char *
call(struct fixture *f)
{
	buf_clear(&f->out);
	assert_true(batch_format(f->batch, slice_str("x"), NOW_US, &f->out));
	return buf_cstr(&f->out);
}

static void
answer(struct fixture *f, const char *text)
{
	const struct reply *reply = NULL;

	assert_int_equal(reply_reader_feed(f->reader, text, strlen(text)), 0);
	assert_int_equal(reply_reader_next(f->reader, &reply), 1);
	assert_int_equal(batch_apply(f->batch, reply, &store, &f->outcome), 0);
}

static void
assert_told(struct fixture *f, size_t i, enum take_status status, int64_t used)
{
	assert_int_equal(f->ones[i].take.status, status);
	assert_int_equal(f->ones[i].charges[0].count.used, used);
	assert_int_equal(f->ones[i].charges[0].lacked, status == TAKE_REFUSED);
}

static void
test_one_entry(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < N; i++)
		add(f, i, i == 3 ? "b" : i == 7 ? "c" : "a", NULL);
	/* Those of their own come first. */
	assert_non_null(strstr(call(f),
	    "*20\r\n$7\r\nEVALSHA\r\n$1\r\nx\r\n$1\r\n3\r\n"
	    "$1\r\nb\r\n$1\r\nc\r\n$1\r\na\r\n"
	    "$1\r\n2\r\n$1\r\n1\r\n$2\r\n30\r\n$1\r\n2\r\n$5\r\n60000\r\n$1\r\n0\r\n"
	    "$5\r\ntimes\r\n"
	    "$1\r\n1\r\n$1\r\n1\r\n$2\r\n30\r\n$1\r\n2\r\n$5\r\n60000\r\n$1\r\n0\r\n"
	    "$1\r\n8\r\n"));
	assert_int_equal(batch_live(f->batch), N);
	answer(f, "*5\r\n:1767225601500000\r\n:2\r\n:-31\r\n:8\r\n:20\r\n");
	assert_int_equal(n_done, N);
	assert_told(f, 3, TAKE_ADMITTED, 2);
	assert_told(f, 7, TAKE_REFUSED, 30);
	assert_told(f, 0, TAKE_ADMITTED, 6);
	assert_told(f, 1, TAKE_ADMITTED, 8);
	assert_told(f, 9, TAKE_ADMITTED, 20);
}

/* Who came first is granted first, as one after another would. */
static void
test_granted_in_part(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < 6; i++)
		add(f, i, "a", "A");
	assert_non_null(strstr(call(f), "$5\r\ntimes\r\n$1\r\n1\r\n$1\r\n2\r\n"));
	/* Four were granted; then the bucket has no room. */
	answer(f, "*5\r\n:1767225601500000\r\n:4\r\n:28\r\n:-950001\r\n:77\r\n");
	for (size_t i = 0; i < 6; i++) {
		struct one *one = &f->ones[i];

		assert_ptr_equal(order[i], &one->take);
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
	assert_int_equal(f->ones[5].take.refused, 1);
}

/* What is left over by those that wait was charged for those that left. */
static void
test_late_ones(void **state)
{
	struct fixture *f = *state;
	const char *back;
	size_t times = 0;

	for (size_t i = 0; i < 8; i++) {
		add(f, i, "key", NULL);
		f->ones[i].take.deadline_us = i % 2 ? 2000 : 1000;
	}
	call(f);
	assert_int_equal(batch_expire(f->batch, 1500, ignore, NULL), 2000);
	assert_int_equal(batch_live(f->batch), 4);
	f->ones[0].charges[0].key = slice_str("gone");
	answer(f, "*3\r\n:1767225601500000\r\n:6\r\n:-30\r\n");
	assert_int_equal(n_done, 4);
	assert_told(f, 1, TAKE_ADMITTED, 19);
	assert_told(f, 7, TAKE_ADMITTED, 25);
	assert_int_equal(f->outcome.late, 4);
	assert_int_equal(f->outcome.admitted, 2);
	back = buf_cstr(&f->outcome.give_back);
	for (; (back = strstr(back, "$3\r\nkey\r\n")); back++)
		times++;
	assert_int_equal(times, 2);
}

/* Of those that left three went ahead; two of the four were granted, or all. */
static void
test_late_ones_stand(void **state)
{
	struct fixture *f = *state;

	for (size_t granted = 6; granted <= 8; granted += 2) {
		char reply[80];

		for (size_t i = 0; i < 8; i++) {
			add(f, i, "key", NULL);
			f->ones[i].take.deadline_us = i % 2 ? 2000 : 1000;
		}
		call(f);
		batch_expire(f->batch, 1500, stand_some, f);
		snprintf(reply, sizeof(reply),
		    "*3\r\n:1767225601500000\r\n:%zu\r\n:30\r\n", granted);
		answer(f, reply);
		assert_int_equal(f->outcome.late, 4);
		assert_int_equal(f->outcome.stood, granted == 6 ? 2 : 3);
		assert_int_equal(f->outcome.admitted, granted == 6 ? 0 : 1);
	}
}

static void
test_errors(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < 6; i++)
		add(f, i, "a", NULL);
	add(f, 6, "b", NULL);
	call(f);
	answer(f, "*4\r\n:1767225601500000\r\n:2\r\n$11\r\nWRONGTYPE x\r\n:0\r\n");
	assert_int_equal(n_done, 7);
	assert_int_equal(f->ones[0].take.fault, FAULT_WRONGTYPE);
	assert_int_equal(f->ones[5].take.fault, FAULT_WRONGTYPE);
	assert_told(f, 6, TAKE_ADMITTED, 2);
}

/* Dates that do not fit, and a script that is not there: nobody is lost. */
static void
test_asked_again(void **state)
{
	struct fixture *f = *state;
	size_t n = 0;

	for (size_t i = 0; i < 6; i++)
		add(f, i, "a", NULL);
	call(f);
	batch_regather(f->batch);
	assert_int_equal(batch_live(f->batch), 6);
	assert_non_null(strstr(call(f), "$1\r\n6\r\n"));
	answer(f, "*3\r\n:1767225601500000\r\n$5\r\nDATES\r\n:0\r\n");
	assert_int_equal(n_done, 0);
	for (struct take *t = f->outcome.again; t; t = t->next)
		n++;
	assert_int_equal(n, 6);
}

/* The same key is not the same check. */
static void
test_who_has_none(void **state)
{
	struct fixture *f = *state;
	struct ledger ledger = { .held_key = slice_str("held"),
		.holder = slice_str("0123"),
		.ttl_ms = 1000 };

	for (size_t i = 0; i < N; i++) {
		add(f, i, "a", NULL);
		assert_true(twins_allow(&f->ones[i].take));
	}
	for (int what = 0; what < 4; what++) {
		batch_fail(f->batch, &store, FAULT_OTHER, NULL);
		n_done = 0;
		for (size_t i = 0; i < N; i++) {
			struct take *t = &f->ones[i].take;

			f->ones[i].charges[0].cost = what == 0 ? 0 : 2;
			f->ones[i].charges[0].shadow = what == 1;
			t->look = what == 2;
			t->ledger = what == 3 ? &ledger : NULL;
			assert_false(twins_allow(t));
			assert_int_equal(batch_add(f->batch, t), 0);
		}
		assert_null(strstr(call(f), "times"));
	}
}

static void
test_a_few_are_not_worth_it(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < TWINS_MIN; i++)
		add(f, i, "a", NULL);
	add(f, TWINS_MIN, "b", NULL);
	assert_null(strstr(call(f), "times"));
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_one_entry),
		CASE(test_granted_in_part),
		CASE(test_late_ones),
		CASE(test_late_ones_stand),
		CASE(test_errors),
		CASE(test_asked_again),
		CASE(test_who_has_none),
		CASE(test_a_few_are_not_worth_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
