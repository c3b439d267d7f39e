/* SPDX-License-Identifier: ISC */
/*
 * All policies in force: an immutable, reference-counted snapshot that is swapped
 * whole. With one policy it also answers for calls that name none; with several, the
 * one named "default" does.
 *
 * Threads: ref and unref from any; the last unref frees.
 */
#ifndef POLICY_SET_H
#define POLICY_SET_H

#include <stddef.h>

#include "policy/policy.h"

struct policy_set;

/*
 * Takes the policies (n >= 1, whatever is returned the set owns them, or they were
 * freed). NULL: ei says which name stands twice (ERR_INVALID), or ERR_NOMEM.
 */
struct policy_set *policy_set_new(
    struct policy **policies, size_t n, struct errinfo *ei) MUST_CHECK;
struct policy_set *policy_set_ref(struct policy_set *set);
void policy_set_unref(struct policy_set *set);

/* An absent name asks for the default. NULL: there is none of that name. */
const struct policy *policy_set_find(const struct policy_set *set, struct slice name);

size_t policy_set_count(const struct policy_set *set);
/* In the order they were given; i < count. */
const struct policy *policy_set_at(const struct policy_set *set, size_t i);

#endif
