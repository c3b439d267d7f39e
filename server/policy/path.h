/* SPDX-License-Identifier: ISC */
/* Where a condition or a cost looks: "args.a.b", or an attribute's name. */
#ifndef POLICY_PATH_H
#define POLICY_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/call.h"
#include "policy/operand.h"
#include "policy/reader.h"

enum path_source { PATH_ARGUMENT, PATH_GRANT, PATH_SESSION, PATH_ATTRIBUTE };

/* Lives in the policy's arena. */
struct path {
	enum path_source source;
	char *text;  /* as written */
	char **keys; /* PATH_ARGUMENT: the members' names, outermost first */
	size_t n;
};

/* Reads a string of a document. `argument`: it must be an argument's path. False after a
 * fault. */
bool path_read(struct reader *r, const json_t *value, bool argument, struct path *out);

/* Looks it up; false when it leads nowhere, or to null. *out is a view of the call. */
bool path_find(const struct path *path, const struct call *call, struct operand *out);

#endif
