/* SPDX-License-Identifier: ISC */
/* The arguments of a call, from the command line. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <jansson.h>

#include "base/attr.h"
#include "base/err.h"

/* Reads one JSON object. Owned by the caller; NULL: ei says why. */
json_t *args_parse_object(const char *text, struct errinfo *ei) MUST_CHECK;

/*
 * Adds "key=value" to an object. A value that is a JSON number, true, false, null, object
 * or array is taken as that; anything else, even "quoted" text, is a string as it stands.
 * 0; ERR_INVALID: no '=', no key, not UTF-8, a number out of range, a duplicate key;
 * ERR_NOMEM.
 */
int args_add_pair(json_t *object, const char *pair, struct errinfo *ei) MUST_CHECK;

#endif
