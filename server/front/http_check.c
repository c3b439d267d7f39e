/* SPDX-License-Identifier: ISC */
/* Over HTTP: checks, also as forward-auth; explanations and usage. */
#include <string.h>

#include "base/buf.h"
#include "front/http_routes.h"
#include "wire/check_http.h"
#include "wire/check_json.h"
#include "wire/explain_json.h"

static void
invalid(struct http_turn *turn, int status, const char *text)
{
	metric_add(turn->fc->front->options.cells, METRIC_CHECKS_INVALID, 1);
	http_problem(turn->resp, status, "%s", text);
}

int
http_status_of_error(int code)
{
	static const struct {
		int code, status;
	} rows[] = {
		{ ERR_NOMEM, 503 },
		{ ERR_NOTFOUND, 404 },
		{ ERR_INUSE, 409 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].code == code)
			return rows[i].status;
	return 400;
}

static void
start_check(
    struct http_turn *turn, const struct check_request *request, int deny_status)
{
	const struct answer_style style = { deny_status, http_is_head(turn->req) };

	if (front_check(turn->fc, request, style) < 0)
		http_problem(turn->resp, 503, "out of memory");
	else
		turn->answered = true;
}

/* The next parameter of a media type, with white space trimmed; moves *rest on. */
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

int
http_look_at_body(const struct http_request *req, const char **why)
{
	if (req->query.len > 0) {
		*why = "this path takes no query; the body is the question";
		return 400;
	}
	if (!is_plain(req)) {
		*why = "the body must be sent as it is, without Content-Encoding";
		return 415;
	}
	if (!is_json(req)) {
		*why = "the body must be sent as Content-Type: application/json";
		return 415;
	}
	*why = "the body is missing: a JSON object is expected";
	return req->body.len == 0 ? 400 : 0;
}

/* Reads a check's body, and starts the check or its explanation. */
static void
run_body(struct http_turn *turn, enum check_kind kind)
{
	struct check_json cj;
	struct errinfo ei;
	const char *why;
	int rc = http_look_at_body(turn->req, &why);

	if (rc != 0) {
		invalid(turn, rc, why);
		return;
	}
	memset(&cj, 0, offsetof(struct check_json, attributes)); /* n_attributes is 0 */
	rc = check_json_parse(turn->req->body, &cj, &ei);
	if (rc < 0) {
		invalid(turn, http_status_of_error(rc), ei.text);
		return;
	}
	cj.request.kind = kind;
	rc = check_http_parse_fields(turn->req, BESIDE_CHECK, &cj.request, &ei);
	if (rc < 0)
		invalid(turn, http_status_of_error(rc), ei.text);
	else
		start_check(turn, &cj.request, 0);
	check_json_fini(&cj);
}

void
http_run_check(struct http_turn *turn)
{
	run_body(turn, CHECK_ASK);
}

void
http_run_explain(struct http_turn *turn)
{
	run_body(turn, CHECK_EXPLAIN);
}

void
http_run_usage(struct http_turn *turn)
{
	struct buf names = { 0 };
	struct check_request request;
	struct errinfo ei;
	int rc = usage_http_parse(turn->req, &names, &request, &ei);

	if (rc == 0)
		rc = check_http_parse_fields(turn->req, BESIDE_DEADLINE, &request, &ei);
	if (rc < 0)
		http_problem(turn->resp, http_status_of_error(rc), "%s", ei.text);
	else
		start_check(turn, &request, 0);
	buf_fini(&names);
}

/* The query may only be ?deny=403, for gateways that know no other denial. 0, or an enum
 * err with *ei. */
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
			rc =
			    err_set(ei, ERR_INVALID, "the query's deny is given twice");
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

void
http_run_auth(struct http_turn *turn)
{
	struct check_request request;
	struct errinfo ei;
	int deny_status;
	int rc;

	rc = parse_deny(turn->req, &deny_status, &ei);
	if (rc == 0)
		rc = check_http_parse_auth(turn->req, &request, &ei);
	if (rc < 0)
		invalid(turn, http_status_of_error(rc), ei.text);
	else
		start_check(turn, &request, deny_status);
}

static void
fill_decision(struct http_response *resp, const struct exchange *ex)
{
	const struct decision *d = check_decision(ex->work.check);

	resp->status = check_http_status(d);
	if (ex->style.deny_status && resp->status != 200)
		resp->status = ex->style.deny_status;
	check_http_add_fields(d, resp);
	check_json_format(d, &resp->body);
}

/* An explanation is a success whatever the verdict is, unless the counters could not be
 * read. */
static void
fill_explanation(struct http_response *resp, const struct exchange *ex)
{
	const struct decision *d = check_decision(ex->work.check);

	resp->status = d->cause == CAUSE_STORE ? 503 : 200;
	if (resp->status == 503)
		buf_add_str(&resp->fields, "Retry-After: 1\r\n");
	explain_json_format(d, check_explanation(ex->work.check), &resp->body);
}

static void
fill_usage(struct http_response *resp, const struct exchange *ex)
{
	const struct usage *usage = check_usage(ex->work.check);
	const struct decision *d = check_decision(ex->work.check);

	if (!usage->known) {
		http_problem(resp, 404, "%.*s", SLICE_ARG(d->message));
	} else if (usage->fault != FAULT_NONE) {
		http_fill_fault(resp, usage->fault, "");
	} else {
		resp->status = 200;
		usage_json_format(d, usage, &resp->body);
	}
}

void
http_format_check(struct front_conn *fc, const struct exchange *ex, struct buf *out)
{
	const struct check *check = ex->work.check;
	const struct decision *d = check_decision(check);
	struct http_response *resp = http_begin_answer(fc, ex);

	if (UNLIKELY(d->cause == CAUSE_CONFLICT))
		http_problem(resp, check_http_status(d), "%.*s", SLICE_ARG(d->message));
	else if (UNLIKELY(check_usage(check)))
		fill_usage(resp, ex);
	else if (UNLIKELY(check_explanation(check)))
		fill_explanation(resp, ex);
	else
		fill_decision(resp, ex);
	http_response_format(resp, out);
}
