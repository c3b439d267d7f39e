/* SPDX-License-Identifier: ISC */
/* RESP commands from any bytes, and CHECK, COMMIT and its kin from any words. The first byte of the input
 * says where it is cut in two, the second how long a command may be. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "require.h"
#include "wire/check_resp.h"
#include "wire/resp.h"
#include "wire/settlement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	ptrdiff_t rc;
	size_t need;
	struct resp_command cmd;
	struct errinfo ei;
};

static void
parse(const char *data, size_t len, size_t max_len, struct result *r)
{
	r->rc = resp_parse(data, len, max_len, &r->cmd, &r->need, &r->ei);
	REQUIRE(r->rc != 0 && r->rc <= (ptrdiff_t)len);
	REQUIRE(r->rc <= (ptrdiff_t)max_len);
	if (r->rc == ERR_AGAIN)
		REQUIRE(r->need > len && r->need <= max_len);
	else if (r->rc < 0)
		REQUIRE(r->ei.code == r->rc && strlen(r->ei.text) > 16);
	for (size_t i = 0; r->rc > 0 && i < r->cmd.n; i++)
		REQUIRE(r->cmd.args[i].ptr >= data &&
		    r->cmd.args[i].ptr + r->cmd.args[i].len <= data + r->rc);
}

static void
check_text(const struct errinfo *ei, int rc)
{
	REQUIRE(ei->code == rc && ei->text[0]);
	REQUIRE(utf8_valid(ei->text, strlen(ei->text)));
}

static void
check_words(const struct resp_command *cmd)
{
	static struct check_resp cr;
	struct errinfo ei;
	int rc;

	memset(&cr, 0, sizeof(cr));
	rc = check_resp_parse(cmd, &cr, &ei);
	if (rc < 0) {
		check_text(&ei, rc);
		REQUIRE(!cr.args);
	} else {
		REQUIRE(cr.request.call.tool.len > 0 && cr.request.call.grant.len > 0);
		REQUIRE(cr.request.call.cost >= 0 && cr.request.timeout_ms >= 0);
	}
	check_resp_fini(&cr);
}

/* The same words as each of the commands that settle, and as RESET. */
static void
settle_words(const struct resp_command *cmd)
{
	struct settlement_request settlement;
	struct reset_request reset;
	struct errinfo ei;
	int rc;

	for (int action = SETTLE_COMMIT; action <= SETTLE_RENEW; action++) {
		rc = settlement_resp_parse(
		    cmd, (enum settle_action)action, &settlement, &ei);
		if (rc < 0) {
			check_text(&ei, rc);
			continue;
		}
		REQUIRE(settlement.reservation.len > 0 && settlement.cost >= -1);
		REQUIRE(action == SETTLE_COMMIT || settlement.cost == -1);
		REQUIRE((settlement.ttl_s > 0) == (action == SETTLE_RENEW));
		REQUIRE(settlement.timeout_ms >= 0);
	}
	rc = reset_resp_parse(cmd, &reset, &ei);
	if (rc < 0)
		check_text(&ei, rc);
	else
		REQUIRE(reset.scope.len > 0 && !reset.counter.ptr == !reset.window.ptr);
}

/* A part of the input must never tell another story than the whole. */
static void
compare(const struct result *part, const struct result *whole)
{
	if (part->rc == ERR_AGAIN) {
		REQUIRE(whole->rc < 0 || part->need <= (size_t)whole->rc);
		return;
	}
	REQUIRE(part->rc == whole->rc);
	if (part->rc < 0)
		REQUIRE(strcmp(part->ei.text, whole->ei.text) == 0);
	REQUIRE(part->rc < 0 || part->cmd.n == whole->cmd.n);
	for (size_t i = 0; part->rc > 0 && i < part->cmd.n; i++)
		REQUIRE(slice_eq(part->cmd.args[i], whole->cmd.args[i]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct result whole, part;
	const char *at = (const char *)data + 2;
	size_t max_len;

	if (size < 2)
		return 0;
	max_len = 16 + (size_t)data[1] * 64;
	size -= 2;
	do {
		size_t cut = size * data[0] / 255;
		char *copy = malloc(cut + 1);

		parse(at, size, max_len, &whole);
		memcpy(copy, at, cut);
		parse(copy, cut, max_len, &part);
		compare(&part, &whole);
		free(copy);
		if (whole.rc <= 0)
			break;
		check_words(&whole.cmd);
		settle_words(&whole.cmd);
		at += whole.rc;
		size -= (size_t)whole.rc;
	} while (size > 0);
	return 0;
}
