/* SPDX-License-Identifier: ISC */
/* Lines through a thread: all of them, whole, in order, or counted. */
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

#include "base/clock.h"
#include "base/log.h"
#include "ops/file.h"
#include "ops/log_writer.h"
#include "ops/process.h"

static char dir[64];
static char path[96];

static int
setup(void **state)
{
	(void)state;
	log_start(LOG_ERROR, LOG_TEXT);
	process_ignore_sigpipe();
	snprintf(dir, sizeof(dir), "/tmp/ration-writer-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/log", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static struct log_writer *
open_writer(void)
{
	struct errinfo ei;
	struct log_writer *w = log_writer_open(path, &ei);

	assert_non_null(w);
	return w;
}

static void
test_all_lines_in_order(void **state)
{
	struct log_writer *w = open_writer();
	struct buf lines = { 0 };
	struct buf text = { 0 };
	struct buf want = { 0 };
	struct errinfo ei;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		buf_printf(&lines, "%d\n", i);
		buf_printf(&want, "%d\n", i);
		assert_true(log_writer_put(w, &lines));
		assert_int_equal(lines.len, 0);
	}
	log_writer_close(w);
	assert_int_equal(file_read(path, 1 << 20, &text, &ei), 0);
	assert_int_equal(text.len, want.len);
	assert_memory_equal(text.data, want.data, want.len);
	buf_fini(&lines);
	buf_fini(&text);
	buf_fini(&want);
}

/* Nobody reads: so much waits, the rest is refused, and closing does not wait long. */
static void
test_stuck(void **state)
{
	struct log_writer *w;
	struct buf lines = { 0 };
	struct errinfo ei;
	int64_t begun_us;
	int64_t put = 0;
	int reader;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(log_writer_open(path, &ei));
	assert_non_null(strstr(ei.text, "nobody reads this pipe"));
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	w = open_writer();
	for (;; put += 1000) {
		for (int i = 0; i < 999; i++)
			buf_add_char(&lines, 'x');
		buf_add_char(&lines, '\n');
		if (!log_writer_put(w, &lines))
			break;
		assert_true(put < 4 * (int64_t)LOG_WRITER_MAX);
	}
	assert_true(put >= (int64_t)LOG_WRITER_MAX - 1000);
	assert_int_equal(lines.len, 0);
	assert_int_equal(log_writer_take_lost(w), 0);
	/* Without its reader all that waits is lost, and counted. */
	close(reader);
	begun_us = clock_mono_us();
	while (log_writer_take_lost(w) == 0)
		assert_true(clock_mono_us() - begun_us < 10000000);
	log_writer_close(w);
	buf_fini(&lines);
}

static void
test_reopened(void **state)
{
	struct log_writer *w = open_writer();
	struct buf lines = { 0 };
	char away[128];
	int64_t begun_us = clock_mono_us();

	(void)state;
	snprintf(away, sizeof(away), "%s.1", path);
	assert_int_equal(rename(path, away), 0);
	log_writer_reopen(w);
	while (access(path, F_OK) < 0)
		assert_true(clock_mono_us() - begun_us < 10000000);
	buf_add_str(&lines, "new\n");
	assert_true(log_writer_put(w, &lines));
	log_writer_close(w);
	buf_fini(&lines);
	assert_int_equal(unlink(away), 0);
}

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
assert_file(const char *want)
{
	struct buf text = { 0 };
	struct errinfo ei;

	assert_int_equal(file_read(path, 1 << 20, &text, &ei), 0);
	assert_string_equal(buf_cstr(&text), want);
	buf_fini(&text);
}

/* What an earlier process, or this one, could not write to its end stays apart. */
static void
test_torn_before(void **state)
{
	struct log_writer *w;
	struct buf lines = { 0 };

	(void)state;
	write_file("whole\ntorn");
	w = open_writer();
	log_writer_close(w);
	assert_file("whole\ntorn");
	w = open_writer();
	buf_add_str(&lines, "new\n");
	assert_true(log_writer_put(w, &lines));
	log_writer_close(w);
	assert_file("whole\ntorn\nnew\n");
	w = open_writer();
	buf_add_str(&lines, "newer\n");
	assert_true(log_writer_put(w, &lines));
	log_writer_close(w);
	assert_file("whole\ntorn\nnew\nnewer\n");
	buf_fini(&lines);
}

static void
test_torn_before_it_is_opened_again(void **state)
{
	struct log_writer *w = open_writer();
	struct buf lines = { 0 };

	(void)state;
	write_file("torn");
	log_writer_reopen(w);
	buf_add_str(&lines, "new\n");
	assert_true(log_writer_put(w, &lines));
	log_writer_close(w);
	assert_file("torn\nnew\n");
	buf_fini(&lines);
}

static void
test_checked(void **state)
{
	char nowhere[128];
	struct errinfo ei;

	(void)state;
	assert_int_equal(log_writer_check("-", &ei), 0);
	assert_int_equal(log_writer_check(path, &ei), 0);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(nowhere, sizeof(nowhere), "%s/log", path);
	assert_int_equal(log_writer_check(nowhere, &ei), ERR_IO);
	assert_non_null(strstr(ei.text, "No such file"));
	assert_int_equal(log_writer_check(dir, &ei), ERR_IO);
	assert_non_null(strstr(ei.text, "Is a directory"));
	write_file("");
	assert_int_equal(log_writer_check(path, &ei), 0);
	assert_int_equal(log_writer_check(nowhere, &ei), ERR_IO);
	assert_non_null(strstr(ei.text, "Not a directory"));
}

static void
test_cannot_be_opened(void **state)
{
	struct errinfo ei;

	(void)state;
	assert_null(log_writer_open("/nowhere/at/all", &ei));
	assert_int_equal(ei.code, ERR_IO);
	assert_null(log_writer_open(dir, &ei));
	log_writer_close(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_all_lines_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stuck, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reopened, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn_before, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_torn_before_it_is_opened_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cannot_be_opened, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
