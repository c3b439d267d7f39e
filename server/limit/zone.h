/* SPDX-License-Identifier: ISC */
/*
 * A time zone: how far its clocks are ahead of UTC, at any time. Parsed from the bytes of
 * a TZif file (RFC 9636), version 2 or later, which the caller has read.
 * The process's own zone (TZ, tzset) plays no part.
 * Pure. A zone never changes and may be read by any number of threads.
 */
#ifndef LIMIT_ZONE_H
#define LIMIT_ZONE_H

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"
#include "limit/zone_rule.h"

struct zone;

/* 0, and *out is owned by the caller; ERR_SYNTAX when the bytes are no such file,
 * ERR_UNSUPPORTED when it counts leap seconds, ERR_NOMEM; all with ei->text. */
int zone_parse(struct slice bytes, struct zone **out, struct errinfo *ei) MUST_CHECK;
void zone_free(struct zone *zone); /* NULL is fine */

/* The span that contains t_s (seconds since 1970, UTC). A NULL zone is UTC. */
void zone_at(const struct zone *zone, int64_t t_s, struct zone_span *out);

/* The first second at which the zone's clock shows local_s (seconds since 1970, as if
 * that clock were UTC) or later: where the clock is put forward past local_s, the second
 * at which that happens; where it shows local_s twice, the first time. */
int64_t zone_first_s(const struct zone *zone, int64_t local_s);

#endif
