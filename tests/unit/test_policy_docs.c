/* SPDX-License-Identifier: ISC */
/* The examples of docs/policy.md and the policies in examples/ load. */
#include "policy_fixture.h"

#include <dirent.h>

#define FENCE "```"

static void
must_load(const char *where, struct slice text)
{
	struct errlist errors;
	struct policy *policy =
	    policy_parse("p", where, text.ptr, text.len, NULL, &errors);

	fixture_print(&errors);
	if (!policy)
		fail_msg("%s does not load:\n%.*s", where, SLICE_ARG(text));
	policy_free(policy);
	errlist_fini(&errors);
}

static void
docs_examples(void **state)
{
	struct buf page = { 0 };
	const char *at;
	size_t documents = 0;

	(void)state;
	fixture_read("../docs/policy.md", &page);
	at = page.data;
	while ((at = strstr(at, "\n" FENCE "json\n"))) {
		const char *begin = at + strlen("\n" FENCE "json\n");
		const char *end = strstr(begin, "\n" FENCE "\n");
		struct slice text;

		assert_non_null(end);
		text = slice_make(begin, (size_t)(end - begin));
		if (memmem(text.ptr, text.len, "\"version\"", 9)) {
			must_load("docs/policy.md", text);
			documents++;
		}
		at = end;
	}
	assert_true(documents >= 5);
	buf_fini(&page);
}

static void
example_policies(void **state)
{
	DIR *dir = opendir(TEST_SOURCE_DIR "/../examples/policies");
	struct dirent *entry;
	size_t documents = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		struct buf text = { 0 };
		char path[512];

		if (!strstr(entry->d_name, ".json"))
			continue;
		snprintf(path, sizeof(path), "../examples/policies/%s", entry->d_name);
		fixture_read(path, &text);
		must_load(entry->d_name, buf_slice(&text));
		buf_fini(&text);
		documents++;
	}
	assert_true(documents >= 1);
	closedir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(docs_examples),
		cmocka_unit_test(example_policies),
	};

	return cmocka_run_group_tests(tests, fixture_start, NULL);
}
