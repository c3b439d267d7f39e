/* SPDX-License-Identifier: ISC */
/* What each HTTP path does. Nobody but front/ includes this. */
#ifndef FRONT_HTTP_ROUTES_H
#define FRONT_HTTP_ROUTES_H

#include "front/front_inner.h"

/* What a route gets: a request, and the response to fill in unless it starts a job. */
struct http_turn {
	struct front_conn *fc;
	const struct http_request *req;
	struct http_response *resp;
	bool answered; /* a job was started, and will answer */
};

/* http_check.c: checks, and what asks about them. */
void http_run_check(struct http_turn *turn);
void http_run_explain(struct http_turn *turn);
void http_run_usage(struct http_turn *turn);
void http_run_auth(struct http_turn *turn);
void http_format_check(
    struct front_conn *fc, const struct exchange *ex, struct buf *out);

/* http_settle.c: the ends of reservations, and resets. */
void http_run_commit(struct http_turn *turn);
void http_run_rollback(struct http_turn *turn);
void http_run_renew(struct http_turn *turn);
void http_run_reset(struct http_turn *turn);
void http_format_settlement(
    struct front_conn *fc, const struct exchange *ex, struct buf *out);
void http_format_resetting(
    struct front_conn *fc, const struct exchange *ex, struct buf *out);

/* http_front.c: the front's one response, emptied, with what every answer of a job has. */
struct http_response *http_begin_answer(
    struct front_conn *fc, const struct exchange *ex);

/* http_front.c: fills in the answer to what the store failed to do; `detail` may be "". */
void http_fill_fault(
    struct http_response *resp, enum store_fault fault, const char *detail);

bool http_is_head(const struct http_request *req);

/* http_check.c: the status for an enum err from reading a request. */
int http_status_of_error(int code);
/* Whether a request has just a JSON body, as it should: 0, or the status to refuse it
 * with, and *why. */
int http_look_at_body(const struct http_request *req, const char **why);

#endif
