/* SPDX-License-Identifier: ISC */
#include "policy/set.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "policy/quote.h"

struct policy_set {
	atomic_size_t refs;
	struct policy **policies; /* owned, as is each of them */
	size_t n;
	struct map by_name;
	const struct policy *unnamed; /* for calls that name none; may be NULL */
};

static void
set_free(struct policy_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		policy_free(set->policies[i]);
	free(set->policies);
	map_fini(&set->by_name);
	free(set);
}

static int
set_index(struct policy_set *set, struct errinfo *ei)
{
	for (size_t i = 0; i < set->n; i++) {
		struct slice name = slice_str(policy_name(set->policies[i]));
		char quoted[QUOTE_MAX];

		if (map_get(&set->by_name, name))
			return err_set(ei, ERR_INVALID, "two policies are named %s",
			    quote_name(quoted, name));
		if (map_set(&set->by_name, name, set->policies[i]) < 0)
			return err_set(ei, ERR_NOMEM, "out of memory");
	}
	set->unnamed = set->n == 1 ? set->policies[0]
				   : map_get(&set->by_name, slice_str("default"));
	return 0;
}

struct policy_set *
policy_set_new(struct policy **policies, size_t n, struct errinfo *ei)
{
	struct policy_set *set = calloc(1, sizeof(*set));
	struct policy **copy = calloc(n ? n : 1, sizeof(*copy));

	if (!set || !copy) {
		for (size_t i = 0; i < n; i++)
			policy_free(policies[i]);
		free(set);
		free(copy);
		err_set(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		copy[i] = policies[i];
	set->policies = copy;
	set->n = n;
	atomic_init(&set->refs, 1);
	if (set_index(set, ei) < 0) {
		set_free(set);
		return NULL;
	}
	return set;
}

struct policy_set *
policy_set_ref(struct policy_set *set)
{
	atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
	return set;
}

void
policy_set_unref(struct policy_set *set)
{
	/* acq_rel: whoever frees it must see what the others did before they let go. */
	if (set && atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) == 1)
		set_free(set);
}

const struct policy *
policy_set_find(const struct policy_set *set, struct slice name)
{
	return name.len == 0 ? set->unnamed : map_get(&set->by_name, name);
}

size_t
policy_set_count(const struct policy_set *set)
{
	return set->n;
}

const struct policy *
policy_set_at(const struct policy_set *set, size_t i)
{
	return set->policies[i];
}
