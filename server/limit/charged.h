/* SPDX-License-Identifier: ISC */
/*
 * What must be known about a charge to correct it later, and the correction: in the
 * window that was charged, and only while that still counts. Pure; time is a parameter.
 *
 *	algorithm      a                                    b
 *	fixed          end of the charged window, ms        its length, ms
 *	sliding        end of the charged window, ms        end of the next one, ms
 *	token_bucket   when it would be full again, µs,     µs between two tokens
 *	               had nothing been given back
 *	concurrency    0                                    0
 *
 * How long a calendar window is cannot be told from where it ends, so sliding also keeps
 * the end of the window after the next one.
 */
#ifndef LIMIT_CHARGED_H
#define LIMIT_CHARGED_H

#include <stdint.h>

#include "limit/limit.h"

struct charged {
	enum algorithm algorithm;
	int64_t a, b;
	int64_t after_ms; /* sliding: end of the window after the next one */
};

/* Describes a charge that left the counter at `count`, at now_us. */
struct charged charged_at(
    const struct limit *l, struct limit_count count, int64_t now_us);

/*
 * Turns a charge of `from` into one of `to`, both 0 ... NUM_MAX; a `to` of 0 gives it
 * back. A count may go up past any max, as far as NUM_MAX, and never below 0. Where the
 * charge no longer counts, nothing is done:
 *
 *	fixed          its window is over
 *	sliding        its window is neither the current one nor the one before
 *	token_bucket   what is given back must not be what the bucket has refilled by
 *	               itself. So of what the bucket lacks now, everything that was
 *	               taken after this charge is put down to later charges, except
 *	               those that were given back before anything else was taken; only
 *	               the rest can be given back. Nor is more given back than
 *	               BUCKET_GIVEN_US_MAX, except when this is the last charge.
 *	               Having no window, a bucket takes a correction upwards at any
 *	               time: it is taken from it now
 *
 * A counter that is gone while the charge still counts (it was reset, or had only
 * charges of 0) starts again with what a correction upwards adds.
 *
 * Not for concurrency, whose slots are freed instead (limit/slots.h).
 */
void charged_correct(const struct charged *c, struct limit_state *s, int64_t from,
    int64_t to, int64_t now_us);

#endif
