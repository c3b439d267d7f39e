/* SPDX-License-Identifier: ISC */
/* CL.THROTTLE key max_burst count period [quantity]: words in, five integers out. */
#include "base/num.h"
#include "front/resp_commands.h"
#include "wire/value.h"

/* The words that follow the key, in order. */
static const struct {
	const char *name;
	int64_t min, max;
	size_t at; /* offset in struct throttle_request */
} numbers[] = {
	{ "max_burst", 0, NUM_MAX - 1, offsetof(struct throttle_request, max_burst) },
	{ "count", 1, NUM_MAX, offsetof(struct throttle_request, count) },
	{ "period", 1, WINDOW_SECONDS_MAX,
	    offsetof(struct throttle_request, period_s) },
	{ "quantity", 0, NUM_MAX, offsetof(struct throttle_request, quantity) },
};
#define NUMBERS_NEEDED 3

static int
parse(const struct resp_command *cmd, struct throttle_request *out, struct errinfo *ei)
{
	size_t n = cmd->n < 2 ? 0 : cmd->n - 2;
	int rc = 0;

	if (n < NUMBERS_NEEDED)
		return err_set(ei, ERR_INVALID,
		    "%s is missing: CL.THROTTLE key max_burst count period [quantity]",
		    cmd->n < 2 ? "key" : numbers[n].name);
	out->key = cmd->args[1];
	out->quantity = 1;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc =
		    value_parse_whole(numbers[i].name, cmd->args[2 + i], numbers[i].min,
			numbers[i].max, (int64_t *)((char *)out + numbers[i].at), ei);
	return rc;
}

void
resp_run_throttle(struct front_conn *fc, const struct resp_command *cmd)
{
	struct throttle_request request;
	struct errinfo ei;
	int rc = parse(cmd, &request, &ei);

	if (rc == 0)
		rc = front_throttle(fc, &request, &ei);
	if (rc == 0)
		return;
	if (rc != ERR_NOMEM)
		metric_add(fc->front->options.cells, METRIC_THROTTLES_INVALID, 1);
	resp_error(fc, "ERR", "%s", ei.text);
}

void
resp_format_throttle(struct front_conn *fc, const struct exchange *ex, struct buf *out)
{
	const struct throttle *throttle = ex->work.throttle;
	const struct throttle_result *r = throttle_result(throttle);
	char text[FRONT_FAULT_MAX];

	(void)fc;
	if (r->fault) {
		resp_add_error(out, "UNAVAILABLE",
		    slice_str(front_fault(r->fault, throttle_detail(throttle), text)));
		return;
	}
	resp_add_array(out, 5);
	resp_add_int(out, r->limited);
	resp_add_int(out, r->limit);
	resp_add_int(out, r->remaining);
	resp_add_int(out, r->retry_after_s);
	resp_add_int(out, r->reset_after_s);
}
