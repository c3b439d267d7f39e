/* SPDX-License-Identifier: ISC */
#include "front_fixture.h"

#define HOST "Host: x\r\n"
#define JSON "Content-Type: application/json\r\n"

static void
answer_open(void *arg, const struct http_request *req, struct http_response *resp)
{
	(void)arg;
	(void)req;
	resp->status = 200;
	resp->content_type = "text/plain";
	buf_add_str(&resp->body, "fine\n");
}

static void
answer_item(void *arg, const struct http_request *req, struct http_response *resp)
{
	(void)arg;
	resp->status = 200;
	resp->content_type = "text/plain";
	buf_add_slice(&resp->body, req->path);
}

static const struct http_endpoint endpoints[] = {
	{ "GET", "/open", true, answer_open, NULL },
	{ "GET", "/items/", false, answer_item, NULL },
	{ "PUT", "/items/", false, answer_item, NULL },
	{ 0 },
};

static struct house *
open_http(void **state)
{
	struct house *h = *state;

	h->options.endpoints = endpoints;
	house_open(h, &front_http, "127.0.0.1:0");
	house_connect(h);
	return h;
}

/* Says `request`, and looks for each of the NULL-ended parts in all that comes until
 * the connection is idle again: the response must be complete when `end` is there. */
static const char *end_of_response;

static bool
has_end(struct house *h)
{
	return h->got.len > 0 && strstr(buf_cstr(&h->got), end_of_response);
}

static const char *
ask(struct house *h, const char *request, const char *end)
{
	buf_clear(&h->got);
	end_of_response = end;
	house_say(h, request);
	house_run(h, has_end);
	return buf_cstr(&h->got);
}

static void
assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

#define CHECK_OF(tool, len)                                                       \
	"POST /v1/check HTTP/1.1\r\n" HOST JSON "Content-Length: " len "\r\n\r\n" \
	"{\"tool\":\"" tool "\",\"grant\":\"g\"}"

static void
test_a_check(void **state)
{
	struct house *h = open_http(state);
	const char *text = ask(h, CHECK_OF("free", "27"), "null}");

	assert_has(text, "HTTP/1.1 200 OK\r\n");
	assert_has(text, "Content-Type: application/json\r\n");
	assert_has(text, "Cache-Control: no-store\r\n");
	assert_has(text, "\"verdict\":\"allow\"");
	assert_null(strstr(text, "Connection: close"));
	text = ask(h, CHECK_OF("stop", "27"), "null}");
	assert_has(text, "HTTP/1.1 403 Forbidden\r\n");
	assert_has(text, "\"rule\":\"/tools/stop/action\"");
	assert_int_equal(metric_get(h->cells, METRIC_HTTP_REQUESTS), 2);
}

static bool
two_wait(struct house *h)
{
	return h->late.n == 2;
}

static bool
three_responses(struct house *h)
{
	const char *text = buf_cstr(&h->got);
	int n = 0;

	while ((text = strstr(text, "HTTP/1.1 "))) {
		n++;
		text++;
	}
	return n == 3 && h->eof;
}

static void
test_pipelined_answers_keep_their_order_and_the_last_closes(void **state)
{
	struct house *h = open_http(state);
	const char *text;
	const char *close;

	house_say(h,
	    CHECK_OF("counted",
		"30") "GET /open HTTP/1.1\r\n" HOST "\r\n"
		      "POST /v1/check HTTP/1.1\r\n" HOST JSON "Connection: close\r\n"
		      "Content-Length: 30\r\n\r\n{\"tool\":\"counted\",\"grant\":\"g\"}"
		      "GET /never HTTP/1.1\r\n" HOST "\r\n");
	house_run(h, two_wait);
	house_answer(h, 1);
	house_answer(h, 0);
	house_run(h, three_responses);
	text = buf_cstr(&h->got);
	assert_has(text, "RateLimit: \"c\";r=2;t=3600\r\n");
	assert_true(strstr(text, "fine\n") > strstr(text, "\"verdict\""));
	close = strstr(text, "Connection: close\r\n");
	assert_non_null(close);
	assert_true(close > strstr(text, "fine\n"));
	assert_null(strstr(text, "404"));
}

static void
test_each_refusal_is_a_problem(void **state)
{
	static const struct {
		const char *request;
		const char *status;
		const char *also;
	} rows[] = {
		{ "POST /v1/check HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}",
		    "415", "application/json" },
		{ "POST /v1/check HTTP/1.1\r\n" HOST
		  "Content-Type: application/json; charset=latin1\r\n"
		  "Content-Length: 2\r\n\r\n{}",
		    "415", "" },
		{ "POST /v1/check HTTP/1.1\r\n" HOST
		  "Content-Type: Application/JSON ; charset=UTF-8\r\n"
		  "Content-Length: 2\r\n\r\n{}",
		    "400", "tool" },
		{ "POST /v1/check HTTP/1.1\r\n" HOST JSON "\r\n", "400", "missing" },
		{ "POST /v1/check HTTP/1.1\r\n" HOST JSON
		  "X-Ration-Timeout-Ms: x\r\nContent-Length: 27\r\n\r\n"
		  "{\"tool\":\"free\",\"grant\":\"g\"}",
		    "400", "Timeout-Ms" },
		{ "GET /v1/check HTTP/1.1\r\n" HOST "\r\n", "405", "Allow: POST\r\n" },
		{ "OPTIONS /v1/auth HTTP/1.1\r\n" HOST "\r\n", "405",
		    "Allow: GET, HEAD, POST\r\n" },
		{ "DELETE /items/1 HTTP/1.1\r\n" HOST "\r\n", "405",
		    "Allow: GET, HEAD, PUT\r\n" },
		{ "GET /items/ HTTP/1.1\r\n" HOST "\r\n", "404", "" },
		{ "GET / HTTP/1.1\r\n" HOST "\r\n", "404", "" },
		{ "GET /v1/auth HTTP/1.1\r\n" HOST "\r\n", "400", "X-Ration-Tool" },
		{ "GET /v1/auth?deny=404 HTTP/1.1\r\n" HOST "\r\n", "400", "deny" },
	};
	struct house *h = open_http(state);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *text = ask(h, rows[i].request, "\"}");

		assert_memory_equal(text + strlen("HTTP/1.1 "), rows[i].status, 3);
		assert_has(text, "Content-Type: application/problem+json\r\n");
		assert_has(text, rows[i].also);
	}
	assert_int_equal(metric_get(h->cells, METRIC_CHECKS_INVALID), 7);
}

static void
test_forward_auth(void **state)
{
	struct house *h = open_http(state);
	const char *text;

	text = ask(h,
	    "GET /v1/auth HTTP/1.1\r\n" HOST "X-Ration-Tool: free\r\n"
	    "X-Ration-Grant: g\r\n\r\n",
	    "null}");
	assert_has(text, "HTTP/1.1 200 OK\r\n");
	text = ask(h,
	    "HEAD /v1/auth HTTP/1.1\r\n" HOST "X-Ration-Tool: stop\r\n"
	    "X-Ration-Grant: g\r\n\r\n",
	    "\r\n\r\n");
	assert_has(text, "HTTP/1.1 403 Forbidden\r\n");
	assert_null(strchr(text, '{'));
}

static bool
one_waits(struct house *h)
{
	return h->late.n == 1;
}

static void
test_every_denial_can_be_403(void **state)
{
	struct house *h = open_http(state);
	struct take *take;

	house_say(h,
	    "GET /v1/auth?deny=403 HTTP/1.1\r\n" HOST "X-Ration-Tool: counted\r\n"
	    "X-Ration-Grant: g\r\n\r\n");
	house_run(h, one_waits);
	take = h->late.takes[0];
	h->late.takes[0] = NULL;
	store_fail(&h->late.store, take, FAULT_TIMEOUT, NULL);
	house_expect_start(h, "HTTP/1.1 403 Forbidden\r\n");
}

static void
test_endpoints(void **state)
{
	struct house *h = open_http(state);
	const char *text;

	text = ask(h, "GET /open HTTP/1.1\r\n" HOST "\r\n", "fine\n");
	assert_has(text, "HTTP/1.1 200 OK\r\n");
	text = ask(h, "HEAD /open HTTP/1.1\r\n" HOST "\r\n", "\r\n\r\n");
	assert_has(text, "Content-Length: 5\r\n");
	assert_null(strstr(text, "fine"));
	text = ask(h, "GET /items/7?x=1 HTTP/1.1\r\n" HOST "\r\n", "/items/7");
	assert_has(text, "HTTP/1.1 200 OK\r\n");
}

static void
test_a_body_is_waited_for(void **state)
{
	struct house *h = open_http(state);

	house_say(h,
	    "POST /v1/check HTTP/1.1\r\n" HOST JSON
	    "Expect: 100-continue\r\nContent-Length: 27\r\n\r\n");
	house_expect(h, "HTTP/1.1 100 Continue\r\n\r\n");
	house_say(h, "{\"tool\":\"free\",");
	assert_has(ask(h, "\"grant\":\"g\"}", "null}"), "HTTP/1.1 200 OK\r\n");
}

static void
test_what_cannot_be_followed_is_closed(void **state)
{
	struct house *h = open_http(state);

	house_say(
	    h, "POST /v1/check HTTP/1.1\r\n" HOST JSON "Content-Length: 1001\r\n\r\n");
	house_expect_eof(h);
	assert_has(buf_cstr(&h->got), "HTTP/1.1 413 ");
	assert_has(buf_cstr(&h->got), "Connection: close\r\n");
	assert_has(buf_cstr(&h->got), "application/problem+json");
	assert_int_equal(metric_get(h->cells, METRIC_CLOSED_PROTOCOL), 1);
}

static void
test_a_slow_request_is_told_so(void **state)
{
	struct house *h = *state;

	h->options.message_ms = 30;
	open_http(state);
	house_say(h, "GET /open HT");
	house_expect_eof(h);
	assert_has(buf_cstr(&h->got), "HTTP/1.1 408 Request Timeout\r\n");
}

static void
test_one_client_too_many(void **state)
{
	struct house *h = *state;

	h->quota.max = 0;
	open_http(state);
	house_expect_eof(h);
	assert_has(buf_cstr(&h->got), "HTTP/1.1 503 Service Unavailable\r\n");
	assert_has(buf_cstr(&h->got), "Connection: close\r\n");
}

static void
test_a_drain_says_close(void **state)
{
	struct house *h = open_http(state);

	house_say(h, CHECK_OF("counted", "30"));
	house_run(h, one_waits);
	front_drain(h->front);
	house_answer(h, 0);
	house_expect_eof(h);
	assert_has(buf_cstr(&h->got), "HTTP/1.1 200 OK\r\n");
	assert_has(buf_cstr(&h->got), "Connection: close\r\n");
}

static void
test_an_outer_listener_asks_for_a_token(void **state)
{
	struct house *h = *state;
	const char *text;

	house_use_tokens(h);
	h->options.endpoints = endpoints;
	house_open(h, &front_http, "0.0.0.0:0");
	house_connect(h);
	text = ask(h, CHECK_OF("free", "27"), "\"}");
	assert_has(text, "HTTP/1.1 401 Unauthorized\r\n");
	assert_has(text, "WWW-Authenticate: Bearer\r\n");
	assert_has(ask(h, "GET /items/1 HTTP/1.1\r\n" HOST "\r\n", "\"}"), " 401 ");
	assert_has(ask(h, "GET /nothing HTTP/1.1\r\n" HOST "\r\n", "\"}"), " 401 ");
	assert_has(ask(h,
		       "GET /items/1 HTTP/1.1\r\n" HOST "Authorization: Bearer " TOKEN
		       "x\r\n\r\n",
		       "\"}"),
	    " 401 ");
	assert_has(ask(h, "GET /open HTTP/1.1\r\n" HOST "\r\n", "fine\n"), " 200 ");
	assert_has(ask(h,
		       "GET /items/1 HTTP/1.1\r\n" HOST "Authorization: bearer " TOKEN
		       "\r\n\r\n",
		       "/items/1"),
	    " 200 ");
}

/* Nobody who may not ask is waited for: neither for a body nor with 100 Continue. */
static void
test_a_strangers_body_is_not_waited_for(void **state)
{
	struct house *h = *state;

	house_use_tokens(h);
	h->options.endpoints = endpoints;
	house_open(h, &front_http, "0.0.0.0:0");
	house_connect(h);
	house_say(h,
	    "POST /v1/check HTTP/1.1\r\n" HOST JSON
	    "Content-Length: 900\r\nExpect: 100-continue\r\n\r\n");
	house_expect_eof(h);
	assert_int_equal(strncmp(buf_cstr(&h->got), "HTTP/1.1 401 ", 13), 0);
	assert_has(buf_cstr(&h->got), "Connection: close\r\n");
	close(h->client);
	buf_clear(&h->got);
	house_connect(h);
	house_say(h,
	    "POST /v1/check HTTP/1.1\r\n" HOST JSON "Authorization: Bearer " TOKEN
	    "\r\nContent-Length: 900\r\nExpect: 100-continue\r\n\r\n");
	house_expect(h, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void
test_a_malformed_head_gets_no_body(void **state)
{
	struct house *h = open_http(state);

	house_say(h, "HEAD /open HTTP/1.1\r\nbad field\r\n\r\n");
	house_expect_eof(h);
	assert_has(buf_cstr(&h->got), " 400 ");
	assert_string_equal(strstr(buf_cstr(&h->got), "\r\n\r\n"), "\r\n\r\n");
}

static void
test_a_drain_answers_those_who_wait(void **state)
{
	struct house *h = open_http(state);

	house_say(h, "GET /open HTTP/1.1\r\n" HOST "\r\n");
	front_drain(h->front);
	house_expect_eof(h);
	assert_has(buf_cstr(&h->got), "HTTP/1.1 200 OK\r\n");
	assert_has(buf_cstr(&h->got), "Connection: close\r\n");
	assert_has(buf_cstr(&h->got), "fine\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		IN_HOUSE(test_a_check),
		IN_HOUSE(test_pipelined_answers_keep_their_order_and_the_last_closes),
		IN_HOUSE(test_each_refusal_is_a_problem),
		IN_HOUSE(test_forward_auth),
		IN_HOUSE(test_every_denial_can_be_403),
		IN_HOUSE(test_endpoints),
		IN_HOUSE(test_a_body_is_waited_for),
		IN_HOUSE(test_what_cannot_be_followed_is_closed),
		IN_HOUSE(test_a_slow_request_is_told_so),
		IN_HOUSE(test_one_client_too_many),
		IN_HOUSE(test_a_drain_says_close),
		IN_HOUSE(test_a_strangers_body_is_not_waited_for),
		IN_HOUSE(test_a_malformed_head_gets_no_body),
		IN_HOUSE(test_a_drain_answers_those_who_wait),
		IN_HOUSE(test_an_outer_listener_asks_for_a_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
