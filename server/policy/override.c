/* SPDX-License-Identifier: ISC */
#include "policy/override.h"

#include <stdlib.h>

#include "base/num.h"

static int
compare(const void *a, const void *b)
{
	const struct override *left = a;
	const struct override *right = b;

	return slice_cmp(left->value, right->value);
}

static void
override_read(struct reader *r, const char *name, json_t *max, struct override *out)
{
	static const struct reader_key max_key = { .name = "max",
		.want = "a whole number from 0 to 9007199254740991" };
	const struct reader_key *outer = r->key;
	size_t mark = reader_enter(r, slice_str(name));
	char *copy = NULL;

	if (reader_check_name(r, "a value of the scope", slice_str(name)))
		copy = arena_copy(r->arena, slice_str(name));
	out->value = slice_str(copy);
	r->key = &max_key;
	if (!json_is_number(max))
		reader_wrong(r, max);
	else
		reader_whole(r, max, 0, NUM_MAX, &out->limit.limit.max);
	r->key = outer;
	reader_leave(r, mark);
}

void
override_list_read(struct reader *r, json_t *object, struct policy_limit *limit)
{
	size_t n = json_object_size(object);
	const char *name;
	json_t *max;

	limit->overrides = arena_get(r->arena, n * sizeof(*limit->overrides));
	if (!limit->overrides)
		return;
	json_object_foreach(object, name, max)
	    override_read(r, name, max, &limit->overrides[limit->n_overrides++]);
	qsort(limit->overrides, limit->n_overrides, sizeof(*limit->overrides), compare);
}

void
override_check_scope(struct reader *r, const struct scope *scope)
{
	size_t mark;

	/* A scope that could not be read has no text, and has had its fault. */
	if (scope->n == 1 || !scope->text)
		return;
	mark = reader_enter(r, slice_str("overrides"));
	reader_fault(r, ERR_INVALID,
	    "overrides are by one value, and this limit's scope is %s; they need a "
	    "scope of one name",
	    scope->n == 0 ? "\"global\"" : "a list of names");
	reader_leave(r, mark);
}
