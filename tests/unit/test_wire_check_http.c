/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/check_http.h"
#include "wire_decision.h"

static void
test_status(void **state)
{
	struct decision d = decision_allowed();

	(void)state;
	assert_int_equal(check_http_status(&d), 200);
	d.cause = CAUSE_POLICY;
	assert_int_equal(check_http_status(&d), 403);
	d.cause = CAUSE_LIMIT;
	assert_int_equal(check_http_status(&d), 429);
	d.cause = CAUSE_STORE;
	assert_int_equal(check_http_status(&d), 503);
	d.cause = CAUSE_CONFLICT;
	assert_int_equal(check_http_status(&d), 422);
}

static void
assert_fields(const struct decision *d, const char *text)
{
	struct http_response resp = { 0 };

	check_http_add_fields(d, &resp);
	assert_string_equal(buf_cstr(&resp.fields), text);
	http_response_fini(&resp);
}

#define CHARGES                                                    \
	"RateLimit-Policy: \"charges\";q=30;w=3600\r\nRateLimit: " \
	"\"charges\";r=0;t=2\r\n"

static void
test_fields(void **state)
{
	struct decision_limit limits[1] = { limits_denied[0] };
	struct decision d = decision_limited();

	(void)state;
	assert_fields(&d, CHARGES "Retry-After: 2\r\n");
	d.limits = limits;
	d.n_limits = 1;
	limits[0].outcome.retry_after_ms = -1;
	assert_fields(&d, CHARGES);
	limits[0].outcome.retry_after_ms = 0;
	assert_fields(&d, CHARGES "Retry-After: 1\r\n");
	limits[0].outcome.retry_after_ms = 3000;
	assert_fields(&d, CHARGES "Retry-After: 3\r\n");
	d.cause = CAUSE_ALLOWED;
	assert_fields(&d, CHARGES);
	d.cause = CAUSE_STORE;
	assert_fields(&d, CHARGES "Retry-After: 1\r\n");
	d.tightest = DECISION_NO_LIMIT;
	assert_fields(&d, "Retry-After: 1\r\n");
	d = decision_approval();
	assert_fields(&d, "");
}

static void
test_odd_names_and_large_numbers(void **state)
{
	struct decision d = decision_allowed();

	(void)state;
	assert_fields(&d,
	    "RateLimit-Policy: \"a\\\"b\\\\c%25d %C3%A9%0A\""
	    ";q=999999999999999;w=90\r\n"
	    "RateLimit: \"a\\\"b\\\\c%25d %C3%A9%0A\""
	    ";r=999999999999999;t=90\r\n");
}

/* Slots have no window; a reservation is told to those who do not see the body. */
static void
test_reservation_of_a_slot(void **state)
{
	static char counter[] = "jobs";
	static const struct policy_limit slots = {
		.limit = { .algorithm = ALGORITHM_CONCURRENCY,
		    .max = 3,
		    .window = { .name = "slots" } },
		.counter = counter,
	};
	static const struct decision_limit limits[] = {
		{ .limit = &slots,
		    .scope = "grant",
		    .outcome = { .used = 1, .remaining = 2, .reset_ms = 1500 } },
	};
	struct decision d = decision_allowed();

	(void)state;
	d.limits = limits;
	d.n_limits = 1;
	d.tightest = 0;
	d.reservation = slice_str("p:g:00");
	d.degraded = true;
	assert_fields(&d,
	    "RateLimit-Policy: \"jobs\";q=3\r\n"
	    "RateLimit: \"jobs\";r=2;t=2\r\n"
	    "X-Ration-Degraded: 1\r\n"
	    "X-Ration-Reservation: p:g:00\r\n");
}

static struct http_request req;
static struct check_request out;
static struct errinfo ei;

static int
parse_auth(const char *fields)
{
	struct http_reader r = { 0 };
	struct buf text = { 0 };
	struct buf store = { 0 };
	static char kept[8192];
	int status;
	ptrdiff_t rc;

	buf_printf(&text, "GET /v1/auth HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
	memcpy(kept, text.data, text.len);
	rc = http_parse(&r, kept, text.len, 0, &store, &req, &status, &ei);
	buf_fini(&text);
	assert_true(rc > 0);
	return check_http_parse_auth(&req, &out, &ei);
}

#define TG "X-Ration-Tool: t\r\nx-ration-grant: g\r\n"

static void
test_auth(void **state)
{
	(void)state;
	assert_int_equal(parse_auth(TG "Cookie: a=b\r\n"), 0);
	assert_true(slice_eq_str(out.call.tool, "t"));
	assert_true(slice_eq_str(out.call.grant, "g"));
	assert_int_equal(out.call.cost, 1);
	assert_int_equal(out.call.session.len, 0);
	assert_null(out.policy.ptr);
	assert_int_equal(out.timeout_ms, 0);
	assert_int_equal(
	    parse_auth(TG "X-Ration-Policy: p\r\nX-Ration-Session: s\r\n"
			  "X-Ration-Cost: 0\r\nX-RATION-TIMEOUT-MS: 250\r\n"
			  "X-Ration-Mode: enforce\r\n"),
	    0);
	assert_true(slice_eq_str(out.policy, "p"));
	assert_true(slice_eq_str(out.call.session, "s"));
	assert_int_equal(out.call.cost, 0);
	assert_int_equal(out.timeout_ms, 250);
	assert_int_equal(out.mode, MODE_ENFORCE);
	assert_int_equal(parse_auth(TG "X-Ration-Ttl: 7\r\nX-Ration-Mode: reserve\r\n"
				       "X-Ration-Request-Id: r 1\r\n"),
	    0);
	assert_int_equal(out.mode, MODE_RESERVE);
	assert_int_equal(out.ttl_s, 7);
	assert_true(slice_eq_str(out.id, "r 1"));
}

static const struct {
	const char *fields;
	int code;
	const char *text;
} bad[] = {
	{ "", ERR_INVALID, "X-Ration-Tool is missing" },
	{ "X-Ration-Tool: t\r\n", ERR_INVALID, "X-Ration-Grant is missing" },
	{ "X-Ration-Tool:\r\n", ERR_INVALID, "X-Ration-Tool" },
	{ TG "X-Ration-Grant: other\r\n", ERR_INVALID,
	    "X-Ration-Grant is given twice" },
	{ TG "X-Ration-Session:\r\n", ERR_INVALID, "X-Ration-Session" },
	{ TG "X-Ration-Sesion: s\r\n", ERR_INVALID,
	    "unknown header field \"X-Ration-Sesion\"" },
	{ TG "X-Ration-Cost: many\r\n", ERR_INVALID,
	    "X-Ration-Cost must be a whole number from 0 to 9007199254740991, "
	    "not \"many\"" },
	{ TG "X-Ration-Timeout-Ms: 0\r\n", ERR_INVALID,
	    "X-Ration-Timeout-Ms must be a whole number from 1 to 60000" },
	{ TG "X-Ration-Mode: look\r\n", ERR_INVALID,
	    "X-Ration-Mode must be \"enforce\", \"peek\" or \"reserve\", not "
	    "\"look\"" },
	{ TG "X-Ration-Id: 1\r\n", ERR_INVALID,
	    "X-Ration- has Tool, Grant, Policy, Session, Cost, Request-Id, Mode, Ttl" },
	{ TG "X-Ration-Request-Id:\r\n", ERR_INVALID, "X-Ration-Request-Id is empty" },
	{ TG "X-Ration-TTL: 1\r\n", ERR_INVALID,
	    "X-Ration-Ttl says how long a reservation lasts; it needs X-Ration-Mode" },
	{ TG "X-Ration-TTL: 0\r\nX-Ration-Mode: reserve\r\n", ERR_INVALID,
	    "X-Ration-Ttl must be a whole number from 1 to 86400" },
	{ "X-Ration-Tool: \xFF\r\nX-Ration-Grant: g\r\n", ERR_INVALID,
	    "X-Ration-Tool" },
};

static void
test_auth_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int rc = parse_auth(bad[i].fields);

		if (rc != bad[i].code || ei.code != rc || !strstr(ei.text, bad[i].text))
			fail_msg("%s -> %d %s", bad[i].fields, rc, ei.text);
	}
}

static int
parse_check_fields(const char *fields)
{
	parse_auth(fields);
	memset(&out, 0, sizeof(out));
	return check_http_parse_fields(&req, BESIDE_CHECK, &out, &ei);
}

/* The body is the question: what stands beside it must not be lost. */
static void
test_check_refuses(void **state)
{
	static const struct {
		const char *fields;
		int code;
		const char *text;
	} wrong[] = {
		{ "X-Ration-Tool: t\r\n", ERR_INVALID, "is for /v1/auth" },
		{ "X-Ration-Grant: g\r\n", ERR_INVALID, "is for /v1/auth" },
		{ "X-Ration-Policy: p\r\n", ERR_INVALID, "is for /v1/auth" },
		{ "X-Ration-Session: s\r\n", ERR_INVALID, "is for /v1/auth" },
		{ "X-Ration-Cost: 5\r\n", ERR_INVALID, "is for /v1/auth" },
		{ "X-Ration-Mode: peek\r\n", ERR_INVALID,
		    "X-Ration-Mode is not the mode of the body" },
		{ "X-Ration-Mode: x\r\n", ERR_INVALID, "X-Ration-Mode" },
		{ "x-ration-request-id: 1\r\n", ERR_INVALID, "is for /v1/auth" },
		{ "X-Ration-Id: 1\r\n", ERR_INVALID, "unknown header field" },
		{ "X-Ration-Ttl: 1\r\n", ERR_INVALID, "is for /v1/auth" },
		{ "X-Ration-Timeout: 1\r\n", ERR_INVALID, "unknown header field" },
	};

	(void)state;
	assert_int_equal(parse_check_fields("X-Other: 1\r\n"), 0);
	assert_int_equal(out.timeout_ms, 0);
	assert_int_equal(parse_check_fields("X-Ration-Mode: enforce\r\n"
					    "X-Ration-Timeout-Ms: 7\r\n"),
	    0);
	assert_int_equal(out.timeout_ms, 7);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		int rc = parse_check_fields(wrong[i].fields);

		if (rc != wrong[i].code || !strstr(ei.text, wrong[i].text))
			fail_msg("%s -> %d %s", wrong[i].fields, rc, ei.text);
	}
}

static void
test_timeout_refuses(void **state)
{
	static const char *const values[] = { "0", "60001", "abc", "", "1.5", "-1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct http_request r = { .n_fields = 1 };

		r.fields[0].name = slice_str("x-ration-timeout-ms");
		r.fields[0].value = slice_str(values[i]);
		assert_int_equal(
		    check_http_parse_fields(&r, BESIDE_CHECK, &out, &ei), ERR_INVALID);
		r.fields[0].value = slice_str("5");
		r.n_fields = 2;
		r.fields[1] = r.fields[0];
		assert_int_equal(
		    check_http_parse_fields(&r, BESIDE_CHECK, &out, &ei), ERR_INVALID);
		assert_non_null(strstr(ei.text, "twice"));
	}
}

/* Where there is no mode, none is taken, nor named in what is said. */
static void
test_elsewhere(void **state)
{
	static const char *const wrong[] = { "X-Ration-Mode: enforce\r\n",
		"X-Ration-Mode: peek\r\n", "X-Ration-Timeout: 1\r\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		parse_auth(wrong[i]);
		memset(&out, 0, sizeof(out));
		assert_int_equal(
		    check_http_parse_fields(&req, BESIDE_DEADLINE, &out, &ei),
		    ERR_INVALID);
		assert_non_null(strstr(ei.text, "\"; X-Ration- has Timeout-Ms here"));
		assert_int_equal(check_http_parse_fields(&req, BESIDE_RESET, &out, &ei),
		    ERR_INVALID);
		assert_non_null(
		    strstr(ei.text, "\"; a reset has none that begins with X-Ration-"));
	}
	parse_auth("X-Ration-Timeout-Ms: 7\r\n");
	memset(&out, 0, sizeof(out));
	assert_int_equal(check_http_parse_fields(&req, BESIDE_DEADLINE, &out, &ei), 0);
	assert_int_equal(out.timeout_ms, 7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_odd_names_and_large_numbers),
		cmocka_unit_test(test_reservation_of_a_slot),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_auth_refuses),
		cmocka_unit_test(test_check_refuses),
		cmocka_unit_test(test_timeout_refuses),
		cmocka_unit_test(test_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
