/* SPDX-License-Identifier: ISC */
/* A daemon's explanations and counters, as text for people. Pure. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <jansson.h>

#include "base/buf.h"

/* Append the answers to explain and usage, of which docs/protocol.md has the JSON, as text.
 * Return the status to exit with; CLI_NO_ANSWER when `root` is no such answer. */
int show_explanation(struct buf *out, const json_t *root);
int show_usage(struct buf *out, const json_t *root);

#endif
