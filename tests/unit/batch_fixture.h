/* SPDX-License-Identifier: ISC */
/* A batch without a server: the takes in it, the bytes of its call, and replies written by
 * hand. What a real Redis makes of them is tested by tests/vectors and the system tests. */
#ifndef BATCH_FIXTURE_H
#define BATCH_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "redis/batch.h"
#include "redis/late.h"
#include "redis/twins.h"

#define NOW_US INT64_C(1767225601500000) /* 2026-01-01T00:00:01.5Z */
#define ONES_MAX 64

static const struct limit minute = { .max = 30,
	.window = { .len_ms = 60000, .name = "minute" } };
static const struct limit hour = { .max = 100,
	.window = { .len_ms = 3600000, .name = "hour" } };

struct one {
	struct charge charges[2];
	struct ledger ledger; /* of no use until the take names it */
	struct take take;
};

static struct twins scratch;
static struct metric_cells cells;
static struct store store = { NULL, &cells };

static struct {
	struct batch *batch;
	struct reply_reader *reader;
	struct batch_outcome outcome;
	struct buf out; /* the call */
	struct one ones[ONES_MAX];
	struct take *told[ONES_MAX]; /* in the order in which they were */
	size_t n_told;
	size_t n_left;
} here;

static inline int
start(void **state)
{
	(void)state;
	memset(&here, 0, sizeof(here));
	here.batch = batch_new(&scratch);
	here.reader = reply_reader_new();
	return 0;
}

static inline int
stop(void **state)
{
	(void)state;
	batch_fail(here.batch, &store, FAULT_OTHER, NULL);
	batch_free(here.batch);
	reply_reader_free(here.reader);
	buf_fini(&here.outcome.give_back);
	buf_fini(&here.out);
	return 0;
}

#define WITH_BATCH(test) cmocka_unit_test_setup_teardown(test, start, stop)

static void
on_done(struct take *take)
{
	here.told[here.n_told++] = take;
	/* Whoever is told may use it again. */
	take->next = take->prev = NULL;
}

/* The i-th: charges `key` by the minute, and `second` by the hour unless that is NULL. */
static inline struct take *
make(size_t i, const char *key, const char *second, int64_t cost)
{
	struct one *one = &here.ones[i];

	*one = (struct one){ 0 };
	one->charges[0] =
	    (struct charge){ .key = slice_str(key), .limit = &minute, .cost = cost };
	one->charges[1] =
	    (struct charge){ .key = slice_str(second), .limit = &hour, .cost = cost };
	one->take = (struct take){ .charges = one->charges,
		.n = second ? 2 : 1,
		.deadline_us = 1000,
		.done = on_done };
	return &one->take;
}

static inline void
add(size_t i)
{
	assert_int_equal(batch_add(here.batch, &here.ones[i].take), 0);
}

static inline void
make_and_add(size_t i, const char *key, const char *second, int64_t cost)
{
	make(i, key, second, cost);
	add(i);
}

static inline const char *
call(void)
{
	buf_clear(&here.out);
	assert_true(batch_format(here.batch, slice_str("x"), NOW_US, &here.out));
	return buf_cstr(&here.out);
}

static inline bool
sends(const char *text)
{
	return strstr(buf_cstr(&here.out), text) != NULL;
}

static inline bool
gives_back(const char *text)
{
	return strstr(buf_cstr(&here.outcome.give_back), text) != NULL;
}

/* For batch_expire(). */
static inline void
on_left(void *arg, struct take *take)
{
	(void)arg;
	here.n_left++;
	late_unref(take->late);
}

/* A byte at a time: a reply may come in any pieces. Returns what batch_apply() does. */
static inline int
apply(const char *text)
{
	const struct reply *reply = NULL;

	for (size_t i = 0; i < strlen(text); i++) {
		assert_int_equal(reply_reader_feed(here.reader, text + i, 1), 0);
		assert_int_equal(
		    reply_reader_next(here.reader, &reply), i + 1 == strlen(text));
	}
	return batch_apply(here.batch, reply, &store, &here.outcome);
}

static inline void
answer(const char *text)
{
	assert_int_equal(apply(text), 0);
}

#endif
