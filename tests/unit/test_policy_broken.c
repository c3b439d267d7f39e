/* SPDX-License-Identifier: ISC */
/* Every document in tests/policies/broken is refused with exactly the faults that
 * expected.txt lists, every one in tests/policies/good loads. */
#include "policy_fixture.h"

#include <dirent.h>

#include "base/utf8.h"

#define BROKEN "policies/broken"
#define GOOD "policies/good"

/* One row of an expectation file, cut at its tabs. */
struct row {
	char *field[5];
	size_t n;
};

struct table {
	struct buf text;
	struct row rows[512];
	size_t n;
};

static void
cut_row(struct row *row, char *line)
{
	while (line && row->n < 5)
		row->field[row->n++] = strsep(&line, "\t");
}

static struct table *
table_read(const char *path)
{
	struct table *t = calloc(1, sizeof(*t));
	char *rest;
	char *line;

	assert_non_null(t);
	fixture_read(path, &t->text);
	rest = t->text.data;
	while ((line = strsep(&rest, "\n"))) {
		if (line[0] == '#' || line[0] == '\0')
			continue;
		assert_true(t->n < 512);
		cut_row(&t->rows[t->n++], line);
	}
	return t;
}

static void
table_free(struct table *t)
{
	buf_fini(&t->text);
	free(t);
}

static void
path_of(char *out, size_t size, const char *folder, const char *name)
{
	snprintf(out, size, "%s/%s", folder, name);
}

/* A pointer is compared whole unless errinfo had to cut it. */
static void
check_pointer(const char *got, const char *wanted)
{
	if (strlen(got) < sizeof(((struct errinfo *)0)->pointer) - 4)
		assert_string_equal(got, wanted);
	else
		assert_memory_equal(got, wanted, strlen(wanted));
}

static void
check_fault(const struct errinfo *got, const struct row *row)
{
	if (got->line != atoi(row->field[1]) || got->column != atoi(row->field[2]) ||
	    !strstr(got->text, row->field[4]))
		fail_msg("%s: wanted %s:%s \"%s\", got %d:%d \"%s\"", row->field[0],
		    row->field[1], row->field[2], row->field[4], got->line, got->column,
		    got->text);
	check_pointer(got->pointer, row->field[3]);
	assert_string_equal(got->file, row->field[0]);
	assert_true(got->code < 0);
	assert_true(utf8_valid(got->text, strlen(got->text)));
}

/* Rows [from, to) are one document's. */
static void
check_document(const struct row *rows, size_t n)
{
	struct errlist errors;
	struct buf text = { 0 };
	char path[256];

	path_of(path, sizeof(path), BROKEN, rows[0].field[0]);
	fixture_read(path, &text);
	assert_null(
	    policy_parse("p", rows[0].field[0], text.data, text.len, NULL, &errors));
	if (errors.n != n)
		fixture_print(&errors);
	if (errors.n != n)
		fail_msg(
		    "%s: wanted %zu faults, got %zu", rows[0].field[0], n, errors.n);
	for (size_t i = 0; i < n; i++)
		check_fault(&errors.items[i], &rows[i]);
	errlist_fini(&errors);
	buf_fini(&text);
}

static void
broken_documents(void **state)
{
	struct table *t = table_read(BROKEN "/expected.txt");
	size_t documents = 0;

	(void)state;
	for (size_t from = 0, to; from < t->n; from = to) {
		for (to = from; to < t->n; to++)
			if (strcmp(t->rows[to].field[0], t->rows[from].field[0]) != 0)
				break;
		assert_int_equal(t->rows[from].n, 5);
		check_document(&t->rows[from], to - from);
		documents++;
	}
	assert_true(documents >= 60);
	table_free(t);
}

static void
good_documents(void **state)
{
	struct table *t = table_read(GOOD "/expected.txt");

	(void)state;
	for (size_t i = 0; i < t->n; i++) {
		const struct row *row = &t->rows[i];
		struct errlist errors;
		struct buf text = { 0 };
		struct policy *policy;
		char path[256];

		path_of(path, sizeof(path), GOOD, row->field[0]);
		fixture_read(path, &text);
		policy = policy_parse(
		    "p", row->field[0], text.data, text.len, NULL, &errors);
		fixture_print(&errors);
		assert_non_null(policy);
		assert_int_equal(errors.n, 0);
		assert_int_equal(policy_tool_count(policy), atoi(row->field[1]));
		assert_int_equal(policy_limit_count(policy), atoi(row->field[2]));
		policy_free(policy);
		errlist_fini(&errors);
		buf_fini(&text);
	}
	table_free(t);
}

/* No document lies there without an expectation. */
static void
check_listed(const char *folder)
{
	char path[512];
	struct table *t;
	struct dirent *entry;
	DIR *dir;

	path_of(path, sizeof(path), TEST_SOURCE_DIR, folder);
	dir = opendir(path);
	assert_non_null(dir);
	path_of(path, sizeof(path), folder, "expected.txt");
	t = table_read(path);
	while ((entry = readdir(dir))) {
		bool found = !strstr(entry->d_name, ".json");

		for (size_t i = 0; i < t->n && !found; i++)
			found = strcmp(t->rows[i].field[0], entry->d_name) == 0;
		if (!found)
			fail_msg("%s/%s is not in expected.txt", folder, entry->d_name);
	}
	closedir(dir);
	table_free(t);
}

static void
all_documents_listed(void **state)
{
	(void)state;
	check_listed(BROKEN);
	check_listed(GOOD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(broken_documents),
		cmocka_unit_test(good_documents),
		cmocka_unit_test(all_documents_listed),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
