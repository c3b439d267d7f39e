/* SPDX-License-Identifier: ISC */
/* A name as messages show it: in double quotes, control characters escaped, cut when
 * it is long, so that no document can break the lines of the messages about it. */
#ifndef POLICY_QUOTE_H
#define POLICY_QUOTE_H

#include "base/slice.h"

#define QUOTE_NAME_MAX 64 /* bytes of a name that are shown */
#define QUOTE_MAX 512     /* every byte of it may become \u00XX */

/* Fills `out` and returns it. */
const char *quote_name(char out[QUOTE_MAX], struct slice name);

#endif
