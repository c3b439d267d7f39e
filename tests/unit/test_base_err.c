/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/utf8.h"

static void
test_set_fills_and_clears(void **state)
{
	struct errinfo ei;

	(void)state;
	memset(&ei, 'x', sizeof(ei));
	assert_int_equal(err_set(&ei, ERR_INVALID, "%s is %d", "it", 3), ERR_INVALID);
	assert_int_equal(ei.code, ERR_INVALID);
	assert_string_equal(ei.text, "it is 3");
	assert_int_equal(ei.line, 0);
	assert_int_equal(ei.column, 0);
	assert_string_equal(ei.file, "");
	assert_string_equal(ei.pointer, "");
	assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

static void
test_long_text_is_cut_between_characters(void **state)
{
	struct errinfo ei;
	char text[1024];

	(void)state;
	/* Every length, so that each cut falls on each byte of a character. */
	for (size_t pad = 0; pad < 4; pad++) {
		memset(text, 'a', pad);
		text[pad] = '\0';
		while (strlen(text) < 900)
			strcat(text, "\xF0\x9F\x90\x98");
		(void)err_set(&ei, ERR_INVALID, "%s", text);
		assert_true(strlen(ei.text) < sizeof(ei.text));
		assert_true(strlen(ei.text) >= sizeof(ei.text) - 5);
		assert_true(utf8_valid(ei.text, strlen(ei.text)));
	}
}

static void
test_format_leaves_out_what_is_empty(void **state)
{
	struct errinfo ei;
	char out[256];

	(void)state;
	(void)err_set(&ei, ERR_INVALID, "wrong");
	err_format(&ei, out, sizeof(out));
	assert_string_equal(out, "wrong");
	snprintf(ei.file, sizeof(ei.file), "p.json");
	err_format(&ei, out, sizeof(out));
	assert_string_equal(out, "p.json: wrong");
	ei.line = 3;
	err_format(&ei, out, sizeof(out));
	assert_string_equal(out, "p.json:3: wrong");
	ei.column = 7;
	snprintf(ei.pointer, sizeof(ei.pointer), "/tools/a");
	err_format(&ei, out, sizeof(out));
	assert_string_equal(out, "p.json:3:7: wrong (/tools/a)");
}

/* Names come from files and the environment: none may write to the terminal. */
static void
test_format_shows_control_characters(void **state)
{
	struct errinfo ei;
	char out[512];

	(void)state;
	(void)err_set(&ei, ERR_INVALID,
	    "a\nb\x7f \xc2\x9b"
	    "31m \xff \xc3\xa9");
	snprintf(ei.file, sizeof(ei.file), "p\x1b[31m.json");
	snprintf(ei.pointer, sizeof(ei.pointer), "/a\r");
	err_format(&ei, out, sizeof(out));
	assert_string_equal(out,
	    "p\\x1b[31m.json: a\\x0ab\\x7f \\xc2\\x9b31m \\xff \xc3\xa9 (/a\\x0d)");
	err_format(&ei, out, 20); /* cut, and still ended */
	assert_int_equal(strlen(out), 19);
}

static void
test_list_keeps_and_sorts(void **state)
{
	struct errlist list;

	(void)state;
	errlist_init(&list, "p.json");
	assert_int_equal(
	    errlist_add(&list, ERR_INVALID, 9, 1, "/c", "third"), ERR_INVALID);
	errlist_add(&list, ERR_INVALID, 2, 5, "/b", "second");
	errlist_add(&list, ERR_INVALID, 2, 1, "/a", "first");
	errlist_add(&list, ERR_INVALID, 2, 5, NULL, "second again");
	errlist_sort(&list);
	assert_int_equal(list.n, 4);
	assert_string_equal(list.items[0].text, "first");
	assert_string_equal(list.items[1].text, "second");
	assert_string_equal(list.items[2].text, "second again");
	assert_string_equal(list.items[2].pointer, "");
	assert_string_equal(list.items[3].text, "third");
	assert_string_equal(list.items[3].file, "p.json");
	errlist_fini(&list);
}

static void
test_list_counts_what_it_does_not_keep(void **state)
{
	struct errlist list;

	(void)state;
	errlist_init(&list, NULL);
	for (int i = 0; i < ERRLIST_MAX + 3; i++)
		errlist_add(&list, ERR_INVALID, i, 1, "", "fault %d", i);
	assert_int_equal(list.n, ERRLIST_MAX);
	assert_int_equal(list.more, 3);
	assert_string_equal(list.items[ERRLIST_MAX - 1].text, "fault 199");
	errlist_fini(&list);
	assert_int_equal(list.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_fills_and_clears),
		cmocka_unit_test(test_long_text_is_cut_between_characters),
		cmocka_unit_test(test_format_leaves_out_what_is_empty),
		cmocka_unit_test(test_format_shows_control_characters),
		cmocka_unit_test(test_list_keeps_and_sorts),
		cmocka_unit_test(test_list_counts_what_it_does_not_keep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
