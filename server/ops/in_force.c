/* SPDX-License-Identifier: ISC */
#include "ops/in_force.h"

void
in_force_init(struct in_force *f, struct policy_set *policies)
{
	pthread_mutex_init(&f->lock, NULL);
	f->policies = policy_set_ref(policies);
	f->report = (struct reload_report){ 0 };
}

void
in_force_fini(struct in_force *f)
{
	policy_set_unref(f->policies);
	f->policies = NULL;
	reload_report_fini(&f->report);
	pthread_mutex_destroy(&f->lock);
}

void
in_force_set(
    struct in_force *f, struct policy_set *policies, const struct reload_report *report)
{
	struct policy_set *old = NULL;

	pthread_mutex_lock(&f->lock);
	if (policies) {
		old = f->policies;
		f->policies = policy_set_ref(policies);
	}
	reload_report_fini(&f->report);
	f->report = *report;
	pthread_mutex_unlock(&f->lock);
	policy_set_unref(old);
}

const struct in_force *
in_force_lock(struct in_force *f)
{
	pthread_mutex_lock(&f->lock);
	return f;
}

void
in_force_unlock(struct in_force *f)
{
	pthread_mutex_unlock(&f->lock);
}
