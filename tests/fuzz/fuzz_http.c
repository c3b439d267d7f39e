/* SPDX-License-Identifier: ISC */
/* HTTP requests from any bytes. The first byte of the input says where it is cut in
 * two, the second how long a body may be. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "require.h"
#include "wire/check_http.h"
#include "wire/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	struct http_reader reader;
	struct http_request req;
	struct buf store;
	struct errinfo ei;
	ptrdiff_t rc;
	int status;
};

static bool
inside(struct slice s, const char *data, size_t len)
{
	return s.len == 0 || (s.ptr >= data && s.ptr + s.len <= data + len);
}

static void
assert_views(const struct result *r, const char *data)
{
	const struct http_request *req = &r->req;
	size_t len = (size_t)r->rc;

	REQUIRE(req->method.len > 0 && inside(req->method, data, len));
	REQUIRE(req->path.len > 0 && inside(req->path, data, len));
	REQUIRE(inside(req->query, data, len));
	REQUIRE(req->n_fields <= HTTP_FIELDS_MAX);
	REQUIRE(inside(req->body, data, len) ||
	    inside(req->body, r->store.data, r->store.len));
	for (size_t i = 0; i < req->n_fields; i++) {
		struct http_field f = req->fields[i];

		REQUIRE(f.name.len > 0 && inside(f.name, data, len));
		REQUIRE(inside(f.value, data, len));
		for (size_t k = 0; k < f.value.len; k++)
			REQUIRE((unsigned char)f.value.ptr[k] >= 0x20 ||
			    f.value.ptr[k] == '\t');
	}
}

static void
parse(struct result *r, const char *data, size_t len, size_t body_max)
{
	r->status = 0;
	r->rc = http_parse(
	    &r->reader, data, len, body_max, &r->store, &r->req, &r->status, &r->ei);
	REQUIRE(r->rc != 0 && r->rc <= (ptrdiff_t)len);
	if (r->rc == ERR_AGAIN) {
		REQUIRE(r->reader.body_need > len);
		REQUIRE(len < HTTP_INPUT_MAX(body_max));
	} else if (r->rc < 0) {
		REQUIRE(r->status >= 400 && r->status <= 505 && r->ei.text[0]);
		REQUIRE(http_reason(r->status)[0]);
	} else {
		REQUIRE(r->rc <= (ptrdiff_t)HTTP_INPUT_MAX(body_max));
		REQUIRE(r->req.body.len <= body_max);
		assert_views(r, data);
	}
}

static void
compare(const struct result *a, const struct result *b)
{
	REQUIRE(a->rc == b->rc && a->status == b->status);
	if (a->rc == ERR_AGAIN) {
		REQUIRE(a->reader.head_len == b->reader.head_len);
		REQUIRE(a->reader.body_need == b->reader.body_need);
		REQUIRE(a->req.expect_continue == b->req.expect_continue);
		return;
	}
	if (a->rc < 0) {
		REQUIRE(strcmp(a->ei.text, b->ei.text) == 0);
		return;
	}
	REQUIRE(slice_eq(a->req.method, b->req.method));
	REQUIRE(slice_eq(a->req.path, b->req.path));
	REQUIRE(slice_eq(a->req.query, b->req.query));
	REQUIRE(slice_eq(a->req.body, b->req.body));
	REQUIRE(a->req.keep_alive == b->req.keep_alive);
	REQUIRE(a->req.n_fields == b->req.n_fields);
	for (size_t i = 0; i < a->req.n_fields; i++)
		REQUIRE(slice_eq(a->req.fields[i].value, b->req.fields[i].value));
}

/* What is done with a request that was read. */
static void
use(const struct http_request *req)
{
	struct check_request check;
	struct slice rest = req->query;
	struct buf name = { 0 };
	struct buf value = { 0 };
	struct errinfo ei;
	int rc = check_http_parse_auth(req, &check, &ei);

	REQUIRE(rc == 0 || ei.text[0]);
	memset(&check, 0, sizeof(check));
	rc = check_http_parse_fields(req, BESIDE_CHECK, &check, &ei);
	REQUIRE(rc < 0 || (check.timeout_ms >= 0 && check.timeout_ms <= 60000));
	while ((rc = http_query_next(&rest, &name, &value)) > 0)
		;
	REQUIRE(rc == 0 || rc == ERR_SYNTAX);
	buf_fini(&name);
	buf_fini(&value);
}

static void
assert_problem(const struct result *r)
{
	struct http_response resp = { 0 };
	json_t *json;

	http_problem(&resp, r->status, "%s", r->ei.text);
	json = json_loadb(resp.body.data, resp.body.len, 0, NULL);
	REQUIRE(json != NULL);
	json_decref(json);
	http_response_fini(&resp);
}

/* One request, read whole and in two pieces from memory that moves. What it took, or
 * 0 when there is no more to read. */
static size_t
one_request(const char *at, size_t size, size_t cut, size_t body_max)
{
	static struct result whole, parts;
	struct buf keep_whole = whole.store, keep_parts = parts.store;
	char *copy = malloc(cut + 1);

	memset(&whole, 0, sizeof(whole));
	memset(&parts, 0, sizeof(parts));
	whole.store = keep_whole;
	parts.store = keep_parts;
	parse(&whole, at, size, body_max);
	memcpy(copy, at, cut);
	parse(&parts, copy, cut, body_max);
	if (parts.rc == ERR_AGAIN) {
		REQUIRE(whole.rc < 0 || parts.reader.body_need <= (size_t)whole.rc);
		parse(&parts, at, size, body_max);
	}
	compare(&parts, &whole);
	free(copy);
	if (whole.rc > 0)
		use(&whole.req);
	else if (whole.rc != ERR_AGAIN)
		assert_problem(&whole);
	return whole.rc > 0 ? (size_t)whole.rc : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data + 2;
	size_t taken;

	if (size < 2)
		return 0;
	size -= 2;
	do {
		taken =
		    one_request(at, size, size * data[0] / 255, (size_t)data[1] * 4);
		at += taken;
		size -= taken;
	} while (taken > 0 && size > 0);
	return 0;
}
