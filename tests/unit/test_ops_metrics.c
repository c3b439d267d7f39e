/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "ops/file.h"
#include "ops/metrics.h"
#include "ops/process.h"

static struct metric_cells *cells[2];

static int
start(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		cells[i] = calloc(1, sizeof(*cells[i]));
	return cells[0] && cells[1] ? 0 : -1;
}

static int
done(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		free(cells[i]);
	return 0;
}

static struct process_usage usage = {
	.resident_bytes = 4096, .open_fds = 7, .cpu_us = 1500000
};

static const char *
format(struct buf *out)
{
	struct metrics_input in = { cells, 2, 1700000000500000, 3, &usage };
	const char *text;

	metrics_format(&in, out);
	text = buf_cstr(out);
	assert_non_null(text);
	return text;
}

/* How often `needle` starts a line. */
static int
lines_with(const char *text, const char *needle)
{
	int n = 0;

	for (; *text; text += strcspn(text, "\n") + 1)
		n += strncmp(text, needle, strlen(needle)) == 0;
	return n;
}

static void
test_blocks_are_summed(void **state)
{
	struct buf out = { 0 };
	const char *text;

	(void)state;
	metric_add(cells[0], METRIC_CHECKS_ALLOW, 40);
	metric_add(cells[1], METRIC_CHECKS_ALLOW, 2);
	metric_set(cells[0], METRIC_STORE_UP, 1);
	text = format(&out);
	assert_non_null(strstr(text, "\nration_checks_total{verdict=\"allow\"} 42\n"));
	/* Only when all say so. */
	assert_non_null(
	    strstr(text, "# TYPE ration_store_up gauge\nration_store_up 0\n"));
	assert_non_null(
	    strstr(text, "\nration_checks_total{verdict=\"deny_limit\"} 0\n"));
	assert_non_null(
	    strstr(text, "\nration_build_info{version=\"" RATION_VERSION "\"} 1\n"));
	assert_non_null(strstr(text, "\nration_store_counters 3\n"));
	assert_non_null(strstr(text, "\nprocess_start_time_seconds 1700000000.5\n"));
	buf_fini(&out);
}

static void
test_heads_stand_once(void **state)
{
	struct buf out = { 0 };
	const char *text = format(&out);

	(void)state;
	for (int id = 0; id < METRIC_COUNT; id++) {
		char head[128];

		snprintf(head, sizeof(head), "# HELP %s ", metric_table[id].name);
		assert_int_equal(lines_with(text, head), 1);
		snprintf(head, sizeof(head), "# TYPE %s ", metric_table[id].name);
		assert_int_equal(lines_with(text, head), 1);
	}
	for (size_t i = 0; metrics_extra_names[i]; i++) {
		char head[128];

		snprintf(head, sizeof(head), "# TYPE %s ", metrics_extra_names[i]);
		assert_int_equal(lines_with(text, head), 1);
	}
	buf_fini(&out);
}

static void
test_histogram_in_seconds(void **state)
{
	struct buf out = { 0 };
	const char *text;

	(void)state;
	metric_latency(cells[0], 50);
	metric_latency(cells[0], 51);
	metric_latency(cells[1], 2000000);
	text = format(&out);
	assert_non_null(strstr(text, "_seconds_bucket{le=\"0.00005\"} 1\n"));
	assert_non_null(strstr(text, "_seconds_bucket{le=\"0.0001\"} 2\n"));
	assert_non_null(strstr(text, "_seconds_bucket{le=\"1\"} 2\n"));
	assert_non_null(strstr(text, "_seconds_bucket{le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(text, "_seconds_sum 2.000101\n"));
	assert_non_null(strstr(text, "_seconds_count 3\n"));
	buf_fini(&out);
}

static void
test_what_is_not_known_is_left_out(void **state)
{
	struct buf out = { 0 };
	struct process_usage kept = usage;
	const char *text = format(&out);

	(void)state;
	assert_non_null(strstr(text, "\nprocess_open_fds 7\n"));
	assert_non_null(strstr(text, "\nprocess_resident_memory_bytes 4096\n"));
	assert_non_null(strstr(text, "\nprocess_cpu_seconds_total 1.5\n"));
	assert_non_null(strstr(text, "\nration_log_dropped_total 0\n"));
	buf_clear(&out);
	usage.open_fds = usage.resident_bytes = -1;
	text = format(&out);
	assert_null(strstr(text, "process_open_fds"));
	assert_null(strstr(text, "process_resident_memory_bytes"));
	usage = kept;
	buf_fini(&out);
}

/* Counting descriptors takes long when there are many: nobody can ask for it often. */
static void
test_figures_are_kept_a_while(void **state)
{
	struct process_usage use = { 0 };
	int64_t read_us;

	(void)state;
	process_usage_renew(&use);
	assert_true(use.open_fds > 0 && use.resident_bytes > 0);
	read_us = use.read_us;
	use.open_fds = 12345;
	process_usage_renew(&use);
	assert_int_equal(use.open_fds, 12345);
	use.read_us = read_us - PROCESS_USAGE_KEPT_US;
	process_usage_renew(&use);
	assert_in_range(use.open_fds, 1, 1000);
}

/* Every series of the table, and nothing that is not there, is in the document. */
static void
test_documents(void **state)
{
	struct buf text = { 0 };
	struct errinfo ei;
	const char *doc;
	int rows = 0;
	int names = 0;

	(void)state;
	assert_int_equal(
	    file_read(TEST_SOURCE_DIR "/../docs/metrics.md", 1 << 20, &text, &ei), 0);
	doc = buf_cstr(&text);
	for (int id = 0; id < METRIC_COUNT; id++) {
		const struct metric_desc *m = &metric_table[id];
		char row[128];

		names += m->help[0] != '\0';
		snprintf(row, sizeof(row), "| `%s` |", m->name);
		if (!strstr(doc, row))
			fail_msg("docs/metrics.md lacks a row for %s", m->name);
		snprintf(row, sizeof(row), "`%s`", m->labels);
		if (m->labels[0] && !strstr(doc, row))
			fail_msg("docs/metrics.md lacks %s of %s", m->labels, m->name);
	}
	for (size_t i = 0; metrics_extra_names[i]; i++, names++) {
		char row[128];

		snprintf(row, sizeof(row), "| `%s` |", metrics_extra_names[i]);
		if (!strstr(doc, row))
			fail_msg("docs/metrics.md lacks a row for %s",
			    metrics_extra_names[i]);
	}
	for (; *doc; doc += strcspn(doc, "\n"), doc += *doc == '\n')
		rows += strncmp(doc, "| `", 3) == 0;
	assert_int_equal(rows, names);
	buf_fini(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_blocks_are_summed, start, done),
		cmocka_unit_test_setup_teardown(test_heads_stand_once, start, done),
		cmocka_unit_test_setup_teardown(test_histogram_in_seconds, start, done),
		cmocka_unit_test(test_documents),
		cmocka_unit_test_setup_teardown(
		    test_what_is_not_known_is_left_out, start, done),
		cmocka_unit_test_setup_teardown(
		    test_figures_are_kept_a_while, start, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
