/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/token.h"

#define FIRST "0123456789abcdef"
#define SECOND "another-secret-of-ours"

static struct token_set *
parse(const char *text, struct errinfo *ei)
{
	return token_set_parse(text, strlen(text), ei);
}

static void
test_any_token_opens(void **state)
{
	struct errinfo ei;
	struct token_set *set = parse("# two of them\n\n  " FIRST "\t\r\n" SECOND, &ei);

	(void)state;
	assert_non_null(set);
	assert_true(token_set_has(set, slice_str(FIRST)));
	assert_true(token_set_has(set, slice_str(SECOND)));
	assert_false(token_set_has(set, slice_str(FIRST "0")));
	assert_false(token_set_has(set, slice_str("0123456789abcdeF")));
	assert_false(token_set_has(set, slice_str("# two of them")));
	assert_false(token_set_has(set, slice_make(FIRST, 15)));
	assert_false(token_set_has(set, slice_make(NULL, 0)));
	token_set_unref(set);
	token_set_unref(NULL);
}

static const struct {
	const char *text;
	int line;
	const char *what;
} bad[] = {
	{ "", 0, "there is no token" },
	{ "# only a comment\n\n", 0, "there is no token" },
	{ FIRST "\nshort\n", 2, "a token must have 16 to 1024 bytes, not 5" },
	{ "\n0123456789 abcdef\n", 2, "visible ASCII" },
	{ "0123456789abcd\xC3\xA9", 1, "visible ASCII" },
};

static void
test_names_the_line_but_never_the_token(void **state)
{
	struct errinfo ei;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_null(parse(bad[i].text, &ei));
		assert_non_null(strstr(ei.text, bad[i].what));
		assert_int_equal(ei.line, bad[i].line);
		assert_null(strstr(ei.text, "0123456789"));
	}
}

static void
test_limits(void **state)
{
	char text[TOKENS_MAX * 40 + 40] = "";
	char longest[TOKEN_MAX + 2];
	struct errinfo ei;
	struct token_set *set;

	(void)state;
	for (int i = 0; i < TOKENS_MAX; i++)
		snprintf(text + strlen(text), 40, "%s-%d\n", FIRST, i);
	set = parse(text, &ei);
	assert_non_null(set);
	assert_true(token_set_has(set, slice_str(FIRST "-15")));
	token_set_unref(set);
	strcat(text, SECOND);
	assert_null(parse(text, &ei));
	assert_int_equal(ei.code, ERR_TOOBIG);
	memset(longest, 'a', sizeof(longest));
	longest[TOKEN_MAX + 1] = '\0';
	assert_null(parse(longest, &ei));
	longest[TOKEN_MAX] = '\0';
	set = parse(longest, &ei);
	assert_true(token_set_has(set, slice_str(longest)));
	token_set_unref(set);
}

static void
test_authorization(void **state)
{
	static const struct {
		const char *value;
		const char *token;
	} cases[] = {
		{ "Bearer abc", "abc" },
		{ "bEARER  abc ", "abc" },
		{ "Bearer", NULL },
		{ "Bearer ", NULL },
		{ "Bearerabc", NULL },
		{ "Basic abc", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice token = token_of_authorization(slice_str(cases[i].value));

		assert_true(slice_eq(token, slice_str(cases[i].token)));
		assert_int_equal(token.ptr == NULL, cases[i].token == NULL);
	}
	assert_null(token_of_authorization(slice_make(NULL, 0)).ptr);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_token_opens),
		cmocka_unit_test(test_names_the_line_but_never_the_token),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_authorization),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
