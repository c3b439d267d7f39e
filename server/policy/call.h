/* SPDX-License-Identifier: ISC */
/*
 * What a policy is asked about: one call of one tool by one grant. Open data; all
 * slices are views that must outlive its use. It has passed call_validate() before
 * anything but a parser sees it.
 */
#ifndef POLICY_CALL_H
#define POLICY_CALL_H

#include <jansson.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

#define CALL_NAME_MAX 1024 /* bytes of a tool, grant, session, policy or attribute */
#define CALL_ATTRIBUTES_MAX 32

struct call_attribute {
	struct slice name;
	struct slice value;
};

struct call {
	struct slice tool;    /* required */
	struct slice grant;   /* required */
	struct slice session; /* absent when len is 0 */
	struct call_attribute *attributes;
	size_t n_attributes;
	const json_t *args; /* an object, borrowed; NULL without any */
	int64_t cost;       /* 0 ... NUM_MAX; parsers set 1 where none is given */
};

/*
 * Names are 1 ... CALL_NAME_MAX bytes of UTF-8 without NUL (a session may be absent,
 * an attribute's value may be empty), attributes are unique and not named grant,
 * session, global, tool or policy. 0, ERR_INVALID or ERR_TOOBIG; ei->text names the
 * field.
 */
int call_validate(const struct call *call, struct errinfo *ei) MUST_CHECK;

/* The same rule for one name, which the message calls `field`. */
int call_validate_name(
    const char *field, struct slice name, struct errinfo *ei) MUST_CHECK;

#endif
