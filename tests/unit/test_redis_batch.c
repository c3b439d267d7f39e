/* SPDX-License-Identifier: ISC */
/* A batch without a server: the bytes of the call, and replies written by hand. What a
 * real Redis makes of them is tested by the vectors and the system tests. */
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

static struct metric_cells cells;
static struct store store = { NULL, &cells };
static int n_done;

static void
on_done(struct take *take)
{
	(void)take;
	n_done++;
}

static const struct limit minute = { .max = 30,
	.window = { .len_ms = 60000, .name = "minute" } };
static const struct limit hour = { .max = 100,
	.window = { .len_ms = 3600000, .name = "hour" } };

struct fixture {
	struct charge charges[2];
	struct take take;
};

static struct take *
make(struct fixture *f, const char *key, const char *second, int64_t cost)
{
	memset(f, 0, sizeof(*f));
	f->charges[0] =
	    (struct charge){ .key = slice_str(key), .limit = &minute, .cost = cost };
	f->charges[1] =
	    (struct charge){ .key = slice_str(second), .limit = &hour, .cost = cost };
	f->take.charges = f->charges;
	f->take.n = second ? 2 : 1;
	f->take.deadline_us = 1000;
	f->take.done = on_done;
	return &f->take;
}

static const struct reply *
read_reply(struct reply_reader *reader, const char *text)
{
	const struct reply *reply = NULL;

	/* A byte at a time: a reply may come in any pieces. */
	for (size_t i = 0; i < strlen(text); i++) {
		assert_int_equal(reply_reader_feed(reader, text + i, 1), 0);
		assert_int_equal(
		    reply_reader_next(reader, &reply), i + 1 == strlen(text));
	}
	return reply;
}

static void
test_runs(void **state)
{
	struct batch *b = batch_new(&scratch);
	struct fixture f[4];
	struct buf out = { 0 };
	const char *call;

	(void)state;
	/* Two shapes, mixed: the call puts each shape's checks together. */
	assert_int_equal(batch_add(b, make(&f[0], "a", NULL, 1)), 0);
	assert_int_equal(batch_add(b, make(&f[1], "b", "B", 2)), 0);
	assert_int_equal(batch_add(b, make(&f[2], "c", NULL, 1)), 0);
	assert_int_equal(batch_live(b), 3);
	assert_true(batch_format(
	    b, slice_str("0123456789012345678901234567890123456789"), NOW_US, &out));
	call = buf_cstr(&out);
	assert_non_null(strstr(call, "*23\r\n$7\r\nEVALSHA\r\n$40\r\n"));
	assert_non_null(strstr(call,
	    "$1\r\n4\r\n$1\r\na\r\n$1\r\nc\r\n$1\r\nb\r\n$1\r\nB\r\n"
	    "$1\r\n2\r\n$1\r\n1\r\n$2\r\n30\r\n$1\r\n1\r\n$5\r\n60000\r\n$1\r\n0\r\n"
	    "$1\r\n1\r\n$1\r\n2\r\n"));
	batch_fail(b, &store, FAULT_OTHER, NULL);
	assert_int_equal(batch_live(b), 0);
	batch_free(b);
	buf_fini(&out);
}

/* Limits that say the same are one shape, whosever they are. */
static void
test_limits_alike(void **state)
{
	struct limit other, less = minute;
	struct batch *b = batch_new(&scratch);
	struct fixture f[3];
	struct buf out = { 0 };

	(void)state;
	memcpy(&other, &minute, sizeof(other));
	less.max = 29;
	assert_int_equal(batch_add(b, make(&f[0], "a", NULL, 1)), 0);
	(void)make(&f[1], "b", NULL, 1);
	f[1].charges[0].limit = &less;
	assert_int_equal(batch_add(b, &f[1].take), 0);
	(void)make(&f[2], "c", NULL, 1);
	f[2].charges[0].limit = &other;
	assert_int_equal(batch_add(b, &f[2].take), 0);
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	assert_non_null(strstr(buf_cstr(&out),
	    "$1\r\n3\r\n$1\r\na\r\n$1\r\nc\r\n$1\r\nb\r\n"
	    "$1\r\n2\r\n$1\r\n1\r\n$2\r\n30\r\n$1\r\n1\r\n$5\r\n60000\r\n$1\r\n0\r\n"
	    "$1\r\n1\r\n$1\r\n1\r\n$2\r\n29\r\n$1\r\n1\r\n$5\r\n60000\r\n$1\r\n0\r\n"));
	batch_fail(b, &store, FAULT_OTHER, NULL);
	batch_free(b);
	buf_fini(&out);
}

static void
test_answers(void **state)
{
	struct batch *b = batch_new(&scratch);
	struct reply_reader *reader = reply_reader_new();
	struct batch_outcome outcome = { 0 };
	struct buf out = { 0 };
	struct fixture f[3];

	(void)state;
	n_done = 0;
	assert_int_equal(batch_add(b, make(&f[0], "a", "A", 1)), 0);
	assert_int_equal(batch_add(b, make(&f[1], "b", "B", 1)), 0);
	assert_int_equal(batch_add(b, make(&f[2], "c", "C", 1)), 0);
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	assert_int_equal(
	    batch_apply(b,
		read_reply(reader,
		    "*7\r\n:1767225601500000\r\n"
		    ":1\r\n:2\r\n:4\r\n:-101\r\n$9\r\nWRONGTYPE\r\n:0\r\n"),
		&store, &outcome),
	    0);
	assert_int_equal(n_done, 3);
	assert_int_equal(f[0].take.status, TAKE_ADMITTED);
	assert_int_equal(f[0].charges[1].count.used, 2);
	assert_int_equal(f[0].take.now_us, NOW_US);
	assert_int_equal(f[1].take.status, TAKE_REFUSED);
	assert_int_equal(f[1].take.refused, 1);
	assert_int_equal(f[1].charges[0].count.used, 4);
	assert_int_equal(f[1].charges[1].count.used, 100);
	assert_int_equal(f[2].take.status, TAKE_FAILED);
	assert_int_equal(f[2].take.fault, FAULT_WRONGTYPE);
	assert_int_equal(outcome.late, 0);
	assert_int_equal(outcome.fault, FAULT_WRONGTYPE);
	assert_string_equal(outcome.detail, "WRONGTYPE");
	batch_free(b);
	reply_reader_free(reader);
	buf_fini(&out);
	buf_fini(&outcome.give_back);
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

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct batch *b = batch_new(&scratch);
		struct reply_reader *reader = reply_reader_new();
		struct batch_outcome outcome = { 0 };
		struct buf out = { 0 };
		struct fixture f;

		n_done = 0;
		assert_int_equal(batch_add(b, make(&f, "a", NULL, 1)), 0);
		assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
		assert_int_equal(
		    batch_apply(b, read_reply(reader, replies[i]), &store, &outcome),
		    ERR_SYNTAX);
		assert_int_equal(n_done, 1);
		assert_int_equal(f.take.status, TAKE_FAILED);
		batch_free(b);
		reply_reader_free(reader);
		buf_fini(&out);
	}
}

static struct take *left[8];
static size_t n_left;

static void
on_left(void *arg, struct take *take)
{
	(void)arg;
	left[n_left++] = take;
	late_unref(take->late);
}

/* A take that leaves before the call is not in it; one that leaves after it is given
 * back when the reply says that it was charged. */
static void
test_leaving(void **state)
{
	struct batch *b = batch_new(&scratch);
	struct reply_reader *reader = reply_reader_new();
	struct batch_outcome outcome = { 0 };
	struct buf out = { 0 };
	struct fixture f[4];

	(void)state;
	n_done = 0;
	n_left = 0;
	for (int i = 0; i < 4; i++) {
		static const char *const keys[] = { "k0", "k1", "k2", "k3" };

		assert_int_equal(batch_add(b, make(&f[i], keys[i], NULL, 7)), 0);
		f[i].take.deadline_us = 1000 * (i + 1);
	}
	assert_int_equal(batch_expire(b, 1000, on_left, NULL), 2000);
	assert_int_equal(n_left, 1);
	assert_int_equal(batch_live(b), 3);
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	assert_null(memmem(out.data, out.len, "k0", 2));
	assert_int_equal(batch_expire(b, 3500, on_left, NULL), 4000);
	assert_int_equal(n_left, 3);
	assert_int_equal(batch_live(b), 1);
	/* The keys' memory is the taker's again. */
	f[1].charges[0].key = f[2].charges[0].key = slice_str("gone");
	assert_int_equal(batch_apply(b,
			     read_reply(reader,
				 "*4\r\n:1767225601500000\r\n"
				 ":7\r\n:-31\r\n:14\r\n"),
			     &store, &outcome),
	    0);
	assert_int_equal(n_done, 1);
	assert_int_equal(outcome.late, 2);
	assert_int_equal(outcome.admitted, 1);
	assert_non_null(memmem(outcome.give_back.data, outcome.give_back.len,
	    "$1\r\n1\r\n$2\r\nk1\r\n$1\r\n1\r\n$0\r\n\r\n$0\r\n\r\n"
	    "$1\r\n7\r\n$5\r\nfixed\r\n$13\r\n1767225660000\r\n$5\r\n60000\r\n",
	    83));
	assert_null(memmem(outcome.give_back.data, outcome.give_back.len, "k2", 2));
	batch_free(b);
	reply_reader_free(reader);
	buf_fini(&out);
	buf_fini(&outcome.give_back);
}

/* Takes that only look are a run of their own, and nothing is given back for them. */
static void
test_look(void **state)
{
	struct batch *b = batch_new(&scratch);
	struct reply_reader *reader = reply_reader_new();
	struct batch_outcome outcome = { 0 };
	struct buf out = { 0 };
	struct fixture f[4];

	(void)state;
	n_left = 0;
	n_done = 0;
	for (int i = 0; i < 4; i++) {
		make(&f[i], "k", NULL, 25);
		f[i].take.look = i > 0;
		assert_int_equal(batch_add(b, &f[i].take), 0);
		f[i].take.deadline_us = 1000 * (i + 1);
	}
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	assert_non_null(memmem(out.data, out.len, "$2\r\n-3\r\n$1\r\n1\r\n", 15));
	assert_non_null(memmem(out.data, out.len, "$1\r\n1\r\n$1\r\n1\r\n", 14));
	batch_expire(b, 2000, on_left, NULL);
	assert_int_equal(n_left, 2);
	assert_int_equal(batch_apply(b,
			     read_reply(reader,
				 "*5\r\n:1767225601500000\r\n"
				 ":-6\r\n:5\r\n:5\r\n:6\r\n"),
			     &store, &outcome),
	    0);
	assert_int_equal(outcome.late, 1);
	assert_int_equal(outcome.admitted, 0);
	assert_int_equal(f[2].take.status, TAKE_ADMITTED);
	assert_int_equal(f[2].charges[0].count.used, 5);
	assert_int_equal(f[3].take.status, TAKE_REFUSED);
	assert_int_equal(f[3].take.refused, 0);
	assert_int_equal(f[3].charges[0].count.used, 6);
	batch_free(b);
	reply_reader_free(reader);
	buf_fini(&out);
	buf_fini(&outcome.give_back);
}

/* A shadow charge: told by its max in the call, and by its number in the answer, which
 * refuses nothing; given back with the others. */
static void
test_shadow(void **state)
{
	struct batch *b = batch_new(&scratch);
	struct reply_reader *reader = reply_reader_new();
	struct batch_outcome outcome = { 0 };
	struct buf out = { 0 };
	struct fixture f[4];
	static const char enforced[] =
	    "$1\r\n1\r\n$1\r\n2\r\n$2\r\n30\r\n$1\r\n1\r\n$5\r\n60000\r\n"
	    "$1\r\n0\r\n$3\r\n100\r\n";
	static const char shadow[] =
	    "$1\r\n3\r\n$1\r\n2\r\n$2\r\n30\r\n$1\r\n1\r\n$5\r\n60000\r\n"
	    "$1\r\n0\r\n$4\r\n-101\r\n";

	(void)state;
	n_left = 0;
	for (int i = 0; i < 4; i++) {
		static const char *const keys[] = { "k0", "K0", "k1", "K1", "k2", "K2",
			"k3", "K3" };

		make(&f[i], keys[2 * i], keys[2 * i + 1], 1);
		f[i].charges[1].shadow = i > 0;
		f[i].take.deadline_us = i < 2 ? 9000 : 1000 * i;
		assert_int_equal(batch_add(b, &f[i].take), 0);
	}
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	assert_non_null(memmem(out.data, out.len, enforced, sizeof(enforced) - 1));
	assert_non_null(memmem(out.data, out.len, shadow, sizeof(shadow) - 1));
	batch_expire(b, 3000, on_left, NULL);
	assert_int_equal(n_left, 2);
	assert_int_equal(batch_apply(b,
			     read_reply(reader,
				 "*12\r\n:1767225601500000\r\n"
				 ":1\r\n:1\r\n:1\r\n:-102\r\n:1\r\n"
				 ":2\r\n:-103\r\n:1\r\n:-31\r\n:-104\r\n:0\r\n"),
			     &store, &outcome),
	    0);
	assert_int_equal(f[0].take.status, TAKE_ADMITTED);
	assert_int_equal(f[1].take.status, TAKE_ADMITTED);
	assert_true(f[1].charges[1].lacked);
	assert_int_equal(f[1].charges[1].count.used, 101);
	assert_false(f[1].charges[0].lacked);
	assert_int_equal(outcome.late, 2);
	assert_int_equal(outcome.admitted, 1);
	assert_non_null(memmem(outcome.give_back.data, outcome.give_back.len,
	    "$1\r\n2\r\n$2\r\nk2\r\n$2\r\nK2\r\n", 23));
	assert_null(memmem(outcome.give_back.data, outcome.give_back.len, "k3", 2));
	batch_free(b);
	reply_reader_free(reader);
	buf_fini(&out);
	buf_fini(&outcome.give_back);
}

/* NOSCRIPT: nothing ran, so the call is made again, without those that left. */
static void
test_again(void **state)
{
	struct batch *b = batch_new(&scratch);
	struct buf out = { 0 };
	struct fixture f[3];

	(void)state;
	n_left = 0;
	n_done = 0;
	for (int i = 0; i < 3; i++) {
		static const char *const keys[] = { "k0", "k1", "k2" };

		assert_int_equal(batch_add(b, make(&f[i], keys[i], NULL, 1)), 0);
		f[i].take.deadline_us = 1000 * (i + 1);
	}
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	batch_expire(b, 2000, on_left, NULL);
	batch_regather(b);
	buf_clear(&out);
	assert_true(batch_format(b, slice_str("y"), NOW_US, &out));
	assert_null(memmem(out.data, out.len, "k0", 2));
	assert_null(memmem(out.data, out.len, "k1", 2));
	assert_non_null(memmem(out.data, out.len, "k2", 2));
	batch_regather(b);
	batch_expire(b, 3000, on_left, NULL);
	assert_false(batch_format(b, slice_str("y"), NOW_US, &out));
	assert_int_equal(batch_live(b), 0);
	batch_free(b);
	buf_fini(&out);
}

/* More shapes than a batch tells apart still make a right call. */
static void
test_many_shapes(void **state)
{
	enum { N = 60 };
	static struct fixture f[N];
	static char keys[N][8];
	struct batch *b = batch_new(&scratch);
	struct reply_reader *reader = reply_reader_new();
	struct batch_outcome outcome = { 0 };
	struct buf out = { 0 };
	struct buf text = { 0 };

	(void)state;
	n_done = 0;
	for (int i = 0; i < N; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		assert_int_equal(batch_add(b, make(&f[i], keys[i], NULL, i + 1)), 0);
	}
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	buf_printf(&text, "*%d\r\n:%lld\r\n", N + 1, (long long)NOW_US);
	/* Every shape differs, and so the order of the call is the order of the runs:
	 * the answer tells each check its own cost. */
	for (int i = 0; i < N; i++)
		buf_printf(&text, ":%d\r\n", i + 1);
	assert_int_equal(
	    batch_apply(b, read_reply(reader, buf_cstr(&text)), &store, &outcome), 0);
	assert_int_equal(n_done, N);
	for (int i = 0; i < N; i++)
		assert_int_equal(f[i].charges[0].count.used, i + 1);
	batch_free(b);
	reply_reader_free(reader);
	buf_fini(&out);
	buf_fini(&text);
}

/* --- takes with a ledger ------------------------------------------------------ */

#define PRINT "abababababababababababababababab"
#define HOLDER "01010101010101010101010101010101"
#define FIRST "23232323232323232323232323232323"
#define BULK32(text) "$32\r\n" text "\r\n"

static const struct limit slots = {
	.algorithm = ALGORITHM_CONCURRENCY, .max = 4, .window = { .name = "slots" }
};

static void
give_ledger(struct fixture *f, struct ledger *ledger, const char *id, const char *held)
{
	*ledger = (struct ledger){ .id_key = slice_str(id),
		.print = slice_str(PRINT),
		.dedup_ms = 600000,
		.held_key = slice_str(held),
		.holder = slice_str(HOLDER),
		.ttl_ms = 5000,
		.replayed = true };
	f->take.ledger = ledger;
}

static void
test_ledger_call(void **state)
{
	static const char call[] =
	    "*56\r\n$7\r\nEVALSHA\r\n$1\r\nx\r\n$2\r\n12\r\n"
	    "$1\r\na\r\n"
	    "$2\r\ni1\r\n$2\r\nh1\r\n$1\r\nb\r\n$1\r\nB\r\n"
	    "$2\r\ni2\r\n$2\r\nh2\r\n$1\r\nc\r\n$1\r\nC\r\n"
	    "$2\r\ni3\r\n$1\r\nd\r\n$2\r\nh4\r\n"
	    "$1\r\n1\r\n$1\r\n1\r\n$2\r\n30\r\n$1\r\n1\r\n$5\r\n60000\r\n$1\r\n0\r\n"
	    "$6\r\nledger\r\n$6\r\n600000\r\n$4\r\n5000\r\n$2\r\n01\r\n"
	    "$1\r\n2\r\n$1\r\n2\r\n$2\r\n30\r\n$1\r\n1\r\n$5\r\n60000\r\n$1\r\n0\r\n"
	    "$1\r\n4\r\n$1\r\n1\r\n$5\r\nslots\r\n" BULK32(PRINT) BULK32(HOLDER)
		BULK32(PRINT) BULK32(
		    HOLDER) "$6\r\nledger\r\n$6\r\n600000\r\n$1\r\n0\r\n$1\r\n0\r\n"
			    "$2\r\n-1\r\n$1\r\n1\r\n$2\r\n30\r\n$1\r\n1\r\n$"
			    "5\r\n60000\r\n$1\r\n0\r\n" BULK32(
				PRINT) "$6\r\nledger\r\n$1\r\n0\r\n$4\r\n5000\r\n$"
				       "1\r\n-\r\n"
				       "$1\r\n1\r\n$1\r\n0\r\n" BULK32(HOLDER);
	struct batch *b = batch_new(&scratch);
	struct ledger ledgers[4];
	struct fixture f[5];
	struct buf out = { 0 };

	(void)state;
	make(&f[0], "a", NULL, 1);
	make(&f[1], "b", "B", 1);
	make(&f[2], "c", "C", 1);
	for (int i = 1; i < 3; i++) {
		f[i].charges[1].limit = &slots;
		f[i].charges[1].corrects = true;
	}
	give_ledger(&f[1], &ledgers[0], "i1", "h1");
	give_ledger(&f[2], &ledgers[1], "i2", "h2");
	make(&f[3], "d", NULL, 1);
	f[3].take.look = true;
	give_ledger(&f[3], &ledgers[2], "i3", NULL);
	make(&f[4], "e", NULL, 1);
	f[4].take.n = 0;
	give_ledger(&f[4], &ledgers[3], NULL, "h4");
	for (int i = 0; i < 5; i++)
		assert_int_equal(batch_add(b, &f[i].take), 0);
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	assert_string_equal(buf_cstr(&out), call);
	batch_fail(b, &store, FAULT_OTHER, NULL);
	batch_free(b);
	buf_fini(&out);
}

/* Whatever the script has to know of a ledger keeps two takes from one run. */
static void
test_ledgers_that_differ(void **state)
{
	struct batch *b = batch_new(&scratch);
	struct ledger ledgers[6];
	struct fixture f[6];
	struct buf out = { 0 };
	size_t runs = 0;

	(void)state;
	for (int i = 0; i < 6; i++) {
		make(&f[i], "k", NULL, 1);
		give_ledger(
		    &f[i], &ledgers[i], i == 1 ? NULL : "i", i == 2 ? NULL : "h");
	}
	ledgers[3].dedup_ms++;
	ledgers[4].ttl_ms++;
	f[5].charges[0].corrects = true;
	for (int i = 0; i < 6; i++)
		assert_int_equal(batch_add(b, &f[i].take), 0);
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	for (const char *at = buf_cstr(&out); (at = strstr(at, "ledger")); at++)
		runs++;
	assert_int_equal(runs, 6);
	batch_fail(b, &store, FAULT_OTHER, NULL);
	batch_free(b);
	buf_fini(&out);
}

static void
test_ledger_answers(void **state)
{
	static const char answer[] = "*19\r\n:1767225601500000\r\n"
				     ":0\r\n:1\r\n:2\r\n:500\r\n"
				     "$58\r\nREPLAYED 1767225600000001 " HOLDER "\r\n"
				     ":7\r\n:3\r\n:400\r\n"
				     "$8\r\nCONFLICT\r\n:0\r\n:0\r\n:0\r\n"
				     "$9\r\nWRONGTYPE\r\n:0\r\n:0\r\n:0\r\n"
				     "$27\r\nREPLAYED 1767225600000001 -\r\n"
				     ":0\r\n";
	struct batch *b = batch_new(&scratch);
	struct reply_reader *reader = reply_reader_new();
	struct batch_outcome outcome = { 0 };
	struct ledger ledgers[6];
	struct buf out = { 0 };
	struct fixture f[6];

	(void)state;
	n_done = 0;
	for (int i = 0; i < 6; i++) {
		make(&f[i], "k", "K", 1);
		f[i].charges[1].limit = &slots;
		give_ledger(&f[i], &ledgers[i], "i", i < 4 ? "h" : NULL);
		if (i >= 4)
			f[i].take.n = 0;
		assert_int_equal(batch_add(b, &f[i].take), 0);
	}
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	assert_int_equal(
	    batch_apply(b, read_reply(reader, answer), &store, &outcome), 0);
	assert_int_equal(n_done, 6);
	assert_int_equal(f[0].take.status, TAKE_ADMITTED);
	assert_false(ledgers[0].replayed);
	assert_int_equal(f[0].take.now_us, NOW_US);
	assert_int_equal(f[0].charges[1].count.used, 2);
	assert_int_equal(f[0].charges[1].count.before, 500);
	assert_int_equal(f[1].take.status, TAKE_ADMITTED);
	assert_true(ledgers[1].replayed);
	assert_string_equal(ledgers[1].replayed_holder, HOLDER);
	assert_int_equal(f[1].take.now_us, INT64_C(1767225600000001));
	assert_int_equal(f[1].charges[0].count.used, 7);
	assert_int_equal(f[2].take.status, TAKE_CONFLICT);
	assert_false(ledgers[2].replayed);
	assert_int_equal(f[3].take.status, TAKE_FAILED);
	assert_int_equal(f[3].take.fault, FAULT_WRONGTYPE);
	assert_true(ledgers[4].replayed);
	assert_string_equal(ledgers[4].replayed_holder, "");
	assert_int_equal(f[4].take.status, TAKE_ADMITTED);
	assert_int_equal(f[5].take.status, TAKE_ADMITTED);
	assert_false(ledgers[5].replayed);
	batch_free(b);
	reply_reader_free(reader);
	buf_fini(&out);
	buf_fini(&outcome.give_back);
}

/* A peek of an admitted id is told of that, whatever there is room for now. */
static void
test_ledger_look(void **state)
{
	struct batch *b = batch_new(&scratch);
	struct reply_reader *reader = reply_reader_new();
	struct batch_outcome outcome = { 0 };
	struct ledger ledgers[2];
	struct buf out = { 0 };
	struct fixture f[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		make(&f[i], "k", NULL, 25);
		f[i].take.look = true;
		give_ledger(&f[i], &ledgers[i], "i", NULL);
		assert_int_equal(batch_add(b, &f[i].take), 0);
	}
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	assert_int_equal(batch_apply(b,
			     read_reply(reader,
				 "*5\r\n:1767225601500000\r\n:0\r\n:20\r\n"
				 "$12\r\nREPLAYED 5 -\r\n:20\r\n"),
			     &store, &outcome),
	    0);
	assert_int_equal(f[0].take.status, TAKE_REFUSED);
	assert_int_equal(f[1].take.status, TAKE_ADMITTED);
	assert_int_equal(f[1].take.now_us, 5);
	batch_free(b);
	reply_reader_free(reader);
	buf_fini(&out);
	buf_fini(&outcome.give_back);
}

/* Of those that left, what this call admitted is given back, with its records, and what
 * was a retry with those of the first one; not a conflict, a refusal, or an error. */
static void
test_ledger_leaving(void **state)
{
	static const char keys[] = "$2\r\n10\r\n$2\r\ni0\r\n$2\r\nh0\r\n$2\r\nk0\r\n"
				   "$2\r\nK0\r\n"
				   "$2\r\ni1\r\n$33\r\n#" FIRST "\r\n$2\r\nk1\r\n"
				   "$2\r\nK1\r\n$2\r\nh5\r\n$2\r\nK5\r\n";
#define SLOT "$1\r\n1\r\n$5\r\nslots\r\n$1\r\n0\r\n$1\r\n0\r\n"
#define MINUTE "$1\r\n1\r\n$5\r\nfixed\r\n$13\r\n1767225660000\r\n$5\r\n60000\r\n"
	static const char args[] =
	    "$1\r\n2\r\n$82\r\n" PRINT " 1767225601500000 " HOLDER "\r\n" BULK32(HOLDER)
		MINUTE SLOT "$1\r\n2\r\n$82\r\n" PRINT " 1767225600000001 " FIRST
			    "\r\n" BULK32(FIRST) MINUTE SLOT
	    "$1\r\n1\r\n$0\r\n\r\n" BULK32(HOLDER) SLOT;
	static const char *const names[] = { "i0", "h0", "k0", "K0", "i1", "#" HOLDER,
		"k1", "K1", "i2", "h2", "k2", "K2", "i3", "h3", "k3", "K3", "i4", "h4",
		"k4", "K4", NULL, "h5", "k5", "K5" };
	struct batch *b = batch_new(&scratch);
	struct reply_reader *reader = reply_reader_new();
	struct batch_outcome outcome = { 0 };
	struct ledger ledgers[6];
	struct buf out = { 0 };
	struct fixture f[6];

	(void)state;
	n_left = 0;
	for (int i = 0; i < 6; i++) {
		make(&f[i], names[4 * i + 2], names[4 * i + 3], i < 5);
		f[i].charges[1].limit = &slots;
		give_ledger(&f[i], &ledgers[i], names[4 * i], names[4 * i + 1]);
		assert_int_equal(batch_add(b, &f[i].take), 0);
	}
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	for (int i = 0; i < 3; i++)
		batch_expire(b, 1000, on_left, NULL);
	assert_int_equal(batch_live(b), 0);
	memset(ledgers, 0, sizeof(ledgers)); /* their owners freed them */
	assert_int_equal(
	    batch_apply(b,
		read_reply(reader,
		    "*25\r\n:1767225601500000\r\n"
		    ":0\r\n:1\r\n:2\r\n:500\r\n"
		    "$58\r\nREPLAYED 1767225600000001 " FIRST "\r\n:1\r\n:1\r\n:1\r\n"
		    "$8\r\nCONFLICT\r\n:0\r\n:0\r\n:0\r\n"
		    ":0\r\n:1\r\n:-5\r\n:500\r\n"
		    "$9\r\nWRONGTYPE\r\n:0\r\n:0\r\n:0\r\n"
		    ":0\r\n:1\r\n:2\r\n:500\r\n"),
		&store, &outcome),
	    0);
	assert_int_equal(outcome.late, 6);
	assert_int_equal(outcome.admitted, 3);
	assert_non_null(memmem(
	    outcome.give_back.data, outcome.give_back.len, keys, sizeof(keys) - 1));
	assert_non_null(memmem(
	    outcome.give_back.data, outcome.give_back.len, args, sizeof(args) - 1));
	assert_true(memcmp(outcome.give_back.data, "*42\r\n", 5) == 0);
	batch_free(b);
	reply_reader_free(reader);
	buf_fini(&out);
	buf_fini(&outcome.give_back);
}

/* Of an id alone the record names no holder, whatever its ledger still has of one. */
static void
test_ledger_leaving_without_reservation(void **state)
{
	static const char start[] = "$51\r\n" PRINT " 1767225601500000 -\r\n$0\r\n\r\n";
	struct batch *b = batch_new(&scratch);
	struct reply_reader *reader = reply_reader_new();
	struct batch_outcome outcome = { 0 };
	struct ledger ledger;
	struct buf out = { 0 };
	struct fixture f;

	(void)state;
	make(&f, "k", NULL, 1);
	give_ledger(&f, &ledger, "i", NULL);
	assert_int_equal(batch_add(b, &f.take), 0);
	assert_true(batch_format(b, slice_str("x"), NOW_US, &out));
	batch_expire(b, 1000, on_left, NULL);
	assert_int_equal(
	    batch_apply(b,
		read_reply(reader, "*3\r\n:1767225601500000\r\n:0\r\n:1\r\n"), &store,
		&outcome),
	    0);
	assert_int_equal(outcome.admitted, 1);
	assert_non_null(memmem(
	    outcome.give_back.data, outcome.give_back.len, start, sizeof(start) - 1));
	batch_free(b);
	reply_reader_free(reader);
	buf_fini(&out);
	buf_fini(&outcome.give_back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_limits_alike),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_answer_that_does_not_fit),
		cmocka_unit_test(test_leaving),
		cmocka_unit_test(test_shadow),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_many_shapes),
		cmocka_unit_test(test_ledger_call),
		cmocka_unit_test(test_ledgers_that_differ),
		cmocka_unit_test(test_ledger_answers),
		cmocka_unit_test(test_ledger_look),
		cmocka_unit_test(test_ledger_leaving),
		cmocka_unit_test(test_ledger_leaving_without_reservation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
