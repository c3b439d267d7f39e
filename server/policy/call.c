/* SPDX-License-Identifier: ISC */
#include "policy/call.h"

#include <stdbool.h>

#include "base/num.h"
#include "base/utf8.h"
#include "policy/quote.h"
#include "policy/scope.h"

int
call_validate_name(const char *field, struct slice name, struct errinfo *ei)
{
	if (name.len == 0)
		return err_set(ei, ERR_INVALID, "%s is empty", field);
	return utf8_validate(field, name, CALL_NAME_MAX, ei);
}

static int
validate_attribute(const struct call *call, size_t i, struct errinfo *ei)
{
	const struct call_attribute *one = &call->attributes[i];
	char quoted[QUOTE_MAX];
	int rc = call_validate_name("an attribute's name", one->name, ei);

	if (rc == 0)
		rc = utf8_validate(
		    "an attribute's value", one->value, CALL_NAME_MAX, ei);
	if (rc < 0)
		return rc;
	if (scope_is_reserved(one->name))
		return err_set(ei, ERR_INVALID, "an attribute may not be named %s",
		    quote_name(quoted, one->name));
	for (size_t k = 0; k < i; k++)
		if (slice_eq(call->attributes[k].name, one->name))
			return err_set(ei, ERR_INVALID,
			    "the attribute %s is given twice",
			    quote_name(quoted, one->name));
	return 0;
}

static int
validate_attributes(const struct call *call, struct errinfo *ei)
{
	int rc = 0;

	if (call->n_attributes > CALL_ATTRIBUTES_MAX)
		return err_set(
		    ei, ERR_TOOBIG, "more than %d attributes", CALL_ATTRIBUTES_MAX);
	for (size_t i = 0; rc == 0 && i < call->n_attributes; i++)
		rc = validate_attribute(call, i, ei);
	return rc;
}

int
call_validate(const struct call *call, struct errinfo *ei)
{
	int rc = call_validate_name("tool", call->tool, ei);

	if (rc == 0)
		rc = call_validate_name("grant", call->grant, ei);
	if (rc == 0)
		rc = utf8_validate("session", call->session, CALL_NAME_MAX, ei);
	if (rc == 0)
		rc = validate_attributes(call, ei);
	if (rc < 0)
		return rc;
	if (call->cost < 0 || call->cost > NUM_MAX)
		return err_set(ei, ERR_INVALID,
		    "cost is not a whole number from 0 to %lld", (long long)NUM_MAX);
	if (call->args && !json_is_object(call->args))
		return err_set(ei, ERR_INVALID, "args is not an object");
	return 0;
}
