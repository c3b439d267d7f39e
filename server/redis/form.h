/* SPDX-License-Identifier: ISC */
/* How limits are written to the scripts: one row for each algorithm. Pure. */
#ifndef REDIS_FORM_H
#define REDIS_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/store.h"

/* Append a word of a command, as a RESP bulk string. */
void form_add_bulk(struct buf *out, struct slice value);
/* Its head alone; the caller appends the `len` bytes and CR LF. */
void form_add_start(struct buf *out, size_t len);
void form_add_number(struct buf *out, int64_t value);

/* What lua/take.lua expects of an algorithm. */
struct form {
	const char *word; /* follows max and cost; NULL: none */
	/* Appends what follows the word; NULL: nothing does. */
	void (*add)(struct buf *out, const struct limit *l, int64_t around_us);
	size_t n_args;    /* arguments in all */
	size_t n_numbers; /* numbers in the reply, of an enforced limit */
};

/* Never NULL. */
const struct form *form_of(const struct limit *l);

/* How many numbers of the reply belong to this limit. A shadow limit has one more, the
 * last: how much of its cost was charged. */
static inline size_t
form_numbers(const struct limit *l, bool shadow)
{
	return form_of(l)->n_numbers + shadow;
}

/* By how much the `used` of a struct limit_count grows when `cost` is charged. */
static inline int64_t
form_step(const struct limit *l, int64_t cost)
{
	return l->algorithm == ALGORITHM_TOKEN_BUCKET ? cost * l->interval_us : cost;
}

/* Appends the n_args arguments of one limit. around_us is roughly what the server's clock
 * shows: limits that follow the calendar are sent with the windows around it. */
void form_add_limit(struct buf *out, const struct charge *c, int64_t around_us);

#endif
