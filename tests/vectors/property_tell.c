/* SPDX-License-Identifier: ISC */
/* Tells what came before a difference: the last steps, and all of them as a case. */
#include <stdio.h>
#include <stdlib.h>

#include "property.h"

#define TOLD_MAX 20 /* steps that are printed */
#define DUMP (JSON_COMPACT | JSON_SORT_KEYS)

static bool
share_any(json_t *keys, json_t *others)
{
	json_t *one, *other;
	size_t i, j;

	json_array_foreach(keys, i, one) json_array_foreach(
	    others, j, other) if (json_equal(one, other)) return true;
	return false;
}

/* All steps of the round as a case, which fails at its last step against the backend
 * that differs. */
static void
write_case(const struct story *story, const char *path)
{
	json_t *file = json_pack("{s:[{s:s, s:I, s:O, s:O}]}", "cases", "name", "found",
	    "dedup_ttl_ms", (json_int_t)story->dedup_ms, "policy", story->policy,
	    "steps", story->steps);

	if (json_dump_file(file, path, DUMP) < 0)
		path = "(it could not be written)";
	printf("all steps, a file for run_vectors: %s\n", path);
	json_decref(file);
}

/* The last step is there in any case: it is the one that failed. */
static void
print_last(const struct story *story)
{
	size_t n = json_array_size(story->steps);
	json_t *keys = json_array_get(story->keys, n - 1);
	size_t told[TOLD_MAX];
	size_t n_told = 0;

	for (size_t i = n; i-- > 0 && n_told < TOLD_MAX;)
		if (i == n - 1 || share_any(json_array_get(story->keys, i), keys))
			told[n_told++] = i;
	printf("the last steps of these counters:\n");
	while (n_told > 0) {
		json_t *step = json_copy(json_array_get(story->steps, told[--n_told]));
		char *text;

		json_object_del(step, "expect");
		text = json_dumps(step, DUMP);
		printf("  %s\n", text);
		free(text);
		json_decref(step);
	}
}

void
story_tell(const struct story *story)
{
	const char *tmp = getenv("TMPDIR");
	char path[256];

	print_last(story);
	snprintf(path, sizeof(path), "%s/ration-property-%llu.json", tmp ? tmp : "/tmp",
	    (unsigned long long)story->seed);
	write_case(story, path);
}
