/* SPDX-License-Identifier: ISC */
/* From the files that --policy names to a policy set. */
#ifndef OPS_POLICY_FILES_H
#define OPS_POLICY_FILES_H

#include "base/attr.h"
#include "base/err.h"
#include "ops/config.h"
#include "policy/set.h"

/*
 * Reads and parses all files; a policy is named after its file, without folder and
 * ".json". Returns a set owned by the caller, or NULL with the faults of all files
 * added to `errors`.
 */
struct policy_set *policy_files_load(const struct config_list *files,
    const char *key_prefix, struct errlist *errors) MUST_CHECK;

#endif
