/* SPDX-License-Identifier: ISC */
/* Explanations, and how a grant's counters stand, as JSON; and how the latter is asked
 * for. Pure. */
#ifndef WIRE_EXPLAIN_JSON_H
#define WIRE_EXPLAIN_JSON_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "check/decision.h"
#include "check/explanation.h"
#include "check/request.h"
#include "wire/http.h"
#include "wire/resp.h"

/* Bytes of the longest answer to a usage request; it leaves out further counters, and says
 * so. */
#define USAGE_BYTES_MAX 524288

/* Appends the answers of docs/protocol.md. */
void explain_json_format(
    const struct decision *d, const struct explanation *ex, struct buf *out);
void usage_json_format(
    const struct decision *d, const struct usage *usage, struct buf *out);

/*
 * USAGE grant [POLICY p]; slices are views into the command. 0, or an enum err with a text
 * that names the argument.
 */
int usage_resp_parse(const struct resp_command *cmd, struct check_request *out,
    struct errinfo *ei) MUST_CHECK;

/* GET /v1/usage?grant=G[&policy=P]; slices are views into `store`, which is cleared first
 * and must outlive the request. 0, or an enum err as above. */
int usage_http_parse(const struct http_request *req, struct buf *store,
    struct check_request *out, struct errinfo *ei) MUST_CHECK;

#endif
