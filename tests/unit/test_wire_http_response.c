/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "wire/http.h"

static void
assert_formats(const struct http_response *resp, const char *text)
{
	struct buf out = { 0 };

	http_response_format(resp, &out);
	assert_string_equal(buf_cstr(&out), text);
	buf_fini(&out);
}

static void
test_response(void **state)
{
	struct http_response resp = { .status = 200, .content_type = "text/plain" };

	(void)state;
	buf_add_str(&resp.body, "hello");
	http_response_add_field(&resp, "X-A", slice_make("a\r\nSet-Cookie: b\0c", 18));
	http_response_add_field(&resp, "X-B", slice_make(NULL, 0));
	assert_formats(&resp,
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	    "Content-Length: 5\r\nX-A: a  Set-Cookie: b c\r\nX-B: \r\n"
	    "\r\nhello");
	resp.head_only = resp.close = true;
	assert_formats(&resp,
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	    "Content-Length: 5\r\nX-A: a  Set-Cookie: b c\r\nX-B: \r\n"
	    "Connection: close\r\n\r\n");
	http_response_clear(&resp);
	resp.status = 204;
	assert_formats(&resp, "HTTP/1.1 204 No Content\r\n\r\n");
	resp.status = 404;
	assert_formats(&resp, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	resp.status = 299;
	assert_formats(&resp, "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n");
	http_response_fini(&resp);
}

/* What was lost for want of memory must not leave as half a response. */
static void
test_lost_bytes_are_passed_on(void **state)
{
	struct http_response resp = { .status = 200, .content_type = "text/plain" };
	struct buf out = { 0 };

	(void)state;
	resp.body.failed = true;
	http_response_format(&resp, &out);
	assert_true(out.failed);
	assert_int_equal(out.len, 0);
	buf_fini(&out);
}

static void
test_problem(void **state)
{
	struct http_response resp = { 0 };
	char longer[3000];
	json_t *json;

	(void)state;
	http_problem(&resp, 413, "no more than %d \"bytes\"", 7);
	assert_int_equal(resp.status, 413);
	assert_string_equal(resp.content_type, "application/problem+json");
	assert_string_equal(buf_cstr(&resp.body),
	    "{\"type\":\"about:blank\",\"title\":\"Content Too Large\",\"status\":413,"
	    "\"detail\":\"no more than 7 \\\"bytes\\\"\"}");
	memset(longer, 0xC3, sizeof(longer));
	for (size_t i = 1; i < sizeof(longer); i += 2)
		longer[i] = (char)0xA9;
	longer[sizeof(longer) - 2] = '\0';
	http_problem(&resp, 400, "x%s", longer);
	json = json_loadb(resp.body.data, resp.body.len, 0, NULL);
	assert_non_null(json);
	assert_null(
	    strstr(json_string_value(json_object_get(json, "detail")), "\xEF\xBF\xBD"));
	json_decref(json);
	http_response_fini(&resp);
}

static void
test_reasons(void **state)
{
	static const int used[] = { 200, 400, 401, 403, 404, 405, 408, 413, 414, 415,
		417, 422, 429, 431, 500, 501, 503, 505 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(used); i++)
		assert_string_not_equal(http_reason(used[i]), "");
	assert_string_equal(http_reason(999), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_response),
		cmocka_unit_test(test_lost_bytes_are_passed_on),
		cmocka_unit_test(test_problem),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
