/* SPDX-License-Identifier: ISC */
/* What HTTP adds to a decision: status, header fields, forward-auth. Pure. */
#ifndef WIRE_CHECK_HTTP_H
#define WIRE_CHECK_HTTP_H

#include "base/attr.h"
#include "base/err.h"
#include "check/decision.h"
#include "check/request.h"
#include "wire/http.h"

/* 200 allow, 403 policy or approval, 429 limit, 503 store, 422 conflict. */
int check_http_status(const struct decision *d);

/* RateLimit-Policy and RateLimit (IETF draft-ietf-httpapi-ratelimit-headers-11) of the
 * tightest limit, Retry-After (whole seconds, rounded up) on 429 and 503, left out
 * when the answer is never; X-Ration-Reservation and -Degraded, for those who do not see the body. */
void check_http_add_fields(const struct decision *d, struct http_response *resp);

/*
 * The check that GET|POST /v1/auth asks for: X-Ration-Tool, -Grant, -Policy, -Session,
 * -Cost, -Request-Id, -Mode, -Ttl, and X-Ration-Timeout-Ms. Slices point into *req. 0,
 * or an enum err whose text names the field.
 */
int check_http_parse_auth(const struct http_request *req, struct check_request *out,
    struct errinfo *ei) MUST_CHECK;

/* Beside what X-Ration- fields may stand. */
enum check_http_beside {
	BESIDE_CHECK,    /* the body of a check, or of what explains one */
	BESIDE_DEADLINE, /* what has a deadline, and no mode */
	BESIDE_RESET     /* the same; the caller refuses the deadline, too */
};

/* What X-Ration- fields add to *out: X-Ration-Timeout-Ms; beside a check X-Ration-Mode, if
 * it is that of *out. All others are refused, since the caller meant something by them.
 * 0, or an enum err as above. */
int check_http_parse_fields(const struct http_request *req,
    enum check_http_beside beside, struct check_request *out,
    struct errinfo *ei) MUST_CHECK;

#endif
