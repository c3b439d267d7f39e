/* SPDX-License-Identifier: ISC */
/* "overrides": another max for some values of a limit's scope. */
#ifndef POLICY_OVERRIDE_H
#define POLICY_OVERRIDE_H

#include "policy/policy.h"
#include "policy/reader.h"

/* Reads the object into limit->overrides, sorted by value. Of their limits only the
 * max is set; the rest is copied when all of the limit is known. */
void override_list_read(struct reader *r, json_t *object, struct policy_limit *limit);

/* A fault at "overrides" unless the scope is one name, so that it has one value. */
void override_check_scope(struct reader *r, const struct scope *scope);

#endif
