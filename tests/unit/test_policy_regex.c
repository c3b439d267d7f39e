/* SPDX-License-Identifier: ISC */
/* Patterns and their bounds. Hostile ones are held to an answer, not to a time: what
 * they may cost is counted, so an answer means that the count ended them. */
#include "policy_fixture.h"

#include <pthread.h>

#include "policy/regex.h"

static struct regex *
compile(const char *pattern)
{
	struct errinfo ei;
	struct regex *regex = regex_new(slice_str(pattern), &ei);

	if (!regex)
		fail_msg("%s: %s", pattern, ei.text);
	return regex;
}

/* `unit` again and again up to `len` bytes, then `tail`. */
static void
fill(struct buf *out, const char *unit, size_t len, const char *tail)
{
	while (out->len + strlen(unit) <= len)
		buf_add_str(out, unit);
	buf_add_str(out, tail);
	assert_false(out->failed);
}

static enum match
match(const char *pattern, struct slice text)
{
	struct regex_scratch *scratch = regex_scratch_new();
	struct regex *regex = compile(pattern);
	enum match said = regex_match(regex, text, scratch);

	/* The same a second time, from what the first has left in the scratch. */
	regex_scratch_refill(scratch);
	assert_int_equal(regex_match(regex, text, scratch), said);
	regex_free(regex);
	regex_scratch_free(scratch);
	return said;
}

static void
plain(void **state)
{
	(void)state;
	assert_int_equal(match("b", slice_str("abc")), MATCH_YES);
	assert_int_equal(match("^b", slice_str("abc")), MATCH_NO);
	assert_int_equal(match("", slice_str(NULL)), MATCH_YES);
	assert_int_equal(match("^$", slice_str("")), MATCH_YES);
	assert_int_equal(match("^.{2}$", slice_str("\xC3\xA9\xC3\xA9")), MATCH_YES);
	assert_int_equal(match("(?i)\xC3\xA9", slice_str("\xC3\x89")), MATCH_YES);
	/* A view, not a string. */
	assert_int_equal(match("c", slice_make("abc", 2)), MATCH_NO);
}

static void
refused(void **state)
{
	static const struct {
		const char *pattern;
		const char *piece;
	} cases[] = {
		{ "a(b", "at byte 3 of it" },
		{ "[a-", "at byte 3 of it" },
		{ "*", "at byte 0 of it" },
		{ "a\\C", "\\C" },
		{ "((a{1,1000}){1,1000}){1,1000}", "too large" },
	};
	char long_one[REGEX_PATTERN_MAX + 1];
	struct regex *regex;
	struct errinfo ei;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_null(regex_new(slice_str(cases[i].pattern), &ei));
		assert_int_equal(ei.code, ERR_INVALID);
		assert_non_null(strstr(ei.text, cases[i].piece));
	}
	memset(long_one, 'a', sizeof(long_one));
	assert_null(regex_new(slice_make(long_one, sizeof(long_one)), &ei));
	assert_int_equal(ei.code, ERR_TOOBIG);
	regex = regex_new(slice_make(long_one, sizeof(long_one) - 1), &ei);
	assert_non_null(regex);
	regex_free(regex);
}

static void
hostile(void **state)
{
	static const struct {
		const char *pattern;
		const char *unit;
		size_t len;
		const char *tail;
	} cases[] = {
		{ "^(a|a)*[bc]", "a", 40, "" },
		{ "^(a|a)*[bc]", "a", 60000, "" },
		{ "(a+)+$", "a", 40, "!" },
		{ "(a+)+$", "a", 60000, "!" },
		{ "([a-z]+)*=[0-9]", "abc", 60000, "!=" },
		{ "^(([a-z])+.)+[A-Z]([a-z])+$", "a", 60000, "" },
		/* One long run at every place where a match could start. */
		{ "[^c]*c[0-9]", "a", 60000, "c" },
		{ "(?:a*+[bx]|a*+[cx])", "a", 60000, "" },
		{ "x.*y[0-9]", "x", 60000, "y" },
		{ "(*NO_START_OPT)(?:a*+)+[bc]", "a", 60000, "" },
		/* Comparing with what was found before is as long as that. */
		{ "(.*)\\1[xz]", "a", 60000, "" },
		{ "(?i)(.*),\\1[xz]", "a,", 60000, "" },
		/* What fails within one item has passed as much before. */
		{ "a{30000}", "aaaaaaaaaaaaaaaaaaaaaaaab", 60000, "" },
		{ "[^z]{20000}", "abz", 60000, "" },
		{ "\\x{61}{20000}", "ab", 60000, "" },
		{ "(?<=a{20000})b", "b", 60000, "" },
		{ "(?<=(?:a{200}){100})b", "b", 60000, "" },
		/* Deep: of memory, rather than of time. */
		{ "^([a-z]|[0-9])*$", "a1", 60000, "" },
		{ "^(((((a)*)*)*)*)*$", "a", 60000, "b" },
		{ "^(a(?1)?b)$", "a", 60000, "" },
		{ "(*LIMIT_MATCH=4000000000)^(a|a)*[bc]", "a", 60000, "" },
		{ "(*LIMIT_HEAP=4000000000)^(a|b)*$", "ab", 60000, "" },
		{ "a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?"
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaa[bc]",
		    "a", 40, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf text = { 0 };
		enum match said;

		fill(&text, cases[i].unit, cases[i].len, cases[i].tail);
		said = match(cases[i].pattern, buf_slice(&text));
		if (said != MATCH_TOO_HARD)
			fail_msg("%s: %d", cases[i].pattern, (int)said);
		buf_fini(&text);
	}
}

/* What people write must go through long texts. */
static void
honest(void **state)
{
	static const struct {
		const char *pattern;
		const char *unit;
		enum match want;
	} cases[] = {
		{ "password", "pass word ", MATCH_NO },
		{ "(?i)\\b(drop|truncate)\\s+table\\b", "select a from b; ", MATCH_NO },
		{ "[0-9]{16}", "0123456789 ", MATCH_NO },
		{ "[0-9a-f]{128}", "0123456789abcdef ", MATCH_NO },
		{ "\\x{1F600}|\\\\x", "x{99999}", MATCH_NO },
		{ "(?<=id=)[0-9]{20,}", "id=12 ", MATCH_NO },
		{ "^[a-z ]+$", "lorem ipsum ", MATCH_YES },
		{ "^\\P{Cc}*$", "\xC3\xA9t\xC3\xA9 ", MATCH_YES },
		{ "(?s)^.*needle", "hay ", MATCH_NO },
		{ "https?://[^/ ]+", "see http:/ ", MATCH_NO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf text = { 0 };

		fill(&text, cases[i].unit, REGEX_TEXT_MAX, "");
		assert_int_equal(
		    match(cases[i].pattern, buf_slice(&text)), cases[i].want);
		buf_fini(&text);
	}
}

static void
long_texts(void **state)
{
	struct buf text = { 0 };

	(void)state;
	fill(&text, "a", REGEX_TEXT_MAX, "");
	assert_int_equal(match("b", buf_slice(&text)), MATCH_NO);
	buf_add_char(&text, 'b');
	assert_int_equal(match("b", buf_slice(&text)), MATCH_TOO_LONG);
	fill(&text, "a", 1u << 20, "");
	assert_int_equal(match("^(a|a)*[bc]", buf_slice(&text)), MATCH_TOO_LONG);
	buf_fini(&text);
}

/* One check's matches draw on one allowance; the next check has a new one. */
static void
one_allowance(void **state)
{
	struct regex_scratch *scratch = regex_scratch_new();
	struct regex *regex = compile("[^c]*c[0-9]");
	struct buf text = { 0 };
	int n = 0;

	(void)state;
	fill(&text, "a", 500, "c");
	while (n < 1000 && regex_match(regex, buf_slice(&text), scratch) == MATCH_NO)
		n++;
	assert_in_range(n, 2, 100);
	assert_int_equal(regex_match(regex, buf_slice(&text), scratch), MATCH_TOO_HARD);
	regex_scratch_refill(scratch);
	assert_int_equal(regex_match(regex, buf_slice(&text), scratch), MATCH_NO);
	assert_int_equal(regex_match(regex, buf_slice(&text), NULL), MATCH_TOO_HARD);
	buf_fini(&text);
	regex_free(regex);
	regex_scratch_free(scratch);
}

static void *
match_often(void *arg)
{
	struct regex_scratch *scratch = regex_scratch_new();
	size_t wrong = scratch ? 0 : 1;

	for (int i = 0; scratch && i < 2000; i++) {
		bool even = i % 2 == 0;

		regex_scratch_refill(scratch);
		wrong += regex_match(arg, slice_str(even ? "ab-ab" : "ab-ba"),
			     scratch) != (even ? MATCH_YES : MATCH_NO);
	}
	regex_scratch_free(scratch);
	return wrong ? arg : NULL;
}

static void
several_threads(void **state)
{
	struct regex *regex = compile("^(\\w+)-\\1$");
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, match_often, regex), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *wrong = regex;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	regex_free(regex);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(refused),
		cmocka_unit_test(hostile),
		cmocka_unit_test(honest),
		cmocka_unit_test(long_texts),
		cmocka_unit_test(one_allowance),
		cmocka_unit_test(several_threads),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
