/* SPDX-License-Identifier: ISC */
/* What HTTP adds to a decision: status, header fields, forward-auth. Pure. */
#ifndef WIRE_CHECK_HTTP_H
#define WIRE_CHECK_HTTP_H

#include "base/attr.h"
#include "base/err.h"
#include "check/decision.h"
#include "check/request.h"
#include "wire/http.h"

/* By verdict and cause: 200 allow, 403 policy or approval, 429 limit, 503 store, 422
 * conflict. */
int check_http_status(const struct decision *d);

/* Appends RateLimit-Policy and RateLimit (IETF draft-ietf-httpapi-ratelimit-headers-11) for
 * the tightest limit; on 429 and 503 Retry-After (whole seconds, rounded up), unless the
 * answer is never; X-Ration-Reservation and -Degraded, for callers who do not see the
 * body. */
void check_http_add_fields(const struct decision *d, struct http_response *resp);

/*
 * Reads the check of a GET|POST /v1/auth: X-Ration-Tool, -Grant, -Policy, -Session,
 * -Cost, -Request-Id, -Mode, -Ttl, and X-Ration-Timeout-Ms. Slices are views into *req.
 * 0, or an enum err whose text names the field.
 */
int check_http_parse_auth(const struct http_request *req, struct check_request *out,
    struct errinfo *ei) MUST_CHECK;

/* What kind of request the X-Ration- fields come with. */
enum check_http_beside {
	BESIDE_CHECK,    /* the body of a check or an explanation */
	BESIDE_DEADLINE, /* one that has a deadline, but no mode */
	BESIDE_RESET     /* the same; the caller then refuses the deadline as well */
};

/* Reads the X-Ration- fields of a request whose body was read into *out: the timeout;
 * and, beside a check, the mode, which must be that of *out. All others are refused: the
 * client meant something by them. 0, or an enum err as above. */
int check_http_parse_fields(const struct http_request *req,
    enum check_http_beside beside, struct check_request *out,
    struct errinfo *ei) MUST_CHECK;

#endif
