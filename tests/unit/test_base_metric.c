/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/metric.h"

/* What the exposition format asks of the table. */
static void
test_table(void **state)
{
	(void)state;
	for (int i = 0; i < METRIC_COUNT; i++) {
		const struct metric_desc *d = &metric_table[i];
		bool first = i == 0 || strcmp(d[-1].name, d->name) != 0;
		size_t len = strlen(d->name);

		assert_memory_equal(d->name, "ration_", 7);
		assert_int_equal(first, d->help[0] != '\0');
		assert_int_equal(d->kind == METRIC_KIND_COUNTER,
		    len > 6 && strcmp(d->name + len - 6, "_total") == 0);
		/* All series of a name stand together and have one kind. */
		for (int k = 0; first && k < i; k++)
			assert_string_not_equal(metric_table[k].name, d->name);
		if (!first) {
			assert_int_equal(d->kind, d[-1].kind);
			assert_string_not_equal(d->labels, d[-1].labels);
		}
	}
}

static void
test_cells(void **state)
{
	struct metric_cells *cells = calloc(1, sizeof(*cells));

	(void)state;
	metric_add(cells, METRIC_CHECKS_ALLOW, 2);
	metric_add(cells, METRIC_CHECKS_ALLOW, 3);
	metric_add(cells, METRIC_HTTP_CONNECTIONS, 1);
	metric_add(cells, METRIC_HTTP_CONNECTIONS, -1);
	metric_set(cells, METRIC_STORE_UP, 1);
	assert_int_equal(metric_get(cells, METRIC_CHECKS_ALLOW), 5);
	assert_int_equal(metric_get(cells, METRIC_HTTP_CONNECTIONS), 0);
	assert_int_equal(metric_get(cells, METRIC_STORE_UP), 1);
	assert_int_equal(metric_get(cells, METRIC_CHECKS_APPROVAL), 0);
	free(cells);
}

static void
test_latency_buckets(void **state)
{
	struct metric_cells *cells = calloc(1, sizeof(*cells));

	(void)state;
	/* A bound belongs to its bucket. */
	for (int i = 0; i < METRIC_BUCKETS - 1; i++) {
		assert_true(i == 0 || metric_bucket_us[i] > metric_bucket_us[i - 1]);
		metric_latency(cells, metric_bucket_us[i]);
		assert_int_equal(cells->latency[i], 1 + (i > 0));
		metric_latency(cells, metric_bucket_us[i] + 1);
		assert_int_equal(cells->latency[i], 1 + (i > 0));
		assert_int_equal(cells->latency[i + 1], 1);
	}
	free(cells);
}

static void
test_latency_sum(void **state)
{
	struct metric_cells *cells = calloc(1, sizeof(*cells));

	(void)state;
	metric_latency(cells, 10);
	metric_latency(cells, INT64_C(10000000));
	assert_int_equal(cells->latency_sum_us, 10000010);
	assert_int_equal(cells->latency[0], 1);
	assert_int_equal(cells->latency[METRIC_BUCKETS - 1], 1);
	free(cells);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_latency_buckets),
		cmocka_unit_test(test_latency_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
