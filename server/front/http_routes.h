/* SPDX-License-Identifier: ISC */
/* What each path of HTTP does. Nobody but front/ includes this. */
#ifndef FRONT_HTTP_ROUTES_H
#define FRONT_HTTP_ROUTES_H

#include "front/front_inner.h"

/* What a route gets: the request, and the response to fill unless it starts a job. */
struct http_turn {
	struct front_conn *fc;
	const struct http_request *req;
	struct http_response *resp;
	bool answered; /* a job was started: it will answer */
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

/* http_front.c: the front's response, empty, and without much memory from the last one;
 * and the same as the answer of a job. */
struct http_response *http_begin_response(struct front *front);
struct http_response *http_begin_answer(
    struct front_conn *fc, const struct exchange *ex);

/* http_front.c: the answer to what the store could not do; `detail` may be "". */
void http_fill_fault(
    struct http_response *resp, enum store_fault fault, const char *detail);

bool http_is_head(const struct http_request *req);

/* http_check.c: the status of a question that cannot be answered. */
int http_status_of_error(int code);
/* 0; or the status by which a question is refused that is not just a JSON body, and
 * *why. */
int http_look_at_body(const struct http_request *req, const char **why);

#endif
