/* SPDX-License-Identifier: ISC */
/* Over RESP: COMMIT, ROLLBACK, RENEW and RESET. */
#include "front/resp_commands.h"
#include "wire/settlement.h"

static void
run_settlement(
    struct front_conn *fc, const struct resp_command *cmd, enum settle_action action)
{
	struct settlement_request request;
	struct errinfo ei;
	int rc = settlement_resp_parse(cmd, action, &request, &ei);

	if (rc < 0)
		settler_count_invalid(fc->front->options.settler, action);
	else
		rc = front_settlement(fc, &request, &ei);
	if (rc < 0)
		resp_error(fc, "ERR", "%s", ei.text);
}

void
resp_run_commit(struct front_conn *fc, const struct resp_command *cmd)
{
	run_settlement(fc, cmd, SETTLE_COMMIT);
}

void
resp_run_rollback(struct front_conn *fc, const struct resp_command *cmd)
{
	run_settlement(fc, cmd, SETTLE_ROLLBACK);
}

void
resp_run_renew(struct front_conn *fc, const struct resp_command *cmd)
{
	run_settlement(fc, cmd, SETTLE_RENEW);
}

void
resp_run_reset(struct front_conn *fc, const struct resp_command *cmd)
{
	struct reset_request request;
	struct errinfo ei;
	int rc = reset_resp_parse(cmd, &request, &ei);

	if (rc == 0)
		rc = front_resetting(fc, &request, &ei);
	if (rc < 0)
		resp_error(fc, "ERR", "%s", ei.text);
}

static void
add_fault(struct buf *out, enum store_fault fault, const char *detail)
{
	char text[FRONT_FAULT_MAX];

	resp_add_error(out, "UNAVAILABLE", slice_str(front_fault(fault, detail, text)));
}

void
resp_format_settlement(
    struct front_conn *fc, const struct exchange *ex, struct buf *out)
{
	const struct settle *result = settlement_result(ex->work.settlement);

	(void)fc;
	if (result->status == SETTLE_FAILED)
		add_fault(out, result->fault, result->detail);
	else if (result->status == SETTLE_UNKNOWN)
		resp_add_error(out, "ERR",
		    slice_str("there is no such reservation, or it has expired"));
	else
		resp_add_int(out, result->status == SETTLE_DONE);
}

void
resp_format_resetting(struct front_conn *fc, const struct exchange *ex, struct buf *out)
{
	const struct reset *result = resetting_result(ex->work.resetting);

	(void)fc;
	if (result->fault != FAULT_NONE)
		add_fault(out, result->fault, result->detail);
	else
		resp_add_int(out, (int64_t)result->n);
}
