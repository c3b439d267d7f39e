/* SPDX-License-Identifier: ISC */
/*
 * All policies in force: an immutable, reference-counted snapshot that is swapped as a
 * whole. A call that names no policy gets the only one; where there are several, the one
 * named "default".
 *
 * Threads: ref and unref from any; the last unref frees.
 */
#ifndef POLICY_SET_H
#define POLICY_SET_H

#include <stddef.h>

#include "policy/policy.h"

struct policy_set;

/*
 * Takes the policies (n >= 1): the set owns them, or, on failure, they were freed.
 * NULL: ERR_INVALID, with the name that two of them have, or ERR_NOMEM.
 */
struct policy_set *policy_set_new(
    struct policy **policies, size_t n, struct errinfo *ei) MUST_CHECK;
struct policy_set *policy_set_ref(struct policy_set *set);
void policy_set_unref(struct policy_set *set);

/* An absent name asks for the default. NULL: there is no such policy. */
const struct policy *policy_set_find(const struct policy_set *set, struct slice name);

size_t policy_set_count(const struct policy_set *set);
/* In the order they were given; i < count. */
const struct policy *policy_set_at(const struct policy_set *set, size_t i);

#endif
