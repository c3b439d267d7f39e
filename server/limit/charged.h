/* SPDX-License-Identifier: ISC */
/*
 * What has to be known of a charge to correct it later, and how it is corrected: in the
 * window that was charged, and only while that counts. Pure; the time is a parameter.
 *
 *	algorithm      a                                    b
 *	fixed          end of the charged window, ms        its length, ms
 *	sliding        end of the charged window, ms        end of the next one, ms
 *	token_bucket   when it would be full again, µs,     µs between two tokens
 *	               had nothing been given back
 *	concurrency    0                                    0
 *
 * A window of the calendar cannot be told from its end, so sliding has the end of the
 * window after the next one too.
 */
#ifndef LIMIT_CHARGED_H
#define LIMIT_CHARGED_H

#include <stdint.h>

#include "limit/limit.h"

struct charged {
	enum algorithm algorithm;
	int64_t a, b;
	int64_t after_ms; /* sliding */
};

/* Of a charge after which, at now_us, the counter stood at `count`. */
struct charged charged_at(
    const struct limit *l, struct limit_count count, int64_t now_us);

/*
 * Makes a charge of `from` one of `to`, both 0 ... NUM_MAX; 0 gives it back. A count
 * goes up past any max and stops at NUM_MAX; it never goes below 0. Where the charge
 * does not count any more nothing is done:
 *
 *	fixed          its window is over
 *	sliding        its window is neither the current one nor the one before
 *	token_bucket   to give back: what may have come back by itself. Of what the bucket
 *	               lacks now all that was taken after the charge is counted to others;
 *	               unless it was given back before anything else was taken;
 *	               nor is more given back than BUCKET_GIVEN_US_MAX, but of the
 *	               last charge. A bucket has no
 *	               window: what was used beyond the charge is taken now, whenever
 *
 * A counter that is gone while the charge still counts (it was reset, or nothing but
 * charges of 0 was made) begins again with what a correction upwards adds.
 *
 * Not for concurrency, of which slots are freed.
 */
void charged_correct(const struct charged *c, struct limit_state *s, int64_t from,
    int64_t to, int64_t now_us);

#endif
