/* SPDX-License-Identifier: ISC */
/*
 * Replies of Redis, read by hiredis's reader into one flat struct that is re-used: no
 * tree, no malloc in the steady state. Pure: bytes in, replies out.
 * An array within an array is an element of that kind, followed by its own elements.
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
	enum reply_kind kind;
	uint32_t text_len;
	size_t text_at; /* where its text begins in reply.text */
	int64_t number; /* REPLY_INT; REPLY_ARRAY: how many elements it has */
};

/* An array is all its elements and, flat, theirs; a scalar is values[0]. Valid until the
 * next read. */
struct reply {
	enum reply_kind kind;
	struct reply_value *values;
	size_t n;
	size_t cap;
	struct buf text;
	bool failed; /* out of memory */
};

/* A view of the text of values[i]. */
struct slice reply_text(const struct reply *reply, size_t i);

/* In the text of INFO or CLUSTER INFO: the value of the line that begins with "name:", a
 * view; absent when there is none. */
struct slice reply_info_value(struct slice info, const char *name);

struct reply_reader;

struct reply_reader *reply_reader_new(void) MUST_CHECK; /* NULL: out of memory */
void reply_reader_free(struct reply_reader *reader);

/* Appends bytes. 0, or ERR_NOMEM. */
int reply_reader_feed(
    struct reply_reader *reader, const char *data, size_t len) MUST_CHECK;

/* 1: *out is the next reply (a view, until the next call); 0: more bytes are needed;
 * ERR_SYNTAX: the bytes break the protocol. */
int reply_reader_next(struct reply_reader *reader, const struct reply **out) MUST_CHECK;

#endif
