/* SPDX-License-Identifier: ISC */
#include "ops/policy_files.h"

#include <stdlib.h>
#include <string.h>

#include "ops/file.h"
#include "policy/call.h"

/* Moves the faults of one file to the end of all of them. */
static void
add_faults(struct errlist *all, const struct errlist *one)
{
	for (size_t i = 0; i < one->n; i++)
		errlist_add_info(all, one->items[i].file, &one->items[i]);
	all->more += one->more;
}

/* The policy's name, owned by the caller; NULL: the fault was added. */
static char *
name_of_file(const char *file, struct errlist *errors)
{
	const char *slash = strrchr(file, '/');
	struct slice base = slice_str(slash ? slash + 1 : file);
	struct errinfo ei;
	char *name;

	if (base.len >= 5 && memcmp(base.ptr + base.len - 5, ".json", 5) == 0)
		base.len -= 5;
	if (call_validate_name(
		"the policy's name, which the file's name gives,", base, &ei) < 0) {
		errlist_add_info(errors, file, &ei);
		return NULL;
	}
	name = strndup(base.ptr, base.len);
	if (!name) {
		err_set(&ei, ERR_NOMEM, "out of memory");
		errlist_add_info(errors, file, &ei);
	}
	return name;
}

static struct policy *
load_one(const char *file, const char *key_prefix, struct errlist *errors)
{
	struct policy_options options = { .key_prefix = key_prefix };
	struct policy *policy = NULL;
	struct buf text = { 0 };
	struct errlist faults;
	struct errinfo ei;
	char *name = name_of_file(file, errors);

	if (!name)
		return NULL;
	if (file_read(file, POLICY_BYTES_MAX, &text, &ei) < 0) {
		errlist_add_info(errors, file, &ei);
	} else {
		policy = policy_parse(name, file, text.data ? text.data : "", text.len,
		    &options, &faults);
		add_faults(errors, &faults);
		errlist_fini(&faults);
	}
	buf_fini(&text);
	free(name);
	return policy;
}

static void
free_all(struct policy **policies, size_t n)
{
	for (size_t i = 0; i < n; i++)
		policy_free(policies[i]);
}

struct policy_set *
policy_files_load(
    const struct config_list *files, const char *key_prefix, struct errlist *errors)
{
	struct policy **policies = calloc(files->n ? files->n : 1, sizeof(*policies));
	struct policy_set *set = NULL;
	struct errinfo ei;
	size_t n = 0;

	if (!policies) {
		err_set(&ei, ERR_NOMEM, "out of memory");
		errlist_add_info(errors, "--policy", &ei);
		return NULL;
	}
	for (size_t i = 0; i < files->n; i++) {
		policies[n] = load_one(files->items[i], key_prefix, errors);
		n += policies[n] != NULL;
	}
	if (n == 0 || n < files->n) {
		free_all(policies, n);
	} else {
		set = policy_set_new(policies, n, &ei);
		if (!set)
			errlist_add_info(errors, "--policy", &ei);
	}
	free(policies);
	return set;
}
