/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "policy/position.h"

static void
check_place(const char *text, const char *pointer, int line, int column)
{
	struct position_index *index = position_new(text, strlen(text));
	struct position place;

	assert_non_null(index);
	place = position_find(index, pointer);
	if (place.line != line || place.column != column)
		fail_msg("%s of %s: wanted %d:%d, got %d:%d", pointer, text, line,
		    column, place.line, place.column);
	position_free(index);
}

static void
places(void **state)
{
	static const char text[] =
	    "\n {\n  \"a\" :\t1,\n  \"b\": [ true,\n"
	    "   {\"c\": \"x\\\"]\"}, [] ],\n\"d\":{}, \"e\":-1.5e3}\n";

	(void)state;
	check_place(text, "", 2, 2);
	check_place(text, "/a", 3, 3);
	check_place(text, "/b", 4, 3);
	check_place(text, "/b/0", 4, 10);
	check_place(text, "/b/1", 5, 4);
	check_place(text, "/b/1/c", 5, 5);
	check_place(text, "/b/2", 5, 19);
	check_place(text, "/d", 6, 1);
	check_place(text, "/e", 6, 9);
}

static void
columns_are_bytes(void **state)
{
	(void)state;
	check_place("{\"\xC3\xA9\":1,\"b\":2}", "/b", 1, 9);
	check_place("{\"\xC3\xA9\":1,\"b\":2}", "/\xC3\xA9", 1, 2);
}

static void
escapes(void **state)
{
	(void)state;
	check_place("{\"x\":0,\n\"a/b\":1}", "/a~1b", 2, 1);
	check_place("{\"x\":0,\n\"a~b\":1}", "/a~0b", 2, 1);
	check_place("{\"x\":0,\n\"a~1b\":1}", "/a~01b", 2, 1);
	check_place("{\"x\":0,\n\"\\u0061\\n\":1}", "/a\n", 2, 1);
	check_place("{\"x\":0,\n\"\\ud83d\\ude00\":1}", "/\xF0\x9F\x98\x80", 2, 1);
	check_place("{\"x\":0,\n\"\":1}", "/", 2, 1);
	check_place("{\"x\":0,\n\"\\\"\":1}", "/\"", 2, 1);
}

static void
unknown_gives_parent(void **state)
{
	(void)state;
	check_place("{\"x\":{\n\"y\":[1]}}", "/x/y/7/z", 2, 1);
	check_place("{\"x\":{\n\"y\":[1]}}", "/q", 1, 1);
	check_place("5", "/q", 1, 1);
}

static void
last_of_duplicates(void **state)
{
	(void)state;
	check_place("{\"a\":{\"x\":1},\n\"a\":{\n\"x\":2}}", "/a", 2, 1);
	check_place("{\"a\":{\"x\":1},\n\"a\":{\n\"x\":2}}", "/a/x", 3, 1);
}

static void
duplicates(void **state)
{
	static const char text[] = "{\"a\":1,\n\"b\":{\"a\":1,\"\\u0061\":2},\n"
				   "\"c\":[{\"a\":1},{\"a\":1,\n\"a\":1}]}";
	struct position_index *index = position_new(text, strlen(text));
	struct errlist errors;

	(void)state;
	errlist_init(&errors, "f");
	position_report_duplicates(index, &errors);
	errlist_sort(&errors);
	assert_int_equal(errors.n, 2);
	assert_string_equal(errors.items[0].pointer, "/b/a");
	assert_int_equal(errors.items[0].line, 2);
	assert_int_equal(errors.items[0].column, 12);
	assert_string_equal(errors.items[1].pointer, "/c/1/a");
	assert_int_equal(errors.items[1].line, 4);
	assert_non_null(strstr(errors.items[1].text, "the first is on line 3"));
	errlist_fini(&errors);
	position_free(index);
}

/* 2048 is as deep as jansson reads. */
static void
deep(void **state)
{
	struct buf text = { 0 };
	struct buf pointer = { 0 };

	(void)state;
	for (int i = 0; i < 2047; i++) {
		buf_add_str(&text, i % 2 ? "{\"k\":" : "[");
		buf_add_str(&pointer, i % 2 ? "/k" : "/0");
	}
	buf_add_str(&text, "\n7");
	for (int i = 2046; i >= 0; i--)
		buf_add_char(&text, i % 2 ? '}' : ']');
	check_place(buf_cstr(&text), buf_cstr(&pointer), 2, 1);
	buf_fini(&text);
	buf_fini(&pointer);
}

static void
offsets(void **state)
{
	struct position place = position_at("ab\n\nc", 4);

	(void)state;
	assert_int_equal(place.line, 3);
	assert_int_equal(place.column, 1);
	place = position_at("ab\n\nc", 2);
	assert_int_equal(place.line, 1);
	assert_int_equal(place.column, 3);
	place = position_at("", 0);
	assert_int_equal(place.line, 1);
	assert_int_equal(place.column, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places),
		cmocka_unit_test(columns_are_bytes),
		cmocka_unit_test(escapes),
		cmocka_unit_test(unknown_gives_parent),
		cmocka_unit_test(last_of_duplicates),
		cmocka_unit_test(duplicates),
		cmocka_unit_test(deep),
		cmocka_unit_test(offsets),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
