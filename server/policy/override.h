/* SPDX-License-Identifier: ISC */
/* "overrides": another max for some values of a limit's scope. */
#ifndef POLICY_OVERRIDE_H
#define POLICY_OVERRIDE_H

#include "policy/policy.h"
#include "policy/reader.h"

/* Reads the object into limit->overrides, sorted by value. Sets only the max of their
 * limits; the rest is copied once the whole limit has been read. */
void override_list_read(struct reader *r, json_t *object, struct policy_limit *limit);

/* Adds a fault at "overrides" unless the scope is a single name: only that has a single
 * value. */
void override_check_scope(struct reader *r, const struct scope *scope);

#endif
