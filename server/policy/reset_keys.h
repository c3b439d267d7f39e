/* SPDX-License-Identifier: ISC */
/*
 * The keys of the counters that an operator wants to reset: all of one scope value, or
 * those of one name. They follow from the policy's limits, including shadow ones and
 * rate_limits; the store is not searched. Pure.
 */
#ifndef POLICY_RESET_KEYS_H
#define POLICY_RESET_KEYS_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "policy/policy.h"

struct reset_wanted {
	struct slice counter; /* absent: any */
	/* As in keys, "minute.sliding"; the unit of time may also be spelt in the other
	 * ways that a policy may, "60s.sliding" or in bare seconds, "60". The unit alone,
	 * "minute", also means limits whose keys go on behind it, with an algorithm, a
	 * zone or an anchor, unless there is one whose key is just that. Absent: any. */
	struct slice window;
	/* "global", or name=value joined by '&' in any order. Names and values may be
	 * percent-encoded; '%', '&' and '=' must be. */
	struct slice scope;
};

struct reset_keys {
	struct slice *items; /* each key once; they point into `text` */
	size_t n;
	struct buf text;
};

/*
 * Fills *out, to be finished by the caller in any case. 0, with at least one key;
 * ERR_INVALID when the scope cannot be parsed; ERR_NOTFOUND when no limit has such a
 * counter: ei->text names those that there are; ERR_TOOBIG when there are more than
 * `max`; ERR_NOMEM.
 */
int reset_keys_find(const struct policy *policy, const struct reset_wanted *wanted,
    size_t max, struct reset_keys *out, struct errinfo *ei) MUST_CHECK;
void reset_keys_fini(struct reset_keys *keys);

#endif
