/* SPDX-License-Identifier: ISC */
/* A batch of takes that leave records: request ids and reservations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "batch_fixture.h"

#define PRINT "abababababababababababababababab"
#define HOLDER "01010101010101010101010101010101"
#define FIRST "23232323232323232323232323232323"
#define BULK32(text) "$32\r\n" text "\r\n"

static const struct limit slots = {
	.algorithm = ALGORITHM_CONCURRENCY, .max = 4, .window = { .name = "slots" }
};

/* NULL: no id, no reservation. */
static void
give_ledger(size_t i, const char *id, const char *held)
{
	struct one *one = &here.ones[i];

	one->ledger = (struct ledger){ .id_key = slice_str(id),
		.print = slice_str(PRINT),
		.dedup_ms = 600000,
		.held_key = slice_str(held),
		.holder = slice_str(HOLDER),
		.ttl_ms = 5000,
		.replayed = true };
	one->take.ledger = &one->ledger;
}

static void
test_ledger_call(void **state)
{
	static const char whole[] =
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

	(void)state;
	make(0, "a", NULL, 1);
	make(1, "b", "B", 1);
	make(2, "c", "C", 1);
	for (int i = 1; i < 3; i++) {
		here.ones[i].charges[1].limit = &slots;
		here.ones[i].charges[1].corrects = true;
	}
	give_ledger(1, "i1", "h1");
	give_ledger(2, "i2", "h2");
	make(3, "d", NULL, 1);
	here.ones[3].take.look = true;
	give_ledger(3, "i3", NULL);
	make(4, "e", NULL, 1);
	here.ones[4].take.n = 0;
	give_ledger(4, NULL, "h4");
	for (int i = 0; i < 5; i++)
		add(i);
	assert_string_equal(call(), whole);
}

/* Whatever the script has to know of a ledger keeps two takes from one run. */
static void
test_ledgers_that_differ(void **state)
{
	size_t runs = 0;

	(void)state;
	for (int i = 0; i < 6; i++) {
		make(i, "k", NULL, 1);
		give_ledger(i, i == 1 ? NULL : "i", i == 2 ? NULL : "h");
	}
	here.ones[3].ledger.dedup_ms++;
	here.ones[4].ledger.ttl_ms++;
	here.ones[5].charges[0].corrects = true;
	for (int i = 0; i < 6; i++)
		add(i);
	for (const char *at = call(); (at = strstr(at, "ledger")); at++)
		runs++;
	assert_int_equal(runs, 6);
}

static void
test_ledger_answers(void **state)
{
	static const char reply[] = "*19\r\n:1767225601500000\r\n"
				    ":0\r\n:1\r\n:2\r\n:500\r\n"
				    "$58\r\nREPLAYED 1767225600000001 " HOLDER "\r\n"
				    ":7\r\n:3\r\n:400\r\n"
				    "$8\r\nCONFLICT\r\n:0\r\n:0\r\n:0\r\n"
				    "$9\r\nWRONGTYPE\r\n:0\r\n:0\r\n:0\r\n"
				    "$27\r\nREPLAYED 1767225600000001 -\r\n"
				    ":0\r\n";

	(void)state;
	for (int i = 0; i < 6; i++) {
		make(i, "k", "K", 1);
		here.ones[i].charges[1].limit = &slots;
		give_ledger(i, "i", i < 4 ? "h" : NULL);
		if (i >= 4)
			here.ones[i].take.n = 0;
		add(i);
	}
	call();
	answer(reply);
	assert_int_equal(here.n_told, 6);
	assert_int_equal(here.ones[0].take.status, TAKE_ADMITTED);
	assert_false(here.ones[0].ledger.replayed);
	assert_int_equal(here.ones[0].take.now_us, NOW_US);
	assert_int_equal(here.ones[0].charges[1].count.used, 2);
	assert_int_equal(here.ones[0].charges[1].count.before, 500);
	assert_int_equal(here.ones[1].take.status, TAKE_ADMITTED);
	assert_true(here.ones[1].ledger.replayed);
	assert_string_equal(here.ones[1].ledger.replayed_holder, HOLDER);
	assert_int_equal(here.ones[1].take.now_us, INT64_C(1767225600000001));
	assert_int_equal(here.ones[1].charges[0].count.used, 7);
	assert_int_equal(here.ones[2].take.status, TAKE_CONFLICT);
	assert_false(here.ones[2].ledger.replayed);
	assert_int_equal(here.ones[3].take.status, TAKE_FAILED);
	assert_int_equal(here.ones[3].take.fault, FAULT_WRONGTYPE);
	assert_true(here.ones[4].ledger.replayed);
	assert_string_equal(here.ones[4].ledger.replayed_holder, "");
	assert_int_equal(here.ones[4].take.status, TAKE_ADMITTED);
	assert_int_equal(here.ones[5].take.status, TAKE_ADMITTED);
	assert_false(here.ones[5].ledger.replayed);
}

/* A peek of an admitted id is told of that, whatever there is room for now. */
static void
test_ledger_look(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		make(i, "k", NULL, 25);
		here.ones[i].take.look = true;
		give_ledger(i, "i", NULL);
		add(i);
	}
	call();
	answer("*5\r\n:1767225601500000\r\n:0\r\n:20\r\n"
	       "$12\r\nREPLAYED 5 -\r\n:20\r\n");
	assert_int_equal(here.ones[0].take.status, TAKE_REFUSED);
	assert_int_equal(here.ones[1].take.status, TAKE_ADMITTED);
	assert_int_equal(here.ones[1].take.now_us, 5);
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

	(void)state;
	for (int i = 0; i < 6; i++) {
		make(i, names[4 * i + 2], names[4 * i + 3], i < 5);
		here.ones[i].charges[1].limit = &slots;
		give_ledger(i, names[4 * i], names[4 * i + 1]);
		add(i);
	}
	call();
	for (int i = 0; i < 3; i++)
		batch_expire(here.batch, 1000, on_left, NULL);
	assert_int_equal(batch_live(here.batch), 0);
	for (int i = 0; i < 6; i++) /* their owners freed them */
		memset(&here.ones[i].ledger, 0, sizeof(here.ones[i].ledger));
	answer("*25\r\n:1767225601500000\r\n"
	       ":0\r\n:1\r\n:2\r\n:500\r\n"
	       "$58\r\nREPLAYED 1767225600000001 " FIRST "\r\n:1\r\n:1\r\n:1\r\n"
	       "$8\r\nCONFLICT\r\n:0\r\n:0\r\n:0\r\n"
	       ":0\r\n:1\r\n:-5\r\n:500\r\n"
	       "$9\r\nWRONGTYPE\r\n:0\r\n:0\r\n:0\r\n"
	       ":0\r\n:1\r\n:2\r\n:500\r\n");
	assert_int_equal(here.outcome.late, 6);
	assert_int_equal(here.outcome.admitted, 3);
	assert_true(gives_back(keys));
	assert_true(gives_back(args));
	assert_true(memcmp(here.outcome.give_back.data, "*42\r\n", 5) == 0);
}

/* Of an id alone the record names no holder, whatever its ledger still has of one. */
static void
test_ledger_leaving_without_reservation(void **state)
{
	static const char record[] =
	    "$51\r\n" PRINT " 1767225601500000 -\r\n$0\r\n\r\n";

	(void)state;
	make(0, "k", NULL, 1);
	give_ledger(0, "i", NULL);
	add(0);
	call();
	batch_expire(here.batch, 1000, on_left, NULL);
	answer("*3\r\n:1767225601500000\r\n:0\r\n:1\r\n");
	assert_int_equal(here.outcome.admitted, 1);
	assert_true(gives_back(record));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BATCH(test_ledger_call),
		WITH_BATCH(test_ledgers_that_differ),
		WITH_BATCH(test_ledger_answers),
		WITH_BATCH(test_ledger_look),
		WITH_BATCH(test_ledger_leaving),
		WITH_BATCH(test_ledger_leaving_without_reservation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
