/* SPDX-License-Identifier: ISC */
/*
 * Where in a JSON text each value is, and which keys are duplicates: jansson keeps
 * neither. The text must have been parsed successfully (RFC 8259, depth <= 2048).
 *
 * Ownership: the index owns its memory and borrows nothing after position_new().
 */
#ifndef POLICY_POSITION_H
#define POLICY_POSITION_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"

struct position {
	int line;   /* 1-based */
	int column; /* 1-based, bytes */
};

struct position_index;

/* NULL when out of memory. `text` is valid JSON of `len` bytes. */
struct position_index *position_new(const char *text, size_t len) MUST_CHECK;
void position_free(struct position_index *index);

/* The place of the value that a JSON Pointer names ("" is the document); for a member,
 * the place of its key. An unknown pointer gives the nearest parent's place. */
struct position position_find(const struct position_index *index, const char *pointer);

/* The place of the byte text[offset], offset <= the text's length. Needs no index. */
struct position position_at(const char *text, size_t offset);

/* Adds one ERR_INVALID for every duplicate key of an object. */
void position_report_duplicates(
    const struct position_index *index, struct errlist *errors);

/* Appends "/TOKEN" to a pointer, with ~ and / as ~0 and ~1 (RFC 6901). */
struct buf;
void position_pointer_add(struct buf *pointer, struct slice token);

#endif
