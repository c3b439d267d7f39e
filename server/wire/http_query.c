/* SPDX-License-Identifier: ISC */
/* The query of a target: NAME=VALUE&..., percent-encoded. */
#include "wire/http.h"

#include "wire/http_head.h"

/* The byte that `text` begins with, decoded, and steps over it; -1: a bad escape. */
static int
next_byte(struct slice *text)
{
	int c = (unsigned char)text->ptr[0];
	size_t n = 1;

	if (c == '+') {
		c = ' ';
	} else if (c == '%') {
		int high = text->len > 2 ? http_hex_digit(text->ptr[1]) : -1;
		int low = text->len > 2 ? http_hex_digit(text->ptr[2]) : -1;

		if (high < 0 || low < 0)
			return -1;
		c = high * 16 + low;
		n = 3;
	}
	text->ptr += n;
	text->len -= n;
	return c;
}

static bool
name_is(struct slice raw, const char *name)
{
	while (raw.len > 0 && *name)
		if (next_byte(&raw) != (unsigned char)*name++)
			return false;
	return raw.len == 0 && !*name;
}

static int
decode(struct slice raw, struct buf *out)
{
	while (raw.len > 0) {
		int c = next_byte(&raw);

		if (c < 0)
			return ERR_SYNTAX;
		buf_add_char(out, (char)c);
	}
	return out->failed ? ERR_NOMEM : 0;
}

/* Cuts `text` at the first `mark`; what is behind it goes to *rest, if any. */
static struct slice
cut(struct slice text, char mark, struct slice *rest)
{
	const char *at = text.len ? memchr(text.ptr, mark, text.len) : NULL;
	size_t len = at ? (size_t)(at - text.ptr) : text.len;

	*rest = at ? slice_make(at + 1, text.len - len - 1) : slice_make(NULL, 0);
	return slice_make(text.ptr, len);
}

int
http_query_get(const struct http_request *req, const char *name, struct buf *out)
{
	struct slice rest = req->query;

	while (rest.len > 0) {
		struct slice pair = cut(rest, '&', &rest);
		struct slice value;
		struct slice key = cut(pair, '=', &value);

		if (name_is(key, name))
			return decode(value, out);
	}
	return ERR_NOTFOUND;
}
