/* SPDX-License-Identifier: ISC */
/*
 * A growing run of bytes. Errors are sticky: an append for which there is no memory does
 * nothing but set `failed`, so one look at that after the last append is enough.
 *
 * Ownership: owns its bytes. Not zero-terminated unless buf_cstr() is called.
 * Threads: not shared.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
	bool failed; /* some append was lost */
};

/* A zeroed struct buf is a valid empty one; init is for re-used memory. */
void buf_init(struct buf *b);
void buf_fini(struct buf *b);

/* Forgets the bytes and the failure, keeps the memory. */
void buf_clear(struct buf *b);

/* Makes room for `more` bytes and returns where they may be written, or NULL when out of
 * memory. Bytes written there belong to the buf only after buf_commit(). */
char *buf_reserve(struct buf *b, size_t more);
void buf_commit(struct buf *b, size_t len);

void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_str(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_add_int(struct buf *b, int64_t value);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Drops the first `len` bytes (len <= b->len), moving the rest down. */
void buf_drop(struct buf *b, size_t len);

/* A view of the bytes with a final NUL, which `len` does not count; NULL when out of
 * memory. Valid until the next change. */
const char *buf_cstr(struct buf *b);

/* A view of the bytes, valid until the next change. */
struct slice buf_slice(const struct buf *b);

#endif
