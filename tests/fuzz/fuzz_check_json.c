/* SPDX-License-Identifier: ISC */
/* The bodies of POST /v1/check and its kin from any bytes, and answers that carry any
 * bytes. */
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "base/num.h"
#include "base/utf8.h"
#include "require.h"
#include "wire/check_json.h"
#include "wire/settlement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
assert_text(const struct errinfo *ei, int rc)
{
	REQUIRE(ei->code == rc && ei->text[0]);
	REQUIRE(utf8_valid(ei->text, strlen(ei->text)));
	for (const char *p = ei->text; *p; p++)
		REQUIRE((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void
assert_request(const struct check_json *cj)
{
	const struct call *call = &cj->request.call;
	struct errinfo ei;

	REQUIRE(call_validate(call, &ei) == 0);
	REQUIRE(call->cost >= 0 && call->cost <= NUM_MAX);
	REQUIRE(!call->args || json_is_object(call->args));
	REQUIRE(!cj->request.policy.ptr || cj->request.policy.len > 0);
	REQUIRE(!cj->request.id.ptr ||
	    (cj->request.id.len > 0 && cj->request.id.len <= REQUEST_ID_MAX));
	REQUIRE(cj->request.ttl_s == 0 || cj->request.mode == MODE_RESERVE);
}

/* The same bytes as the bodies of commit, rollback, renew and reset. */
static void
assert_settlements(struct slice body)
{
	struct settlement_request settlement;
	struct reset_request reset;
	struct errinfo ei;
	json_t *root;
	int rc;

	for (int action = SETTLE_COMMIT; action <= SETTLE_RENEW; action++) {
		rc = settlement_json_parse(
		    body, (enum settle_action)action, &settlement, &root, &ei);
		if (rc < 0)
			assert_text(&ei, rc);
		else
			REQUIRE(settlement.reservation.len > 0 &&
			    settlement.cost >= -1 && settlement.ttl_s >= 0);
		REQUIRE((rc < 0) == !root);
		json_decref(root);
	}
	rc = reset_json_parse(body, &reset, &root, &ei);
	if (rc < 0)
		assert_text(&ei, rc);
	else
		REQUIRE(reset.scope.len > 0 && !reset.counter.ptr == !reset.window.ptr);
	REQUIRE((rc < 0) == !root);
	json_decref(root);
}

/* Whatever a rule, a message or a name holds: the answer is JSON. */
static void
assert_answer(struct slice text)
{
	const struct decision d = { .verdict = VERDICT_DENY,
		.cause = CAUSE_POLICY,
		.rule = text,
		.message = text,
		.policy = text,
		.tool = text,
		.grant = text,
		.tightest = DECISION_NO_LIMIT,
		.reservation = text };
	struct buf out = { 0 };
	json_t *json;

	check_json_format(&d, &out);
	json = json_loadb(
	    out.data, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	REQUIRE(json != NULL);
	REQUIRE(json_object_size(json) == 12);
	json_decref(json);
	buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct check_json first, second;
	struct slice body = slice_make((const char *)data, size);
	struct errinfo ei, again;
	int rc;

	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	rc = check_json_parse(body, &first, &ei);
	REQUIRE(check_json_parse(body, &second, &again) == rc);
	if (rc < 0) {
		assert_text(&ei, rc);
		REQUIRE(strcmp(ei.text, again.text) == 0);
		REQUIRE(!first.root);
	} else {
		assert_request(&first);
		REQUIRE(first.request.call.cost == second.request.call.cost);
		REQUIRE(slice_eq(first.request.call.tool, second.request.call.tool));
	}
	check_json_fini(&first);
	check_json_fini(&second);
	assert_answer(body);
	assert_settlements(body);
	return 0;
}
