/* SPDX-License-Identifier: ISC */
/* Over HTTP: commit, rollback, renew and reset. */
#include "front/http_routes.h"
#include "wire/check_http.h"
#include "wire/settlement.h"

/* Whether the request has just a JSON body; answers when it does not. */
static bool
is_body(struct http_turn *turn)
{
	const char *why;
	int status = http_look_at_body(turn->req, &why);

	if (status != 0)
		http_problem(turn->resp, status, "%s", why);
	return status == 0;
}

/* Reads the caller's own deadline, the only thing that header fields may say here. */
static int
parse_timeout(const struct http_request *req, enum check_http_beside beside,
    int64_t *timeout_ms, struct errinfo *ei)
{
	struct check_request fields = { 0 };
	int rc = check_http_parse_fields(req, beside, &fields, ei);

	*timeout_ms = fields.timeout_ms;
	return rc;
}

/* If the job was started, its answer is owed; else the request is refused. */
static void
finish(struct http_turn *turn, int rc, const struct errinfo *ei)
{
	if (rc < 0)
		http_problem(turn->resp, http_status_of_error(rc), "%s", ei->text);
	else
		turn->answered = true;
}

static void
run_settlement(struct http_turn *turn, enum settle_action action)
{
	const struct settler *settler = turn->fc->front->options.settler;
	struct settlement_request request;
	struct errinfo ei;
	json_t *root = NULL;
	int rc;

	if (!is_body(turn)) {
		settler_count_invalid(settler, action);
		return;
	}
	rc = settlement_json_parse(turn->req->body, action, &request, &root, &ei);
	if (rc == 0)
		rc =
		    parse_timeout(turn->req, BESIDE_DEADLINE, &request.timeout_ms, &ei);
	if (rc < 0)
		settler_count_invalid(settler, action);
	else
		rc = front_settlement(turn->fc, &request, &ei);
	finish(turn, rc, &ei);
	json_decref(root);
}

void
http_run_commit(struct http_turn *turn)
{
	run_settlement(turn, SETTLE_COMMIT);
}

void
http_run_rollback(struct http_turn *turn)
{
	run_settlement(turn, SETTLE_ROLLBACK);
}

void
http_run_renew(struct http_turn *turn)
{
	run_settlement(turn, SETTLE_RENEW);
}

void
http_run_reset(struct http_turn *turn)
{
	struct reset_request request;
	struct errinfo ei;
	json_t *root = NULL;
	int64_t timeout_ms;
	int rc;

	if (!is_body(turn))
		return;
	rc = reset_json_parse(turn->req->body, &request, &root, &ei);
	if (rc == 0)
		rc = parse_timeout(turn->req, BESIDE_RESET, &timeout_ms, &ei);
	if (rc == 0 && timeout_ms > 0)
		rc = err_set(&ei, ERR_INVALID,
		    "X-Ration-Timeout-Ms is not for a reset, which has the daemon's "
		    "deadline");
	if (rc == 0)
		rc = front_resetting(turn->fc, &request, &ei);
	finish(turn, rc, &ei);
	json_decref(root);
}

void
http_format_settlement(
    struct front_conn *fc, const struct exchange *ex, struct buf *out)
{
	const struct settle *result = settlement_result(ex->work.settlement);
	struct http_response *resp = http_begin_answer(fc, ex);

	resp->status = 200;
	if (result->status == SETTLE_FAILED)
		http_fill_fault(resp, result->fault, result->detail);
	else if (result->status == SETTLE_UNKNOWN)
		http_problem(
		    resp, 404, "there is no such reservation, or it has expired");
	else
		settlement_json_format(
		    result->status == SETTLE_DONE, buf_slice(&ex->bytes), &resp->body);
	resp->body.failed |= ex->bytes.failed;
	http_response_format(resp, out);
}

void
http_format_resetting(struct front_conn *fc, const struct exchange *ex, struct buf *out)
{
	const struct reset *result = resetting_result(ex->work.resetting);
	struct http_response *resp = http_begin_answer(fc, ex);

	resp->status = 200;
	if (result->fault != FAULT_NONE)
		http_fill_fault(resp, result->fault, result->detail);
	else
		reset_json_format(
		    result->n, result->held, buf_slice(&ex->bytes), &resp->body);
	resp->body.failed |= ex->bytes.failed;
	http_response_format(resp, out);
}
