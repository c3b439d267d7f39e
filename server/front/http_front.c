/* SPDX-License-Identifier: ISC */
/* HTTP: reads requests, finds their route, answers. */
#include <string.h>

#include "base/buf.h"
#include "front/http_routes.h"

#define RESPONSE_KEPT 65536 /* bytes of the largest body whose memory is kept */

struct http_route {
	const char *path;
	const char *allow; /* methods, as in the Allow field */
	/* Where there are tokens, it needs one, whichever the listener. */
	bool token;
	void (*run)(struct http_turn *turn);
};

bool
http_is_head(const struct http_request *req)
{
	return slice_eq_str(req->method, "HEAD");
}

static const struct http_route routes[] = {
	{ "/v1/check", "POST", false, http_run_check },
	{ "/v1/auth", "GET, HEAD, POST", false, http_run_auth },
	{ "/v1/commit", "POST", true, http_run_commit },
	{ "/v1/rollback", "POST", true, http_run_rollback },
	{ "/v1/renew", "POST", true, http_run_renew },
	{ "/v1/explain", "POST", false, http_run_explain },
	{ "/v1/usage", "GET, HEAD", false, http_run_usage },
	{ "/v1/reset", "POST", true, http_run_reset },
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
	    (http_is_head(req) && strcmp(e->method, "GET") == 0);
}

/* The endpoint with this path and method; NULL when there is none. `allow` gets the methods
 * of those that have the path. */
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
shows_token(const struct front_conn *fc, const struct http_request *req)
{
	struct slice token;

	if (http_field_count(req, "Authorization") != 1)
		return false;
	token = token_of_authorization(http_field_get(req, "Authorization"));
	return token.ptr && token_set_has(fc->front->options.tokens, token);
}

static bool
is_authorized(const struct front_conn *fc, const struct http_request *req)
{
	return fc->authorized || shows_token(fc, req);
}

/* Whether the caller may use the route. req->trusted covers only what the listener asks
 * for. */
static bool
may_use(const struct http_turn *turn, const struct http_route *route)
{
	if (!turn->req->trusted)
		return false;
	return !route || !route->token || !turn->fc->front->options.tokens ||
	    shows_token(turn->fc, turn->req);
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

	if (!may_use(turn, route)) {
		http_problem(turn->resp, 401,
		    "a token is needed: send Authorization: Bearer TOKEN");
		http_response_add_field(
		    turn->resp, "WWW-Authenticate", slice_str("Bearer"));
	} else if (route && list_has(route->allow, turn->req->method)) {
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

/* The front's one response, emptied; its memory is freed where the last one made it
 * large. */
static struct http_response *
begin_response(struct front *front)
{
	struct http_response *resp = &front->response;

	if (resp->body.cap > RESPONSE_KEPT)
		buf_fini(&resp->body);
	http_response_clear(resp);
	return resp;
}

struct http_response *
http_begin_answer(struct front_conn *fc, const struct exchange *ex)
{
	struct http_response *resp = begin_response(fc->front);

	resp->content_type = "application/json";
	resp->head_only = ex->style.head_only;
	/* Only in the last answer: a client stops reading there. */
	resp->close = fc->finishing && fc->n_owed == 0;
	buf_add_str(&resp->fields, "Cache-Control: no-store\r\n");
	return resp;
}

void
http_fill_fault(struct http_response *resp, enum store_fault fault, const char *detail)
{
	char text[FRONT_FAULT_MAX];

	http_problem(resp, 503, "%s", front_fault(fault, detail, text));
	buf_add_str(&resp->fields, "Retry-After: 1\r\n");
}

static void
send_response(struct front_conn *fc, struct http_response *resp)
{
	struct buf *out = front_reply(fc);

	resp->close = fc->finishing;
	if (out)
		http_response_format(resp, out);
}

/* Whether the client should leave after this answer. Not if another request has arrived
 * behind this one, which would then get no answer. */
static bool
is_last(const struct front_conn *fc, size_t behind)
{
	return fc->front->parting && behind == 0;
}

/* `behind`: the bytes that have arrived after the request. */
static void
answer(struct front_conn *fc, const struct http_request *req, size_t behind)
{
	struct http_turn turn = { .fc = fc, .req = req };

	turn.resp = begin_response(fc->front);
	if (!req->keep_alive || is_last(fc, behind))
		front_finish(fc);
	find_and_run(&turn);
	if (turn.answered)
		return;
	turn.resp->head_only = http_is_head(req);
	send_response(fc, turn.resp);
}

static void
refuse_request(
    struct front_conn *fc, int status, const char *text, const char *data, size_t len)
{
	struct http_response *resp = begin_response(fc->front);
	size_t skip = len >= 2 && memcmp(data, "\r\n", 2) == 0 ? 2 : 0;

	/* However malformed a HEAD is, its client reads no body. */
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

/* A request whose head shows no valid token: its body is not waited for, since only callers
 * that may use the path may make us keep one. */
static size_t
answer_stranger(struct front_conn *fc, struct http_request *req, size_t len)
{
	metric_add(fc->front->options.cells, METRIC_HTTP_REQUESTS, 1);
	front_finish(fc);
	req->trusted = false;
	answer(fc, req, 0);
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
	answer(fc, &req, len - (size_t)n);
	if (front->body.cap > RESPONSE_KEPT)
		buf_fini(&front->body);
	return (size_t)n;
}

static size_t
http_in_max(size_t request_max)
{
	/* Not reached: http_parse() refuses such input first. */
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
	.format = {
	    [JOB_CHECK] = http_format_check,
	    [JOB_SETTLEMENT] = http_format_settlement,
	    [JOB_RESETTING] = http_format_resetting,
	},
	.refuse = http_refuse_client,
	.farewell = http_farewell,
};
