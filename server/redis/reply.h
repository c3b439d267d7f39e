/* SPDX-License-Identifier: ISC */
/*
 * Replies of Redis, read by hiredis's reader into one flat struct that is used again
 * and again: no tree, no malloc in the steady state. Pure: bytes in, replies out.
 */
#ifndef REDIS_REPLY_H
#define REDIS_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum reply_kind { REPLY_NIL, REPLY_INT, REPLY_TEXT, REPLY_ERROR, REPLY_ARRAY };

/* One scalar. */
struct reply_value {
	enum reply_kind kind; /* never REPLY_ARRAY */
	uint32_t text_len;
	size_t text_at; /* where its text begins in reply.text */
	int64_t number; /* REPLY_INT */
};

/* An array's elements, flat; a scalar is values[0]. Valid until the next read. */
struct reply {
	enum reply_kind kind;
	struct reply_value *values;
	size_t n;
	size_t cap;
	struct buf text;
	bool failed; /* out of memory, or an array inside an array */
};

struct slice reply_text(const struct reply *reply, size_t i);

struct reply_reader;

struct reply_reader *reply_reader_new(void) MUST_CHECK; /* NULL: out of memory */
void reply_reader_free(struct reply_reader *reader);

/* Appends bytes. 0, or ERR_NOMEM. */
int reply_reader_feed(
    struct reply_reader *reader, const char *data, size_t len) MUST_CHECK;

/* 1: *out is the next reply (a view, until the next call); 0: more bytes are needed;
 * ERR_SYNTAX: what came is not the protocol, or not of the shape scripts answer. */
int reply_reader_next(struct reply_reader *reader, const struct reply **out) MUST_CHECK;

#endif
