/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "limit/key.h"

static void
assert_part(struct slice raw, const char *want)
{
	struct buf out = { 0 };

	buf_add_str(&out, "before:");
	key_add_part(&out, raw);
	buf_add_str(&out, ":after");
	assert_false(out.failed);
	assert_memory_equal(buf_cstr(&out), "before:", 7);
	assert_int_equal(out.len, strlen(want) + 13);
	assert_memory_equal(out.data + 7, want, strlen(want));
	assert_true(key_is_part(slice_make(out.data + 7, strlen(want))));
	buf_fini(&out);
}

static void
test_plain_stays(void **state)
{
	(void)state;
	assert_part(slice_str("alice-laptop"), "alice-laptop");
	assert_part(slice_str("AZaz09_.-"), "AZaz09_.-");
	assert_part(slice_make(NULL, 0), "");
}

static void
test_everything_else_is_percent_encoded(void **state)
{
	char name[2] = { 0 };
	char want[4];

	(void)state;
	assert_part(
	    slice_str("a:b{c}d%e f\ng&h=i"), "a%3Ab%7Bc%7Dd%25e%20f%0Ag%26h%3Di");
	assert_part(slice_str("~"), "%7E");
	assert_part(slice_str("\xF0\x9F\x90\x98"), "%F0%9F%90%98");
	assert_part(slice_make("a\0b", 3), "a%00b");
	for (int c = 1; c < 256; c++) {
		name[0] = (char)c;
		if (strchr("_.-", c) ||
		    (c < 128 &&
			strchr("0123456789"
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
			    c)))
			snprintf(want, sizeof(want), "%c", c);
		else
			snprintf(want, sizeof(want), "%%%02X", c);
		assert_part(slice_make(name, 1), want);
	}
}

static void
assert_digest(struct slice raw)
{
	char want[34];

	want[0] = '~';
	hash_sha256_hex(raw, want + 1, 32);
	assert_part(raw, want);
}

static void
test_long_parts_become_digests(void **state)
{
	char name[300];
	char want[KEY_PART_MAX + 1];

	(void)state;
	memset(name, 'x', sizeof(name));
	memset(want, 'x', sizeof(want));
	want[KEY_PART_MAX] = '\0';
	assert_part(slice_make(name, KEY_PART_MAX), want);
	assert_digest(slice_make(name, KEY_PART_MAX + 1));
	assert_digest(slice_make(name, sizeof(name)));
	/* What counts is the length after the encoding: 43 * 3 = 129. */
	memset(name, ':', sizeof(name));
	assert_digest(slice_make(name, 43));
	name[42] = 'a';
	name[41] = 'a';
	for (int i = 0; i < 41; i++)
		memcpy(want + 3 * i, "%3A", 3);
	memcpy(want + 123, "aa", 3);
	assert_part(slice_make(name, 43), want);
}

static void
test_known_digest(void **state)
{
	char name[200];

	(void)state;
	memset(name, 'a', sizeof(name));
	assert_part(
	    slice_make(name, sizeof(name)), "~c2a908d98f5df987ade41b5fce213067");
}

static void
test_what_is_no_part(void **state)
{
	static const char *const bad[] = { "a:b", "%", "a%2", "%2f", "%zz", "%41",
		"%%20", "{", "a b", "~", "~c2a908d98f5df987ade41b5fce21306",
		"~c2a908d98f5df987ade41b5fce2130670",
		"~C2a908d98f5df987ade41b5fce213067", "\xff" };
	char name[KEY_PART_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (key_is_part(slice_str(bad[i])))
			fail_msg("%s", bad[i]);
	assert_false(key_is_part(slice_make("a\0b", 3)));
	memset(name, 'a', sizeof(name));
	assert_true(key_is_part(slice_make(name, KEY_PART_MAX)));
	assert_false(key_is_part(slice_make(name, sizeof(name))));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_stays),
		cmocka_unit_test(test_everything_else_is_percent_encoded),
		cmocka_unit_test(test_long_parts_become_digests),
		cmocka_unit_test(test_known_digest),
		cmocka_unit_test(test_what_is_no_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
