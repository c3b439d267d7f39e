/* SPDX-License-Identifier: ISC */
/* The keys "timezone" and "anchor" of a limit, once all its keys were read. */
#ifndef POLICY_POLICY_CALENDAR_H
#define POLICY_POLICY_CALENDAR_H

#include <jansson.h>

#include "policy/compiled.h"

#define WANT_ANCHOR                                                                 \
	"the first day of a month, from 1 to 28, or of a week, from \"monday\" to " \
	"\"sunday\""

/* Makes the limit's window, which must have been read without a fault, follow the time
 * zone and begin at the anchor; both may be NULL. Sets limit->calendar. False after a
 * fault. */
bool calendar_read(struct reader *r, struct policy *policy, struct policy_limit *limit,
    const char *timezone, const json_t *anchor);

/* Frees the policy's zones. */
void calendar_free(struct policy *policy);

#endif
