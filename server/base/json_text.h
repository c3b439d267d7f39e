/* SPDX-License-Identifier: ISC */
/*
 * JSON written as text, straight into a buffer: for logs and answers, where a tree
 * would be built only to be thrown away. Pure.
 *
 * The writer places the commas. In text that is not valid UTF-8, each bad byte is
 * written as U+FFFD, so that the output is always valid JSON.
 */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

struct json_text {
	struct buf *out; /* borrowed */
	bool comma;      /* the next value needs one before it */
};

/* Keeps `out`, which must outlive the writer. */
void json_text_init(struct json_text *j, struct buf *out);

/* `key` is a literal that needs no escaping, or NULL inside arrays and at the top.
 * `bracket` is '{', '[' and '}', ']'. */
void json_text_open(struct json_text *j, const char *key, char bracket);
void json_text_close(struct json_text *j, char bracket);
void json_text_string(struct json_text *j, const char *key, struct slice value);
void json_text_int(struct json_text *j, const char *key, int64_t value);
void json_text_bool(struct json_text *j, const char *key, bool value);
void json_text_null(struct json_text *j, const char *key);

/* Appends just the quoted, escaped string. */
void json_text_quote(struct buf *out, struct slice value);

#endif
