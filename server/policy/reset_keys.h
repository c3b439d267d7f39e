/* SPDX-License-Identifier: ISC */
/*
 * The keys of the counters that an operator wants to begin again: those of one scope
 * value, all or of one name. They follow from the policy's limits, shadow ones and
 * rate_limits included; no key is searched for. Pure.
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
	/* As in keys, "minute.sliding"; what cuts time may also stand as a policy may
	 * have it, "60s.sliding", and a number of seconds as its digits, "60". Absent:
	 * any. */
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
 * Fills *out, which the caller finishes whatever is returned. 0, with at least one key;
 * ERR_INVALID when the scope cannot be read; ERR_NOTFOUND when no limit counts so:
 * ei->text names those that there are; ERR_TOOBIG when there are more than `max`;
 * ERR_NOMEM.
 */
int reset_keys_find(const struct policy *policy, const struct reset_wanted *wanted,
    size_t max, struct reset_keys *out, struct errinfo *ei) MUST_CHECK;
void reset_keys_fini(struct reset_keys *keys);

#endif
