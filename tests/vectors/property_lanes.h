/* SPDX-License-Identifier: ISC */
/* The backends that run_property asks the same, and what they answered. */
#ifndef VECTORS_PROPERTY_LANES_H
#define VECTORS_PROPERTY_LANES_H

#include "asker.h"

#define LANES_TOGETHER_MAX 8 /* checks under way at once */

/* The arithmetic, the embedded store and this one. lanes_close() in any case. */
bool lanes_open(const struct backend_ops *redis);
void lanes_close(void);

/* From empty counters on; lanes_stop() in any case. */
bool lanes_start(struct policy_set *set, int64_t now_us, int64_t dedup_ms);
void lanes_stop(void);

/*
 * Asks all of them a step in the words of README.md, `n` times at once. What the first
 * one answered is in answers[], owned. Returns NULL where all said the same and left
 * nothing behind that should not be there; else what differs, owned.
 */
char *lanes_ask(json_t *step, size_t n, int64_t now_us, json_t **answers);

/* The counters that the step charged or looked at. Borrowed. */
json_t *lanes_keys(void);

#endif
