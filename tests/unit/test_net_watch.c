/* SPDX-License-Identifier: ISC */
/* Every way to change a file, and those that are none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/watch.h"

#define WAIT_US INT64_C(10000000)
/* Longer than what makes rationd tell of a change. */
#define NOTHING_US (4 * WATCH_QUIET_US)

static char dir[64];
static struct loop *loop;
static struct watch *watch;
static struct loop_timer *timer;
static int told;

static const char *
at(const char *name)
{
	static char paths[4][256];
	static int i;

	i = (i + 1) % 4;
	snprintf(paths[i], sizeof(paths[i]), "%s/%s", dir, name);
	return paths[i];
}

static void
write_file(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
make_dir(const char *name)
{
	assert_int_equal(mkdir(at(name), 0755), 0);
}

static void
make_link(const char *target, const char *name)
{
	assert_int_equal(symlink(target, at(name)), 0);
}

static void
move(const char *from, const char *to)
{
	assert_int_equal(rename(at(from), at(to)), 0);
}

static void
on_changed(void *arg)
{
	(void)arg;
	told++;
	loop_stop(loop);
}

static void
on_timeout(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void
turn_until(int64_t wait_us)
{
	told = 0;
	loop_timer_set(timer, wait_us);
	assert_int_equal(loop_run(loop), 0);
	loop_timer_cancel(timer);
}

static void
assert_told(void)
{
	turn_until(WAIT_US);
	assert_int_equal(told, 1);
}

static void
assert_not_told(void)
{
	turn_until(NOTHING_US);
	assert_int_equal(told, 0);
}

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/ration-watch-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	loop = loop_new();
	watch = watch_new(loop, on_changed, NULL);
	timer = loop_timer_new(loop, on_timeout, NULL);
	return watch && timer ? 0 : -1;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	watch_free(watch);
	loop_free(loop);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static void
add(const char *name)
{
	struct errinfo ei;

	assert_int_equal(watch_add(watch, at(name), &ei), 0);
}

static void
test_written_in_place(void **state)
{
	(void)state;
	write_file("a", "1");
	add("a");
	assert_not_told();
	for (int i = 0; i < 3; i++) {
		write_file("a", "2");
		assert_told();
	}
	assert_not_told();
}

/* As most editors and all careful programs do; the file that is watched changes. */
static void
test_renamed_over(void **state)
{
	(void)state;
	write_file("a", "1");
	add("a");
	for (int i = 0; i < 3; i++) {
		write_file(".a.swp", "2");
		move(".a.swp", "a");
		assert_told();
	}
	move("a", "a~");
	write_file("a", "3");
	assert_told();
}

static void
test_deleted_and_made_again(void **state)
{
	(void)state;
	write_file("a", "1");
	add("a");
	unlink(at("a"));
	assert_told();
	write_file("a", "2");
	assert_told();
}

static void
test_not_there_yet(void **state)
{
	(void)state;
	add("deep/down/a");
	make_dir("deep");
	assert_told();
	make_dir("deep/down");
	assert_told();
	write_file("deep/down/a", "1");
	assert_told();
}

/* policy.json -> ..data/policy.json, ..data -> ..1: only ..data is swapped. */
static void
test_configmap(void **state)
{
	(void)state;
	make_dir("..1");
	write_file("..1/policy.json", "1");
	make_link("..1", "..data");
	make_link("..data/policy.json", "policy.json");
	add("policy.json");
	for (int i = 2; i < 5; i++) {
		char name[16];
		char file[32];

		snprintf(name, sizeof(name), "..%d", i);
		snprintf(file, sizeof(file), "%s/policy.json", name);
		make_dir(name);
		write_file(file, "2");
		make_link(name, "..data_tmp");
		move("..data_tmp", "..data");
		assert_told();
		/* The new one is watched, too. */
		write_file(file, "3");
		assert_told();
	}
}

/* /srv/current/a, where current is an absolute link to a release. */
static void
test_link_on_the_way(void **state)
{
	(void)state;
	make_dir("r1");
	make_dir("r2");
	write_file("r1/a", "1");
	write_file("r2/a", "2");
	make_link(at("r1"), "current");
	add("current/a");
	make_link(at("r2"), "next");
	move("next", "current");
	assert_told();
	write_file("r1/a", "nobody's any more");
	assert_not_told();
	write_file("r2/a", "3");
	assert_told();
}

static void
test_folder_swapped(void **state)
{
	(void)state;
	make_dir("p");
	write_file("p/a", "1");
	add("p/a");
	make_dir("q");
	write_file("q/a", "2");
	move("p", "old");
	move("q", "p");
	assert_told();
	write_file("p/a", "3");
	assert_told();
}

static void
test_others_do_not_count(void **state)
{
	(void)state;
	write_file("a", "1");
	write_file("log", "");
	add("a");
	write_file("log", "x");
	write_file("b", "x");
	move("b", "c");
	unlink(at("c"));
	assert_not_told();
}

static void
test_a_circle_of_links_ends(void **state)
{
	(void)state;
	make_link("y", "x");
	make_link("x", "y");
	add("x");
	unlink(at("y"));
	assert_told();
	write_file("y", "1");
	assert_told();
}

static void
test_several_files_are_told_once(void **state)
{
	(void)state;
	write_file("a", "1");
	write_file("b", "1");
	add("a");
	add("b");
	write_file("a", "2");
	write_file("b", "2");
	assert_told();
	assert_not_told();
	write_file("b", "3");
	assert_told();
}

static void
limit_files(rlim_t most)
{
	struct rlimit files;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = most < files.rlim_max ? most : files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

/* No descriptor is to be had when the way is walked anew: that does not last. */
static void
test_lost_and_found(void **state)
{
	(void)state;
	write_file("a", "1");
	write_file("b", "2");
	write_file("c", "3");
	add("a");
	limit_files(3);
	move("b", "a");
	assert_told();
	move("c", "a");
	assert_not_told();
	limit_files(256);
	/* What changed unseen is told. */
	assert_told();
	write_file("a", "4");
	assert_told();
	assert_not_told();
}

static void
test_not_watched_at_first(void **state)
{
	struct errinfo ei;
	int rc;

	(void)state;
	write_file("a", "1");
	limit_files(3);
	rc = watch_add(watch, at("a"), &ei);
	limit_files(256);
	assert_int_equal(rc, ERR_IO);
	assert_non_null(strstr(ei.text, strerror(EMFILE)));
	assert_told();
	write_file("a", "2");
	assert_told();
}

static struct loop_timer *writer;

static void
on_write(void *arg)
{
	(void)arg;
	write_file("a", "again");
	loop_timer_set(writer, WATCH_QUIET_US / 5);
}

/* Changes without a pause are told all the same. */
static void
test_patience_has_an_end(void **state)
{
	(void)state;
	write_file("a", "1");
	add("a");
	writer = loop_timer_new(loop, on_write, NULL);
	loop_timer_set(writer, 0);
	assert_told();
	loop_timer_free(writer);
}

static void
test_relative_path(void **state)
{
	struct errinfo ei;
	int before = open(".", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(chdir(dir), 0);
	write_file("a", "1");
	assert_int_equal(watch_add(watch, "a", &ei), 0);
	write_file("a", "2");
	assert_told();
	assert_int_equal(fchdir(before), 0);
	close(before);
}

static void
test_names_that_cannot_be(void **state)
{
	char path[5000];
	struct errinfo ei;

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(watch_add(watch, path, &ei), ERR_IO);
	assert_non_null(strstr(ei.text, "cannot be watched"));
	path[300] = '\0'; /* longer than a name may be */
	assert_int_equal(watch_add(watch, path, &ei), ERR_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(written_in_place),
		TEST(renamed_over),
		TEST(deleted_and_made_again),
		TEST(not_there_yet),
		TEST(configmap),
		TEST(link_on_the_way),
		TEST(folder_swapped),
		TEST(others_do_not_count),
		TEST(a_circle_of_links_ends),
		TEST(several_files_are_told_once),
		TEST(patience_has_an_end),
		TEST(lost_and_found),
		TEST(not_watched_at_first),
		TEST(relative_path),
		TEST(names_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
