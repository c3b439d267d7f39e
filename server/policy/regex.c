/* SPDX-License-Identifier: ISC */
/*
 * PCRE2's own match limit does not bound the work: it starts again at every place where a
 * match could begin, and a single step may run over the whole text. So patterns are
 * compiled with callouts before each of their items, and on_item() charges a fixed price
 * for each item tried, and one step for each byte between two of them. An item that runs
 * over some text and then fails, such as a{1000} or a lookbehind, is followed by no other
 * item that would charge for it; so that is part of the price beforehand.
 * The just-in-time compiler is not used: it fails where memory may not be made executable,
 * as under the systemd unit, and its steps cannot be bounded as well.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "policy/regex.h"

#include <pcre2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A step is about a nanosecond. */
#define STEPS_MAX 4000000
#define STEPS_PER_ITEM 16
#define REPEATS_PER_STEP 4 /* one character after another, in a loop of its own */
#define TRIES_MAX 250000   /* PCRE2's match limit; others are reached before it */
#define DEPTH_MAX 20000    /* nested backtracking points */
#define HEAP_KIB 4096      /* the most that a scratch may keep */

#define OPTIONS (PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT)

struct regex {
	pcre2_code *code;
	bool refers_back; /* it has a \1, which may compare as much as the whole text */
	size_t way;       /* how many characters one item may pass and then fail */
};

struct regex_scratch {
	pcre2_match_data *data;
	pcre2_match_context *context;
	int64_t steps; /* left for this check */
	int64_t price; /* of one item of this pattern */
	size_t at;     /* where the last item was tried */
};

static int
fault_pattern(int number, size_t offset, struct errinfo *ei)
{
	PCRE2_UCHAR text[160];

	if (number == PCRE2_ERROR_NOMEMORY)
		return err_set(ei, ERR_NOMEM, "out of memory");
	if (pcre2_get_error_message(number, text, sizeof(text)) < 0)
		text[0] = '\0';
	return err_set(
	    ei, ERR_INVALID, "%s, at byte %zu of it", (const char *)text, offset);
}

/* Skips an escape, whose letter `at` points to: the brace of \x{41} is no repeat. */
static const char *
skip_escape(const char *at, const char *end)
{
	bool has_brace =
	    at + 1 < end && at[1] == '{' && memchr("xopPgk", *at, strlen("xopPgk"));

	return at + (at < end) + has_brace;
}

/* The most that any item has to repeat: the largest first number in braces. What merely
 * looks like a repeat counts as well. */
static size_t
largest_repeat(struct slice pattern)
{
	const char *end = pattern.ptr + pattern.len;
	const char *at = pattern.ptr;
	size_t largest = 0;

	while (at < end) {
		char c = *at++;
		size_t n = 0;

		if (c == '\\')
			at = skip_escape(at, end);
		if (c != '{')
			continue;
		while (at < end && (*at == ' ' || *at == '\t'))
			at++;
		for (; at < end && *at >= '0' && *at <= '9' && n < REGEX_TEXT_MAX; at++)
			n = n * 10 + (size_t)(*at - '0');
		largest = n > largest ? n : largest;
	}
	return largest;
}

static void
set_way(struct regex *regex, struct slice pattern)
{
	uint32_t back = 0;
	uint32_t behind = 0;

	pcre2_pattern_info(regex->code, PCRE2_INFO_BACKREFMAX, &back);
	pcre2_pattern_info(regex->code, PCRE2_INFO_MAXLOOKBEHIND, &behind);
	regex->refers_back = back > 0;
	regex->way = largest_repeat(pattern) + behind;
}

struct regex *
regex_new(struct slice pattern, struct errinfo *ei)
{
	struct regex *regex;
	PCRE2_SIZE offset = 0;
	int number = 0;

	if (pattern.len > REGEX_PATTERN_MAX) {
		err_set(
		    ei, ERR_TOOBIG, "it is longer than %d bytes", REGEX_PATTERN_MAX);
		return NULL;
	}
	regex = calloc(1, sizeof(*regex));
	if (!regex) {
		err_set(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	regex->code = pcre2_compile(
	    (PCRE2_SPTR)pattern.ptr, pattern.len, OPTIONS, &number, &offset, NULL);
	if (!regex->code) {
		fault_pattern(number, offset, ei);
		regex_free(regex);
		return NULL;
	}
	set_way(regex, pattern);
	return regex;
}

void
regex_free(struct regex *regex)
{
	if (!regex)
		return;
	pcre2_code_free(regex->code);
	free(regex);
}

/* Called before an item of the pattern is tried. Other than 0 ends the match with that
 * error. */
static int
on_item(pcre2_callout_block *block, void *arg)
{
	struct regex_scratch *s = arg;
	size_t at = block->current_position;
	size_t way = at > s->at ? at - s->at : s->at - at;

	s->at = at;
	s->steps -= s->price + (int64_t)way;
	return s->steps < 0 ? PCRE2_ERROR_CALLOUT : 0;
}

struct regex_scratch *
regex_scratch_new(void)
{
	struct regex_scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->data = pcre2_match_data_create(1, NULL);
	s->context = pcre2_match_context_create(NULL);
	if (!s->data || !s->context) {
		regex_scratch_free(s);
		return NULL;
	}
	pcre2_set_match_limit(s->context, TRIES_MAX);
	pcre2_set_depth_limit(s->context, DEPTH_MAX);
	pcre2_set_heap_limit(s->context, HEAP_KIB);
	pcre2_set_callout(s->context, on_item, s);
	regex_scratch_refill(s);
	return s;
}

void
regex_scratch_free(struct regex_scratch *s)
{
	if (!s)
		return;
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->context);
	free(s);
}

void
regex_scratch_refill(struct regex_scratch *s)
{
	s->steps = STEPS_MAX;
}

enum match
regex_match(const struct regex *regex, struct slice text, struct regex_scratch *s)
{
	int rc;

	if (text.len > REGEX_TEXT_MAX)
		return MATCH_TOO_LONG;
	if (!s || s->steps <= 0)
		return MATCH_TOO_HARD;
	s->at = 0;
	s->price = STEPS_PER_ITEM;
	s->price +=
	    (int64_t)(regex->way < text.len ? regex->way : text.len) / REPEATS_PER_STEP;
	if (regex->refers_back)
		s->price += (int64_t)text.len;
	rc = pcre2_match(regex->code, (PCRE2_SPTR)(text.len ? text.ptr : ""), text.len,
	    0, PCRE2_NO_UTF_CHECK, s->data, s->context);
	if (rc >= 0)
		return MATCH_YES;
	return rc == PCRE2_ERROR_NOMATCH ? MATCH_NO : MATCH_TOO_HARD;
}
