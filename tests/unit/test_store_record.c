/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/num.h"
#include "store/record.h"

/* A record of one charge of each algorithm. */
static const char all[] = "h p:q:{grant=a}:x:minute 5 1 fixed 60000 60000"
			  " p:q:{grant=a}:y:minute.sliding 0 0 sliding 60000 120000"
			  " k 9007199254740991 1 bucket 9007199254740991 1"
			  " p:q:{grant=a}:z:slots 1 0 slots 0 0";

/* In memory of its own, so that reading past its end is seen. */
static int
parse(const char *text, size_t len, struct record *out)
{
	char *copy = malloc(len ? len : 1);
	int rc;

	memcpy(copy, text, len);
	rc = record_parse(slice_make(copy, len), out);
	free(copy);
	return rc;
}

static void
test_reads_what_it_writes(void **state)
{
	struct record record;
	struct buf text = { 0 };

	(void)state;
	assert_int_equal(record_parse(slice_str(all), &record), 0);
	assert_false(record.settled);
	assert_int_equal(record.n, 4);
	assert_true(slice_eq_str(record.charges[0].key, "p:q:{grant=a}:x:minute"));
	assert_int_equal(record.charges[0].cost, 5);
	assert_true(record.charges[0].corrects);
	assert_int_equal(record.charges[0].algorithm, ALGORITHM_FIXED);
	assert_int_equal(record.charges[1].b, 120000);
	assert_false(record.charges[1].corrects);
	assert_true(record.charges[2].a == NUM_MAX);
	assert_int_equal(record.charges[3].algorithm, ALGORITHM_CONCURRENCY);
	record_format(&record, &text);
	assert_string_equal(buf_cstr(&text), all);
	buf_clear(&text);

	assert_int_equal(record_parse(slice_str("s"), &record), 0);
	assert_true(record.settled);
	assert_int_equal(record.n, 0);
	record_format(&record, &text);
	assert_string_equal(buf_cstr(&text), "s");
	buf_clear(&text);

	assert_int_equal(record_parse(slice_str("h"), &record), 0);
	assert_false(record.settled);
	assert_int_equal(record.n, 0);
	record_format(&record, &text);
	assert_string_equal(buf_cstr(&text), "h");
	buf_fini(&text);
}

/* What was charged in other slots is named behind the charges, if any. */
static void
test_parts(void **state)
{
	static const char *const texts[] = {
		"h + p:q:{a}:#=x",
		"h p:q:{a}:x:minute 5 1 fixed 60000 60000 + p:q:{b}:#=x + p:q:{c}:#=x"
	};
	struct record record;
	struct buf text = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(record_parse(slice_str(texts[i]), &record), 0);
		assert_int_equal(record.n, i);
		assert_int_equal(record.n_parts, i + 1);
		buf_clear(&text);
		record_format(&record, &text);
		assert_string_equal(buf_cstr(&text), texts[i]);
	}
	assert_true(slice_eq_str(record.parts[1], "p:q:{c}:#=x"));
	buf_fini(&text);
}

static void
test_refuses(void **state)
{
	static const char *const texts[] = { "", " ", "x", "s ", "ss",
		"s k 1 0 slots 0 0", "H", "h ", "h  ", "hk 1 0 slots 0 0", "h k",
		"h k 1", "h k 1 0", "h k 1 0 slots", "h k 1 0 slots 0",
		"h k 1 0 slots 0 ", "h k 1 0 slots 0 0 ", "h  k 1 0 slots 0 0",
		"h k  1 0 slots 0 0", "h k 1 0 slots 0  0", " h k 1 0 slots 0 0",
		"h k 1 2 slots 0 0", "h k 1 0 slot 0 0", "h k 1 0 SLOTS 0 0",
		"h k 1 0 fixedd 1 1", "h k -1 0 fixed 1 1", "h k +1 0 fixed 1 1",
		"h k 01 0 fixed 1 1", "h k 1.0 0 fixed 1 1", "h k 1e3 0 fixed 1 1",
		"h k x 0 fixed 1 1", "h k 9007199254740992 0 fixed 1 1",
		"h k 1 0 fixed 9007199254740992 1",
		"h k 99999999999999999999999 0 fixed 1 1", "h k 1 0 bucket 1 0",
		"h k 1 0 fixed 1 1\n", "h\tk 1 0 fixed 1 1", "h k 1 0 fixed 1 1 s",
		"h k 1 0 fixed 1 1 k 1", "h +", "h + ", "h +  k", "h + k +",
		"h + k k 1 0 fixed 1 1", "h ++ k" };
	struct record record;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (parse(texts[i], strlen(texts[i]), &record) == 0)
			fail_msg("read \"%s\"", texts[i]);
	assert_true(parse("h k 1 0 slots 0 0\0", 18, &record) < 0);
	assert_true(parse("s\0", 2, &record) < 0);
}

/* Cut anywhere, it is whole up to a charge or it is refused. */
static void
test_cut(void **state)
{
	struct record record;

	(void)state;
	for (size_t len = 0; len < sizeof(all) - 1; len++) {
		if (parse(all, len, &record) < 0)
			continue;
		assert_true(record.n < 4);
		assert_true(all[len] == ' ' || (all[len] >= '0' && all[len] <= '9'));
	}
}

/* As many charges as a check can have, and not one more. */
static void
test_bounds_the_charges(void **state)
{
	struct record record;
	struct buf text = { 0 };

	(void)state;
	buf_add_char(&text, 'h');
	for (int i = 0; i < TAKE_CHARGES_MAX; i++)
		buf_add_str(&text, " k 1 0 fixed 2 3");
	assert_int_equal(parse(text.data, text.len, &record), 0);
	assert_int_equal(record.n, TAKE_CHARGES_MAX);
	buf_add_str(&text, " k 1 0 fixed 2 3");
	assert_true(parse(text.data, text.len, &record) < 0);
	buf_fini(&text);
}

/* Noise of the record's own letters: whatever is read is written the same again. */
static void
test_noise(void **state)
{
	static const char *const words[] = { "h", "s", " ", " ", " ", "k", "0", "1",
		"12", "fixed", "sliding", "bucket", "slots", "-1", "\0" };
	struct record record;
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct buf text = { 0 };
		struct buf again = { 0 };

		buf_add_str(&text, i % 2 ? "h k 1 1 " : "h ");
		for (int n = rand_r(&seed) % 14; n > 0; n--)
			buf_add_str(
			    &text, words[(size_t)rand_r(&seed) % ARRAY_LEN(words)]);
		if (record_parse(buf_slice(&text), &record) == 0) {
			record_format(&record, &again);
			assert_true(slice_eq(buf_slice(&text), buf_slice(&again)));
		}
		buf_fini(&text);
		buf_fini(&again);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_what_it_writes),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_bounds_the_charges),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
