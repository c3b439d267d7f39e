/* SPDX-License-Identifier: ISC */
/* HTTP: reads requests, finds their route, answers. */
#include <string.h>

#include "base/buf.h"
#include "front/front_inner.h"
#include "wire/check_http.h"
#include "wire/check_json.h"
#include "wire/explain_json.h"

#define RESPONSE_KEPT 65536 /* bytes of a body whose memory is kept */

/* What a route gets: the request, and the response to fill unless it starts a check. */
struct http_turn {
	struct front_conn *fc;
	const struct http_request *req;
	struct http_response *resp;
	bool answered; /* a check was started: it will answer */
};

struct http_route {
	const char *path;
	const char *allow; /* methods, as in the Allow field */
	void (*run)(struct http_turn *turn);
};

static bool
is_head(const struct http_request *req)
{
	return slice_eq_str(req->method, "HEAD");
}

static void
invalid(struct http_turn *turn, int status, const char *text)
{
	metric_add(turn->fc->front->options.cells, METRIC_CHECKS_INVALID, 1);
	http_problem(turn->resp, status, "%s", text);
}

/* The status of a request for a check that could not be read. */
static int
status_of_error(int code)
{
	switch (code) {
	case ERR_UNSUPPORTED:
		return 501;
	case ERR_NOMEM:
		return 503;
	default:
		return 400;
	}
}

static void
start_check(
    struct http_turn *turn, const struct check_request *request, int deny_status)
{
	const struct answer_style style = { deny_status, is_head(turn->req) };

	if (front_check(turn->fc, request, style) < 0)
		http_problem(turn->resp, 503, "out of memory");
	else
		turn->answered = true;
}

/* The next parameter of a media type, and what is left; white space is trimmed. */
static struct slice
cut_at_semicolon(struct slice *rest)
{
	const char *semicolon = rest->len ? memchr(rest->ptr, ';', rest->len) : NULL;
	size_t len = semicolon ? (size_t)(semicolon - rest->ptr) : rest->len;
	struct slice part = slice_make(rest->ptr, len);

	*rest = slice_make(rest->ptr + len + (semicolon ? 1 : 0),
	    rest->len - len - (semicolon ? 1 : 0));
	while (part.len > 0 && (part.ptr[0] == ' ' || part.ptr[0] == '\t')) {
		part.ptr++;
		part.len--;
	}
	while (part.len > 0 &&
	    (part.ptr[part.len - 1] == ' ' || part.ptr[part.len - 1] == '\t'))
		part.len--;
	return part;
}

static bool
is_json(const struct http_request *req)
{
	struct slice rest = http_field_get(req, "Content-Type");

	if (http_field_count(req, "Content-Type") != 1 ||
	    !slice_case_eq_str(cut_at_semicolon(&rest), "application/json"))
		return false;
	while (rest.len > 0) {
		struct slice part = cut_at_semicolon(&rest);

		if (!slice_case_eq_str(part, "charset=utf-8") &&
		    !slice_case_eq_str(part, "charset=\"utf-8\""))
			return false;
	}
	return true;
}

/* Whether the body is as it was sent, not compressed. */
static bool
is_plain(const struct http_request *req)
{
	return http_field_count(req, "Content-Encoding") == 0 ||
	    (http_field_count(req, "Content-Encoding") == 1 &&
		slice_case_eq_str(http_field_get(req, "Content-Encoding"), "identity"));
}

/* A check's body, for a check or to explain one. */
static void
run_body(struct http_turn *turn, enum check_kind kind)
{
	struct check_json cj;
	struct errinfo ei;
	int rc;

	if (turn->req->query.len > 0) {
		invalid(
		    turn, 400, "/v1/check takes no query; its body is the question");
		return;
	}
	if (!is_plain(turn->req)) {
		invalid(turn, 415,
		    "the body must be sent as it is, without Content-Encoding");
		return;
	}
	if (!is_json(turn->req)) {
		invalid(turn, 415,
		    "the body must be sent as Content-Type: application/json");
		return;
	}
	if (turn->req->body.len == 0) {
		invalid(turn, 400, "the body is missing: a JSON object is expected");
		return;
	}
	memset(&cj, 0, offsetof(struct check_json, attributes)); /* they are counted */
	rc = check_json_parse(turn->req->body, &cj, &ei);
	if (rc < 0) {
		invalid(turn, status_of_error(rc), ei.text);
		return;
	}
	cj.request.kind = kind;
	rc = check_http_parse_fields(turn->req, &cj.request, &ei);
	if (rc < 0)
		invalid(turn, status_of_error(rc), ei.text);
	else
		start_check(turn, &cj.request, 0);
	check_json_fini(&cj);
}

static void
run_check(struct http_turn *turn)
{
	run_body(turn, CHECK_ASK);
}

static void
run_explain(struct http_turn *turn)
{
	run_body(turn, CHECK_EXPLAIN);
}

static void
run_usage(struct http_turn *turn)
{
	struct buf names = { 0 };
	struct check_request request;
	struct errinfo ei;
	int rc = usage_http_parse(turn->req, &names, &request, &ei);

	if (rc == 0)
		rc = check_http_parse_fields(turn->req, &request, &ei);
	if (rc < 0)
		http_problem(turn->resp, status_of_error(rc), "%s", ei.text);
	else
		start_check(turn, &request, 0);
	buf_fini(&names);
}

/* ?deny=403, for gateways that know no other denial, is all there may be. 0; else why
 * is in *ei. */
static int
parse_deny(const struct http_request *req, int *status, struct errinfo *ei)
{
	struct slice rest = req->query;
	struct buf name = { 0 };
	struct buf value = { 0 };
	int rc;

	*status = 0;
	while ((rc = http_query_next(&rest, &name, &value)) > 0) {
		if (!slice_eq_str(buf_slice(&name), "deny"))
			rc = err_set(ei, ERR_INVALID,
			    "the query of /v1/auth can only be deny=403");
		else if (!slice_eq_str(buf_slice(&value), "403"))
			rc = err_set(
			    ei, ERR_INVALID, "the query's deny can only be 403");
		else if (*status != 0)
			rc = err_set(ei, ERR_INVALID, "the query's deny stands twice");
		if (rc < 0)
			break;
		*status = 403;
	}
	if (rc == ERR_SYNTAX)
		err_set(ei, rc, "the query has a bad percent escape");
	else if (rc == ERR_NOMEM)
		err_set(ei, rc, "out of memory");
	buf_fini(&name);
	buf_fini(&value);
	return rc;
}

static void
run_auth(struct http_turn *turn)
{
	struct check_request request;
	struct errinfo ei;
	int deny_status;
	int rc;

	rc = parse_deny(turn->req, &deny_status, &ei);
	if (rc == 0)
		rc = check_http_parse_auth(turn->req, &request, &ei);
	if (rc < 0)
		invalid(turn, status_of_error(rc), ei.text);
	else
		start_check(turn, &request, deny_status);
}

static void
run_later(struct http_turn *turn)
{
	http_problem(
	    turn->resp, 501, "%.*s is not supported yet", SLICE_ARG(turn->req->path));
}

static const struct http_route routes[] = {
	{ "/v1/check", "POST", run_check },
	{ "/v1/auth", "GET, HEAD, POST", run_auth },
	{ "/v1/commit", "POST", run_later },
	{ "/v1/rollback", "POST", run_later },
	{ "/v1/renew", "POST", run_later },
	{ "/v1/explain", "POST", run_explain },
	{ "/v1/usage", "GET, HEAD", run_usage },
	{ "/v1/reset", "POST", run_later },
};

static const struct http_route *
find_route(struct slice path)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if (slice_eq_str(path, routes[i].path))
			return &routes[i];
	return NULL;
}

/* Whether `method` is one of the comma-separated `list`. */
static bool
list_has(const char *list, struct slice method)
{
	while (*list) {
		size_t len = strcspn(list, ", ");

		if (len > 0 && slice_eq(slice_make(list, len), method))
			return true;
		list += len + strspn(list + len, ", ");
	}
	return false;
}

static bool
endpoint_has_path(const struct http_endpoint *e, struct slice path)
{
	size_t len = strlen(e->path);

	if (len > 0 && e->path[len - 1] == '/')
		return path.len > len && memcmp(path.ptr, e->path, len) == 0;
	return slice_eq_str(path, e->path);
}

static bool
endpoint_has_method(const struct http_endpoint *e, const struct http_request *req)
{
	return slice_eq_str(req->method, e->method) ||
	    (is_head(req) && strcmp(e->method, "GET") == 0);
}

/* The endpoint; NULL when none has the path and the method. `allow` gets the methods of
 * those that have the path. */
static const struct http_endpoint *
find_endpoint(
    const struct front *front, const struct http_request *req, struct buf *allow)
{
	const struct http_endpoint *e = front->options.endpoints;

	for (; e && e->path; e++) {
		if (!endpoint_has_path(e, req->path))
			continue;
		if (endpoint_has_method(e, req))
			return e;
		buf_printf(allow, "%s%s", allow->len ? ", " : "",
		    strcmp(e->method, "GET") == 0 ? "GET, HEAD" : e->method);
	}
	return NULL;
}

static bool
is_authorized(const struct front_conn *fc, const struct http_request *req)
{
	struct slice token;

	if (fc->authorized)
		return true;
	if (http_field_count(req, "Authorization") != 1)
		return false;
	token = token_of_authorization(http_field_get(req, "Authorization"));
	return token.ptr && token_set_has(fc->front->options.tokens, token);
}

static void
refuse_method(struct http_turn *turn, struct slice allow)
{
	http_problem(
	    turn->resp, 405, "the method must be one of: %.*s", SLICE_ARG(allow));
	http_response_add_field(turn->resp, "Allow", allow);
}

static void
run_route(struct http_turn *turn, struct slice allow)
{
	const struct http_route *route = find_route(turn->req->path);

	if (!turn->req->trusted) {
		http_problem(turn->resp, 401,
		    "a token is needed: send Authorization: Bearer TOKEN");
		http_response_add_field(
		    turn->resp, "WWW-Authenticate", slice_str("Bearer"));
	} else if (route &&
	    (route->run == run_later || list_has(route->allow, turn->req->method))) {
		route->run(turn);
	} else if (route || allow.len > 0) {
		refuse_method(turn, route ? slice_str(route->allow) : allow);
	} else {
		http_problem(turn->resp, 404, "there is nothing at this path");
	}
}

static void
find_and_run(struct http_turn *turn)
{
	struct buf allow = { 0 };
	const struct http_endpoint *e =
	    find_endpoint(turn->fc->front, turn->req, &allow);

	if (e)
		turn->fc->spent += FRONT_ENDPOINT_COST;
	if (e && (e->open || turn->req->trusted))
		e->answer(e->arg, turn->req, turn->resp);
	else
		run_route(turn, buf_slice(&allow));
	buf_fini(&allow);
}

/* The front's response, empty, and without much memory from the last one. */
static struct http_response *
begin_response(struct front *front)
{
	struct http_response *resp = &front->response;

	if (resp->body.cap > RESPONSE_KEPT)
		buf_fini(&resp->body);
	http_response_clear(resp);
	return resp;
}

static void
send_response(struct front_conn *fc, struct http_response *resp)
{
	struct buf *out = front_reply(fc);

	resp->close = fc->finishing;
	if (out)
		http_response_format(resp, out);
}

static void
answer(struct front_conn *fc, const struct http_request *req)
{
	struct http_turn turn = { .fc = fc, .req = req };

	turn.resp = begin_response(fc->front);
	if (!req->keep_alive || fc->front->draining)
		front_finish(fc);
	find_and_run(&turn);
	if (turn.answered)
		return;
	turn.resp->head_only = is_head(req);
	send_response(fc, turn.resp);
}

static void
refuse_request(
    struct front_conn *fc, int status, const char *text, const char *data, size_t len)
{
	struct http_response *resp = begin_response(fc->front);
	size_t skip = len >= 2 && memcmp(data, "\r\n", 2) == 0 ? 2 : 0;

	/* Malformed as it is, a HEAD's client reads no body. */
	resp->head_only = len - skip >= 5 && memcmp(data + skip, "HEAD ", 5) == 0;

	metric_add(fc->front->options.cells, METRIC_CLOSED_PROTOCOL, 1);
	front_finish(fc);
	http_problem(resp, status, "%s", text);
	send_response(fc, resp);
}

static void
tell_continue(struct front_conn *fc)
{
	struct buf *out = front_reply(fc);

	fc->state.http.reader.continue_told = true;
	if (out)
		buf_add_str(out, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* The head is read, the body is not: it is not waited for, since nobody who may send
 * one does. */
static size_t
answer_stranger(struct front_conn *fc, struct http_request *req, size_t len)
{
	metric_add(fc->front->options.cells, METRIC_HTTP_REQUESTS, 1);
	front_finish(fc);
	req->trusted = false;
	answer(fc, req);
	return len;
}

static size_t
http_take(struct front_conn *fc, const char *data, size_t len)
{
	struct front *front = fc->front;
	struct http_reader *reader = &fc->state.http.reader;
	struct http_request req;
	struct errinfo ei;
	bool had_head = reader->head_len > 0;
	int status;
	ptrdiff_t n = http_parse(reader, data, len, front->options.request_max,
	    &front->body, &req, &status, &ei);

	if (n == ERR_AGAIN) {
		if (!had_head && reader->head_len > 0 && !is_authorized(fc, &req))
			return answer_stranger(fc, &req, len);
		if (reader->head_len > 0 && req.expect_continue &&
		    !reader->continue_told)
			tell_continue(fc);
		return 0;
	}
	metric_add(front->options.cells, METRIC_HTTP_REQUESTS, 1);
	memset(reader, 0, sizeof(*reader));
	if (n < 0) {
		refuse_request(fc, status, ei.text, data, len);
		return len;
	}
	req.trusted = is_authorized(fc, &req);
	answer(fc, &req);
	if (front->body.cap > RESPONSE_KEPT)
		buf_fini(&front->body);
	return (size_t)n;
}

static void
fill_decision(struct http_response *resp, const struct exchange *ex)
{
	const struct decision *d = check_decision(ex->check);

	resp->status = check_http_status(d);
	if (ex->style.deny_status && resp->status != 200)
		resp->status = ex->style.deny_status;
	check_http_add_fields(d, resp);
	check_json_format(d, &resp->body);
}

/* Explained is explained, whatever the verdict; but not without the counters. */
static void
fill_explanation(struct http_response *resp, const struct exchange *ex)
{
	const struct decision *d = check_decision(ex->check);

	resp->status = d->cause == CAUSE_STORE ? 503 : 200;
	if (resp->status == 503)
		buf_add_str(&resp->fields, "Retry-After: 1\r\n");
	explain_json_format(d, check_explanation(ex->check), &resp->body);
}

static void
fill_usage(struct http_response *resp, const struct exchange *ex)
{
	const struct usage *usage = check_usage(ex->check);
	const struct decision *d = check_decision(ex->check);

	if (!usage->known) {
		http_problem(resp, 404, "%.*s", SLICE_ARG(d->message));
	} else if (usage->fault != FAULT_NONE) {
		http_problem(resp, 503, "the store is unavailable: %s",
		    store_fault_table[usage->fault].phrase);
		buf_add_str(&resp->fields, "Retry-After: 1\r\n");
	} else {
		resp->status = 200;
		usage_json_format(d, usage, &resp->body);
	}
}

static void
http_format(struct front_conn *fc, const struct exchange *ex, struct buf *out)
{
	struct http_response *resp = begin_response(fc->front);

	resp->content_type = "application/json";
	resp->head_only = ex->style.head_only;
	/* Only the last one: a client stops reading at it. */
	resp->close = fc->finishing && fc->n_owed == 0;
	buf_add_str(&resp->fields, "Cache-Control: no-store\r\n");
	if (UNLIKELY(check_usage(ex->check)))
		fill_usage(resp, ex);
	else if (UNLIKELY(check_explanation(ex->check)))
		fill_explanation(resp, ex);
	else
		fill_decision(resp, ex);
	http_response_format(resp, out);
}

static size_t
http_in_max(size_t request_max)
{
	/* http_parse() refuses first. */
	return HTTP_INPUT_MAX(request_max) + 1;
}

static void
http_open(struct front_conn *fc)
{
	memset(&fc->state.http, 0, sizeof(fc->state.http));
}

static void
http_close(struct front_conn *fc)
{
	(void)fc;
}

static void
last_word(struct front *front, int status, const char *text, struct buf *out)
{
	struct http_response *resp = begin_response(front);

	http_problem(resp, status, "%s", text);
	resp->close = true;
	http_response_format(resp, out);
}

static void
http_refuse_client(struct front *front, struct buf *out)
{
	last_word(front, 503, "too many connections are open", out);
}

static void
http_farewell(struct front_conn *fc, enum conn_end end, struct buf *out)
{
	if (end == CONN_END_SLOW)
		last_word(fc->front, 408, "the request took too long to arrive", out);
	else if (end == CONN_END_CROWDED)
		last_word(fc->front, 503,
		    "too many unfinished requests are kept already", out);
	else
		last_word(fc->front, 413, "the request is too long", out);
}

const struct front_protocol front_http = {
	.connections = METRIC_HTTP_CONNECTIONS,
	.in_max = http_in_max,
	.open = http_open,
	.close = http_close,
	.take = http_take,
	.format = http_format,
	.refuse = http_refuse_client,
	.farewell = http_farewell,
};
