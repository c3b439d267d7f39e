/* SPDX-License-Identifier: ISC */
/* A daemon's explanations and counters, told to people. Pure. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <jansson.h>

#include "base/buf.h"

/* Append the text of what docs/protocol.md says of explain and usage. The status to
 * exit with; CLI_NO_ANSWER when it is not that. */
int show_explanation(struct buf *out, const json_t *root);
int show_usage(struct buf *out, const json_t *root);

#endif
