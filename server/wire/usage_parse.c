/* SPDX-License-Identifier: ISC */
/* Reads whose counters are asked for, over RESP and HTTP. */
#include <string.h>

#include "wire/explain_json.h"
#include "wire/value.h"

static void
begin(struct check_request *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = CHECK_USAGE;
}

int
usage_resp_parse(
    const struct resp_command *cmd, struct check_request *out, struct errinfo *ei)
{
	char excerpt[VALUE_EXCERPT_MAX];
	int rc;

	begin(out);
	if (cmd->n < 2)
		return err_set(ei, ERR_INVALID,
		    "USAGE needs a grant: USAGE grant [POLICY policy]");
	out->call.grant = cmd->args[1];
	rc = call_validate_name("grant", out->call.grant, ei);
	if (rc < 0 || cmd->n == 2)
		return rc;
	if (!slice_case_eq_str(cmd->args[2], "POLICY"))
		return err_set(ei, ERR_INVALID,
		    "unknown option \"%s\" of USAGE; it has POLICY",
		    value_excerpt(cmd->args[2], excerpt));
	if (cmd->n == 3)
		return err_set(ei, ERR_INVALID, "POLICY needs a value");
	if (cmd->n > 4)
		return err_set(ei, ERR_INVALID,
		    "unknown option \"%s\" of USAGE; it has POLICY, once",
		    value_excerpt(cmd->args[4], excerpt));
	out->policy = cmd->args[3];
	return call_validate_name("POLICY", out->policy, ei);
}

/* Reads one parameter of the query; appends a copy of its value to `store`. */
static int
read_parameter(struct slice name, struct slice value, struct buf *store,
    struct slice *grant, struct slice *policy, struct errinfo *ei)
{
	struct slice *out = slice_eq_str(name, "grant") ? grant
	    : slice_eq_str(name, "policy")              ? policy
							: NULL;
	char excerpt[VALUE_EXCERPT_MAX];

	if (!out)
		return err_set(ei, ERR_INVALID,
		    "unknown parameter \"%s\" of the query; it has grant and policy",
		    value_excerpt(name, excerpt));
	if (out->ptr)
		return err_set(ei, ERR_INVALID, "the query's %s is given twice",
		    out == grant ? "grant" : "policy");
	*out = slice_make(store->data + store->len, value.len);
	buf_add_slice(store, value);
	return call_validate_name(out == grant ? "grant" : "policy", *out, ei);
}

static int
read_query(
    struct slice rest, struct buf *store, struct check_request *out, struct errinfo *ei)
{
	struct buf name = { 0 };
	struct buf value = { 0 };
	int rc;

	while ((rc = http_query_next(&rest, &name, &value)) > 0) {
		rc = read_parameter(buf_slice(&name), buf_slice(&value), store,
		    &out->call.grant, &out->policy, ei);
		if (rc < 0)
			break;
	}
	buf_fini(&name);
	buf_fini(&value);
	return rc;
}

int
usage_http_parse(const struct http_request *req, struct buf *store,
    struct check_request *out, struct errinfo *ei)
{
	int rc;

	begin(out);
	buf_clear(store);
	/* Room for all of it, since decoding makes nothing longer: it must not move later. */
	if (!buf_reserve(store, req->query.len + 1))
		return err_set(ei, ERR_NOMEM, "out of memory");
	rc = read_query(req->query, store, out, ei);
	if (rc == ERR_SYNTAX)
		return err_set(ei, rc, "the query has a bad percent escape");
	if (rc == ERR_NOMEM)
		return err_set(ei, rc, "out of memory");
	if (rc == 0 && !out->call.grant.ptr)
		return err_set(ei, ERR_INVALID,
		    "the query's grant is missing: /v1/usage?grant=GRANT");
	return rc;
}
