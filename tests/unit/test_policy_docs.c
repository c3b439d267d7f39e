/* SPDX-License-Identifier: ISC */
/* The examples of docs/policy.md and the policies in examples/ load, and calls that the
 * page shows are answered as it says. */
#include "policy_fixture.h"

#include <dirent.h>

#include "policy/regex.h"

#define FENCE "```"
#define ARROW " \xE2\x86\x92 "

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

/* "GRANT [NAME=VALUE] TOOL ARGS", the beginning of a line of calls. */
static struct ruling
ask(const struct policy *policy, char *line)
{
	struct regex_scratch *scratch = regex_scratch_new();
	char *args_text = strchr(line, '{');
	struct call_attribute attribute;
	struct call call = { .attributes = &attribute, .cost = 1 };
	json_t *args = json_loads(args_text, 0, NULL);
	struct ruling ruling;
	char *word;

	assert_non_null(scratch);
	assert_non_null(args);
	*args_text = '\0';
	call.args = args;
	call.grant = slice_str(strsep(&line, " "));
	word = strsep(&line, " ");
	if (strchr(word, '=')) {
		attribute.name = slice_str(strsep(&word, "="));
		attribute.value = slice_str(word);
		call.n_attributes = 1;
		word = strsep(&line, " ");
	}
	call.tool = slice_str(word);
	policy_rule(policy, &call, scratch, &ruling);
	json_decref(args);
	regex_scratch_free(scratch);
	return ruling;
}

/* One line: a call, an arrow, a verdict and the rule. */
static void
check_call(const struct policy *policy, char *line)
{
	static const char *const verdicts[] = {
		[VERDICT_DENY] = "deny",
		[VERDICT_ALLOW] = "allow",
		[VERDICT_APPROVAL] = "require_approval",
	};
	char *wanted = strstr(line, ARROW);
	struct ruling ruling;
	char got[512];

	assert_non_null(wanted);
	*wanted = '\0';
	wanted += strlen(ARROW);
	ruling = ask(policy, line);
	snprintf(got, sizeof(got), "%s%s%s", verdicts[ruling.verdict],
	    ruling.rule[0] ? " " : "", ruling.rule);
	assert_string_equal(got, wanted);
}

/* Blocks of calls are about the document before them. */
static void
docs_calls(void **state)
{
	struct buf page = { 0 };
	struct policy *policy = NULL;
	bool in_document = false;
	bool in_calls = false;
	struct buf document = { 0 };
	size_t calls = 0;
	char *rest;
	char *line;

	(void)state;
	fixture_read("../docs/policy.md", &page);
	rest = page.data;
	while ((line = strsep(&rest, "\n"))) {
		bool fence = strncmp(line, FENCE, 3) == 0;

		if (fence && in_document) {
			policy_free(policy);
			policy = fixture_policy("p", buf_cstr(&document));
			buf_clear(&document);
		}
		if (fence) {
			in_document = strcmp(line, FENCE "json") == 0;
			in_calls = strcmp(line, FENCE "calls") == 0;
		} else if (in_document) {
			buf_printf(&document, "%s\n", line);
		} else if (in_calls) {
			check_call(policy, line);
			calls++;
		}
	}
	assert_true(calls >= 10);
	policy_free(policy);
	buf_fini(&document);
	buf_fini(&page);
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
		cmocka_unit_test(docs_calls),
		cmocka_unit_test(example_policies),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
