/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "ops/file.h"
#include "ops/policy_files.h"

#define GOOD "{\"version\": \"1\", \"default\": \"allow\"}"

static char folder[64];
static struct errlist errors;

static int
start(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/ration-policies-XXXXXX");
	errlist_init(&errors, NULL);
	return mkdtemp(folder) && hash_start() == 0 ? 0 : -1;
}

static int
done(void **state)
{
	char command[128];

	(void)state;
	errlist_fini(&errors);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

/* Writes a file into the folder; returns its path, valid until four calls later. */
static char *
file(const char *name, const char *text)
{
	static char paths[4][128];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	FILE *f;

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fputs(text, f) < 0, 0);
	fclose(f);
	return path;
}

static struct policy_set *
load(char **files, size_t n)
{
	struct config_list list = { files, n };

	return policy_files_load(&list, "ration", &errors);
}

static void
test_names_come_from_files(void **state)
{
	char *files[] = { file("a.b.json", GOOD), file("plain", GOOD),
		file("json.json.json", GOOD) };
	struct policy_set *set = load(files, 3);

	(void)state;
	assert_non_null(set);
	assert_int_equal(errors.n, 0);
	assert_string_equal(policy_name(policy_set_at(set, 0)), "a.b");
	assert_string_equal(policy_name(policy_set_at(set, 1)), "plain");
	assert_string_equal(policy_name(policy_set_at(set, 2)), "json.json");
	assert_null(policy_set_find(set, slice_str(NULL)));
	policy_set_unref(set);
}

static void
test_one_policy_is_the_default(void **state)
{
	char *files[] = { file("a.json", GOOD) };
	struct policy_set *set = load(files, 1);

	(void)state;
	assert_non_null(set);
	assert_ptr_equal(policy_set_find(set, slice_str(NULL)), policy_set_at(set, 0));
	policy_set_unref(set);
}

static void
test_faults_of_all_files(void **state)
{
	char missing[128];
	char *files[] = { file(
			      "a.json", "{\n\"version\": \"2\",\n\"default\": \"no\"}"),
		missing, file("good.json", GOOD), folder };

	(void)state;
	snprintf(missing, sizeof(missing), "%s/missing.json", folder);
	assert_null(load(files, 4));
	assert_int_equal(errors.n, 4);
	assert_string_equal(errors.items[0].file, files[0]);
	assert_int_equal(errors.items[0].line, 2);
	assert_string_equal(errors.items[0].pointer, "/version");
	assert_int_equal(errors.items[1].line, 3);
	assert_string_equal(errors.items[2].file, missing);
	assert_string_equal(
	    errors.items[2].text, "cannot open: No such file or directory");
	assert_string_equal(errors.items[3].file, folder);
	assert_string_equal(
	    errors.items[3].text, "is a directory; a regular file is needed");
}

static void
test_same_name_twice(void **state)
{
	char sub[128];
	char *files[2] = { file("a.json", GOOD) };

	(void)state;
	snprintf(sub, sizeof(sub), "%s/sub", folder);
	assert_int_equal(mkdir(sub, 0700), 0);
	files[1] = file("sub/a.json", GOOD);
	assert_null(load(files, 2));
	assert_int_equal(errors.n, 1);
	assert_non_null(strstr(errors.items[0].text, "a"));
}

static void
test_name_must_be_one(void **state)
{
	char *files[] = { file(".json", GOOD), file("\xff.json", GOOD) };

	(void)state;
	assert_null(load(files, 2));
	assert_int_equal(errors.n, 2);
	assert_string_equal(errors.items[0].file, files[0]);
}

static void
test_file_bound(void **state)
{
	struct buf out = { 0 };
	struct errinfo ei;

	(void)state;
	assert_int_equal(file_read(file("x", "12345"), 5, &out, &ei), 0);
	assert_int_equal(out.len, 5);
	assert_int_equal(file_read(file("x", "123456"), 5, &out, &ei), ERR_TOOBIG);
	buf_fini(&out);
}

/* What would never end, or wait for a writer, is not read. */
static void
test_only_regular_files(void **state)
{
	struct buf out = { 0 };
	struct errinfo ei;
	const char *fifo = file("fifo", "");

	(void)state;
	unlink(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	alarm(10);
	assert_int_equal(file_read(fifo, 5, &out, &ei), ERR_INVALID);
	alarm(0);
	assert_string_equal(
	    ei.text, "is a device, pipe or socket; a regular file is needed");
	assert_int_equal(file_read("/dev/zero", 5, &out, &ei), ERR_INVALID);
	unlink(fifo);
	assert_int_equal(out.len, 0);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_names_come_from_files, start, done),
		cmocka_unit_test_setup_teardown(
		    test_one_policy_is_the_default, start, done),
		cmocka_unit_test_setup_teardown(test_faults_of_all_files, start, done),
		cmocka_unit_test_setup_teardown(test_same_name_twice, start, done),
		cmocka_unit_test_setup_teardown(test_name_must_be_one, start, done),
		cmocka_unit_test_setup_teardown(test_file_bound, start, done),
		cmocka_unit_test_setup_teardown(test_only_regular_files, start, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
