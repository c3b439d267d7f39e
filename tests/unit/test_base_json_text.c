/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/json_text.h"

static void
test_commas_and_nesting(void **state)
{
	struct buf out = { 0 };
	struct json_text j;

	(void)state;
	json_text_init(&j, &out);
	json_text_open(&j, NULL, '{');
	json_text_int(&j, "a", -1);
	json_text_open(&j, "b", '[');
	json_text_open(&j, NULL, '{');
	json_text_close(&j, '}');
	json_text_int(&j, NULL, 2);
	json_text_bool(&j, NULL, true);
	json_text_close(&j, ']');
	json_text_string(&j, "c", slice_str("x"));
	json_text_bool(&j, "d", false);
	json_text_null(&j, "e");
	json_text_close(&j, '}');
	assert_string_equal(buf_cstr(&out),
	    "{\"a\":-1,\"b\":[{},2,true],\"c\":\"x\",\"d\":false,\"e\":null}");
	buf_fini(&out);
}

static void
test_quote(void **state)
{
	static const struct {
		struct slice raw;
		const char *want;
	} cases[] = {
		{ { NULL, 0 }, "\"\"" },
		{ { "plain", 5 }, "\"plain\"" },
		{ { "a\"b\\c", 5 }, "\"a\\\"b\\\\c\"" },
		{ { "\b\f\n\r\t", 5 }, "\"\\b\\f\\n\\r\\t\"" },
		{ { "\0\x01\x1f\x7f", 4 }, "\"\\u0000\\u0001\\u001f\\u007f\"" },
		{ { "/", 1 }, "\"/\"" },
		{ { "\xF0\x9F\x90\x98", 4 }, "\"\xF0\x9F\x90\x98\"" },
		/* Each bad byte becomes one U+FFFD; what is good stays. */
		{ { "\xFF", 1 }, "\"\xEF\xBF\xBD\"" },
		{ { "a\xC3\xA9\xC3z", 5 }, "\"a\xC3\xA9\xEF\xBF\xBDz\"" },
		{ { "\xE2\x82", 2 }, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out = { 0 };

		json_text_quote(&out, cases[i].raw);
		assert_string_equal(buf_cstr(&out), cases[i].want);
		buf_fini(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commas_and_nesting),
		cmocka_unit_test(test_quote),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
