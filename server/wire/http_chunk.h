/* SPDX-License-Identifier: ISC */
/* Chunked bodies of HTTP/1.1. For http.c only. Pure. */
#ifndef WIRE_HTTP_CHUNK_H
#define WIRE_HTTP_CHUNK_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "wire/http.h"
#include "wire/http_head.h"

/* Goes on looking for the end of the body from where `r` has got. Returns the length of
 * the whole request (> 0); ERR_AGAIN, with r->body_need set; or a refusal. */
ptrdiff_t http_chunk_scan(struct http_reader *r, const char *data, size_t len,
    size_t body_max, const struct http_fault *fault) MUST_CHECK;

/* Appends the data of all chunks of a body that http_chunk_scan() found the end of. */
void http_chunk_join(const char *data, size_t head_len, struct buf *out);

#endif
