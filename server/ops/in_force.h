/* SPDX-License-Identifier: ISC */
/*
 * What is in force in every worker: the policies, and what the last reload said of
 * them. While workers take new documents, each at a moment of its own, this still shows
 * the old ones; it changes, both parts at once, when the last worker has taken them.
 *
 * Threads: one writes, any may look, with the lock held for as long.
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

/* Keeps a reference of its own. */
void in_force_init(struct in_force *f, struct policy_set *policies);
void in_force_fini(struct in_force *f);

/* Takes the report with its errors; `policies` are ref'd, or NULL: the same as before. */
void in_force_set(struct in_force *f, struct policy_set *policies,
    const struct reload_report *report);

/* A view that is good until in_force_unlock(). Returns `f`. */
const struct in_force *in_force_lock(struct in_force *f);
void in_force_unlock(struct in_force *f);

#endif
