/* SPDX-License-Identifier: ISC */
/* CHECK over RESP: words in, the array of eight out. Pure. */
#ifndef WIRE_CHECK_RESP_H
#define WIRE_CHECK_RESP_H

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "check/decision.h"
#include "check/request.h"
#include "wire/resp.h"

/* A request whose slices point into the command. Zero it before use; fini it after
 * check_start(). */
struct check_resp {
	struct check_request request;
	json_t *args;
	struct call_attribute attributes[CALL_ATTRIBUTES_MAX];
};

/*
 * CHECK (or EXPLAIN) tool grant [POLICY p] [SESSION s] [COST n] [ID id] [ARGS json]
 *       [ATTR name value]... [MODE m] [TTL s] [TIMEOUT ms]; options in any case and
 * order, each at most once, except ATTR. Without ARGS it costs no malloc.
 * 0, or an enum err with a text that names the argument, for "-ERR ...".
 */
int check_resp_parse(const struct resp_command *cmd, struct check_resp *out,
    struct errinfo *ei) MUST_CHECK;
void check_resp_fini(struct check_resp *cr);

/* Appends [verdict, rule, message, remaining, reset_ms, retry_after_ms, reservation,
 * flags]. */
void check_resp_format(const struct decision *d, struct buf *out);

#endif
