/* SPDX-License-Identifier: ISC */
/*
 * Regular expressions: PCRE2 in UTF-8 mode, within bounds. What one check may spend on
 * all its matches is counted in steps, not in time, so that the same call gets the same
 * answer on every machine; the bounds below amount to some milliseconds.
 *
 * Threads: a compiled pattern may be matched by any number of threads, each with a
 * scratch of its own. There are no globals.
 * Ownership: the caller owns both. Matching allocates nothing except what the scratch
 * keeps for the next time.
 */
#ifndef POLICY_REGEX_H
#define POLICY_REGEX_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

#define REGEX_PATTERN_MAX 1024 /* bytes of a pattern */
#define REGEX_TEXT_MAX 65536   /* bytes of a text that is matched */

struct regex;
struct regex_scratch;

/* The result of testing a value; the last two are neither yes nor no. */
enum match {
	MATCH_NO,
	MATCH_YES,
	MATCH_TOO_LONG, /* over REGEX_TEXT_MAX */
	MATCH_TOO_HARD  /* at the bound of steps, depth or memory */
};

/*
 * Compiles a pattern of valid UTF-8. NULL: ei->text says what is wrong and at which
 * byte of the pattern (ERR_INVALID, ERR_TOOBIG, ERR_NOMEM).
 */
struct regex *regex_new(struct slice pattern, struct errinfo *ei) MUST_CHECK;
void regex_free(struct regex *regex);

/* What matching needs besides a pattern; one for each thread. NULL: out of memory. */
struct regex_scratch *regex_scratch_new(void) MUST_CHECK;
void regex_scratch_free(struct regex_scratch *scratch);

/* Call at the beginning of a check: all its matches together may take the full number
 * of steps. */
void regex_scratch_refill(struct regex_scratch *scratch);

/* Whether the pattern matches anywhere in `text`, which must be valid UTF-8. Without a
 * scratch (NULL) nothing can be matched: MATCH_TOO_HARD. */
enum match regex_match(
    const struct regex *regex, struct slice text, struct regex_scratch *scratch);

#endif
