/* SPDX-License-Identifier: ISC */
/*
 * What is in force in every worker: the policies, and the report of the last reload.
 * While workers take new documents, each at a moment of its own, this still shows the
 * old ones; it changes, both parts at once, when the last worker has taken them.
 *
 * Threads: one writes, any may read while it holds the lock.
 */
#ifndef OPS_IN_FORCE_H
#define OPS_IN_FORCE_H

#include <pthread.h>

#include "ops/reload.h"
#include "policy/set.h"

struct in_force {
	pthread_mutex_t lock;
	struct policy_set *policies; /* ref'd */
	struct reload_report report;
};

/* Refs the policies. */
void in_force_init(struct in_force *f, struct policy_set *policies);
void in_force_fini(struct in_force *f);

/* Takes the report with its errors, and refs the policies; NULL: they stay as they are. */
void in_force_set(struct in_force *f, struct policy_set *policies,
    const struct reload_report *report);

/* Returns `f`, which may be read until in_force_unlock(). */
const struct in_force *in_force_lock(struct in_force *f);
void in_force_unlock(struct in_force *f);

#endif
