/* SPDX-License-Identifier: ISC */
/* The log writes to descriptor 2: each test puts a pipe there for its while. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

static int kept_fd;
static int read_fd;

static void
capture_begin(void)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	kept_fd = dup(STDERR_FILENO);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	close(fds[1]);
	read_fd = fds[0];
}

/* What was written since; out holds `size` bytes. */
static void
capture_end(char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;

	assert_true(dup2(kept_fd, STDERR_FILENO) >= 0);
	close(kept_fd);
	while ((n = read(read_fd, out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(read_fd);
}

/* "2026-01-01T00:00:00.000Z": digits and marks at their places. */
static void
assert_time(const char *text)
{
	static const char shape[] = "0000-00-00T00:00:00.000Z";

	for (size_t i = 0; shape[i]; i++) {
		if (shape[i] == '0')
			assert_in_range(text[i], '0', '9');
		else
			assert_int_equal(text[i], shape[i]);
	}
}

static void
test_json_line(void **state)
{
	static const char head[] = "{\"time\":\"";
	char out[4096];

	(void)state;
	capture_begin();
	log_start(LOG_INFO, LOG_JSON);
	log_warn("redis", "lost \"%s\"\n%d", "it", 7);
	log_debug("redis", "is not shown");
	capture_end(out, sizeof(out));
	assert_memory_equal(out, head, strlen(head));
	assert_time(out + strlen(head));
	assert_string_equal(out + strlen(head) + 24,
	    "\",\"level\":\"warn\","
	    "\"room\":\"redis\",\"message\":\"lost \\\"it\\\"\\n7\"}\n");
}

static void
test_text_line(void **state)
{
	char out[4096];

	(void)state;
	capture_begin();
	log_start(LOG_DEBUG, LOG_TEXT);
	log_error("net", "one");
	log_debug("net", "two");
	capture_end(out, sizeof(out));
	assert_time(out);
	assert_memory_equal(strchr(out, 'Z'), "Z error net: one\n", 17);
	assert_non_null(strstr(out, "debug net: two\n"));
}

static void
test_auto_is_json_on_a_pipe(void **state)
{
	char out[4096];

	(void)state;
	capture_begin();
	log_start(LOG_INFO, LOG_AUTO);
	log_info("base", "hello");
	capture_end(out, sizeof(out));
	assert_int_equal(out[0], '{');
	assert_non_null(strstr(out, "\"level\":\"info\""));
}

static void
test_long_message_stays_one_line_of_json(void **state)
{
	char *text = malloc(10000);
	char out[8192];

	(void)state;
	memset(text, 'x', 9999);
	text[9999] = '\0';
	capture_begin();
	log_start(LOG_INFO, LOG_JSON);
	log_info("base", "%s", text);
	capture_end(out, sizeof(out));
	assert_string_equal(out + strlen(out) - 4, "x\"}\n");
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
	free(text);
}

static void
test_text_shows_control_characters(void **state)
{
	char out[4096];

	(void)state;
	capture_begin();
	log_start(LOG_INFO, LOG_TEXT);
	log_info("base", "a\x1b[31m\nb\xc2\x9b \xc3\xa9");
	capture_end(out, sizeof(out));
	assert_string_equal(
	    strchr(out, 'Z'), "Z info  base: a\\x1b[31m\\x0ab\\xc2\\x9b \xc3\xa9\n");
}

/* Escaped, each byte takes six. */
static void
test_a_line_fits_into_a_pipe(void **state)
{
	char text[2000];
	char out[LOG_LINE_MAX + 2];

	(void)state;
	memset(text, 1, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	capture_begin();
	log_start(LOG_INFO, LOG_JSON);
	log_info("base", "%s", text);
	capture_end(out, sizeof(out));
	assert_in_range(strlen(out), LOG_LINE_MAX / 2, LOG_LINE_MAX);
	assert_string_equal(out + strlen(out) - 3, "\"}\n");
}

/* Fills descriptor 2, which a log line must not wait for. */
static void
fill_pipe(void)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);
	char block[1024] = { 0 };

	fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
	while (write(STDERR_FILENO, block, sizeof(block)) > 0) {}
	fcntl(STDERR_FILENO, F_SETFL, flags);
}

static void
test_a_full_pipe_is_not_waited_for(void **state)
{
	static char out[1 << 21];
	uint64_t before = log_dropped();
	ssize_t n;

	(void)state;
	capture_begin();
	log_start(LOG_INFO, LOG_TEXT);
	fill_pipe();
	alarm(10); /* the old way would wait for ever */
	log_info("base", "lost");
	log_info("base", "lost, too");
	assert_int_equal(log_dropped() - before, 2);
	n = read(read_fd, out, sizeof(out));
	assert_true(n > 0);
	log_info("base", "first");
	log_info("base", "second");
	alarm(0);
	capture_end(out, sizeof(out));
	assert_int_equal(log_dropped() - before, 2);
	assert_non_null(strstr(out, "log: 2 lines were lost"));
	assert_null(strstr(strstr(out, "lines were lost") + 1, "lines were lost"));
	assert_non_null(strstr(out, "base: first\n"));
	assert_non_null(strstr(out, "base: second\n"));
}

static void
test_time(void **state)
{
	char out[LOG_TIME_MAX];

	(void)state;
	log_time(0, out);
	assert_string_equal(out, "1970-01-01T00:00:00.000Z");
	log_time(INT64_C(1767225599999999), out);
	assert_string_equal(out, "2025-12-31T23:59:59.999Z");
	log_time(INT64_C(1709164800001000), out);
	assert_string_equal(out, "2024-02-29T00:00:00.001Z");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_line),
		cmocka_unit_test(test_text_line),
		cmocka_unit_test(test_auto_is_json_on_a_pipe),
		cmocka_unit_test(test_long_message_stays_one_line_of_json),
		cmocka_unit_test(test_text_shows_control_characters),
		cmocka_unit_test(test_a_line_fits_into_a_pipe),
		cmocka_unit_test(test_a_full_pipe_is_not_waited_for),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
