/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench_progress.h"

#define SECOND INT64_C(1000000000)

static void
test_of_a_time(void **state)
{
	struct bench_plan plan = { .duration_s = 10 };
	struct bench_progress p;
	char line[100];

	(void)state;
	bench_progress_init(&p, &plan, 5 * SECOND);
	bench_progress_format(&p, 6 * SECOND, 1000, 2, line, sizeof(line));
	assert_string_equal(line, "   1.0 of 10 s      1000/s  2 errors  1000 answers");
	/* The rate is that of the time since the line before. */
	bench_progress_format(&p, 8 * SECOND, 1500, 2, line, sizeof(line));
	assert_string_equal(line, "   3.0 of 10 s       250/s  2 errors  1500 answers");
	bench_progress_format(&p, 8 * SECOND, 1500, 2, line, sizeof(line));
	assert_string_equal(line, "   3.0 of 10 s         0/s  2 errors  1500 answers");
}

static void
test_of_a_number(void **state)
{
	struct bench_plan plan = { .requests = 4000 };
	struct bench_progress p;
	char line[100];

	(void)state;
	bench_progress_init(&p, &plan, 0);
	bench_progress_format(&p, SECOND / 2, 1000, 0, line, sizeof(line));
	assert_string_equal(
	    line, "   0.5 s      2000/s  0 errors  1000 of 4000 answers");
}

static void
test_warmup(void **state)
{
	struct bench_plan plan = { .duration_s = 10, .warmup_s = 2 };
	struct bench_progress p;
	char line[100];

	(void)state;
	bench_progress_init(&p, &plan, 0);
	bench_progress_format(&p, SECOND, 0, 0, line, sizeof(line));
	assert_string_equal(line, "   1.0 of 12 s  warming up");
	bench_progress_format(&p, 3 * SECOND, 500, 0, line, sizeof(line));
	assert_string_equal(line, "   3.0 of 12 s       250/s  0 errors  500 answers");
}

static void
test_it_is_cut_where_there_is_no_room(void **state)
{
	struct bench_plan plan = { .duration_s = 10 };
	struct bench_progress p;
	char line[20];

	(void)state;
	bench_progress_init(&p, &plan, 0);
	bench_progress_format(&p, SECOND, 1, 0, line, sizeof(line));
	assert_int_equal(strlen(line), sizeof(line) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_a_time),
		cmocka_unit_test(test_of_a_number),
		cmocka_unit_test(test_warmup),
		cmocka_unit_test(test_it_is_cut_where_there_is_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
