/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/hash.h"
#include "hash_fixture.h"

/* FIPS 180-2, appendix B, and the empty message. */
static void
test_sha256_known_answers(void **state)
{
	static const struct {
		const char *text;
		const char *sum;
	} cases[] = {
		{ "",
		    "e3b0c44298fc1c149afbf4c8996fb924"
		    "27ae41e4649b934ca495991b7852b855" },
		{ "abc",
		    "ba7816bf8f01cfea414140de5dae2223"
		    "b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    "248d6a61d20638b8e5c026930c3e6039"
		    "a33ce45964ff2167f6ecedd419db06c1" },
	};
	char hex[65];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		hash_sha256_hex(slice_str(cases[i].text), hex, 64);
		assert_string_equal(hex, cases[i].sum);
		memset(hex, 'x', sizeof(hex));
		hash_sha256_hex(slice_str(cases[i].text), hex, 32);
		assert_int_equal(strlen(hex), 32);
		assert_memory_equal(hex, cases[i].sum, 32);
		assert_int_equal(hex[33], 'x');
	}
}

static void
test_sha256_of_a_million_bytes(void **state)
{
	char *text = malloc(1000000);
	char hex[65];

	(void)state;
	memset(text, 'a', 1000000);
	hash_sha256_hex(slice_make(text, 1000000), hex, 64);
	assert_string_equal(hex,
	    "cdc76e5c9914fb9281a1c7e284d73e67"
	    "f1809a48a497200e046d39ccc7112cd0");
	free(text);
}

static void
test_hash_is_stable_and_spreads(void **state)
{
	uint64_t one = hash_bytes("key", 3);
	uint64_t seen = 0;

	(void)state;
	assert_int_equal(hash_start(), 0);
	assert_true(hash_bytes("key", 3) == one);
	assert_true(hash_bytes("kez", 3) != one);
	assert_true(hash_bytes("key", 2) != one);
	for (int i = 0; i < 64; i++)
		seen |= hash_bytes(&i, sizeof(i));
	assert_true(seen == UINT64_MAX);
}

static void
test_equal_constant(void **state)
{
	(void)state;
	assert_true(hash_equal_constant("secret", "secret", 6));
	assert_false(hash_equal_constant("secret", "secreT", 6));
	assert_false(hash_equal_constant("Secret", "secret", 6));
	assert_true(hash_equal_constant("a", "b", 0));
}

static void
test_random_stays_below_its_bound(void **state)
{
	(void)state;
	assert_int_equal(hash_random(1), 0);
	for (int i = 0; i < 1000; i++)
		assert_true(hash_random(7) < 7);
}

static void
test_wide(void **state)
{
	uint64_t a[2], b[2];

	(void)state;
	assert_int_equal(hash_start(), 0);
	hash_bytes_wide("abc", 3, a);
	hash_bytes_wide("abc", 3, b);
	assert_memory_equal(a, b, sizeof(a));
	hash_bytes_wide("abd", 3, b);
	assert_true(a[0] != b[0] && a[1] != b[1]);
	hash_bytes_wide("", 0, b);
	assert_true(a[0] != b[0] && a[1] != b[1] && b[0] != b[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_sha256_known_answers),
		cmocka_unit_test(test_sha256_of_a_million_bytes),
		cmocka_unit_test(test_hash_is_stable_and_spreads),
		cmocka_unit_test(test_equal_constant),
		cmocka_unit_test(test_random_stays_below_its_bound),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
