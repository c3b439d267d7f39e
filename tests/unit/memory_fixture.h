/* SPDX-License-Identifier: ISC */
/* What the tests of the embedded store share: one store on a clock that stands where the
 * test puts it. */
#ifndef MEMORY_FIXTURE_H
#define MEMORY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "hash_fixture.h"
#include "store/memory.h"

#define MINUTE_US INT64_C(60000000)
#define T0 (INT64_C(29453760) * MINUTE_US)

struct fixture {
	int64_t now_us;
	struct metric_cells *cells;
	struct memory *memory;
	struct store *store;
	struct limit minute; /* max 3 */
};

static inline int64_t
fixture_now_us(void *arg)
{
	return ((struct fixture *)arg)->now_us;
}

static inline void
fixture_open(struct fixture *f, int64_t max_counters)
{
	struct memory_options options = { max_counters, fixture_now_us, f };

	memset(f, 0, sizeof(*f));
	f->now_us = T0;
	f->cells = calloc(1, sizeof(*f->cells));
	f->memory = memory_new(&options);
	assert_non_null(f->memory);
	f->store = memory_store_new(f->memory, f->cells);
	assert_non_null(f->store);
	f->minute.max = 3;
	assert_int_equal(window_parse(slice_str("minute"), &f->minute.window, NULL), 0);
}

static inline void
fixture_close(struct fixture *f)
{
	store_close(f->store);
	memory_free(f->memory);
	free(f->cells);
}

static inline struct charge
charge_of(const struct limit *limit, const char *key, int64_t cost)
{
	return (struct charge){
		.key = slice_str(key), .limit = limit, .cost = cost, .count = { -1, 0 }
	};
}

#endif
