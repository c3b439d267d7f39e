/* SPDX-License-Identifier: ISC */
/* The query of a target: NAME=VALUE&..., percent-encoded. */
#include "wire/http.h"

#include "base/percent.h"

/* Decodes the first byte of `text` and steps over it; -1: a bad escape. */
static int
next_byte(struct slice *text)
{
	bool plus = text->ptr[0] == '+';
	int c = percent_next(text);

	return plus ? ' ' : c;
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

/* Cuts `text` at the first `mark`; *rest is what follows it, if anything does. */
static struct slice
cut(struct slice text, char mark, struct slice *rest)
{
	const char *at = text.len ? memchr(text.ptr, mark, text.len) : NULL;
	size_t len = at ? (size_t)(at - text.ptr) : text.len;

	*rest = at ? slice_make(at + 1, text.len - len - 1) : slice_make(NULL, 0);
	return slice_make(text.ptr, len);
}

int
http_query_next(struct slice *rest, struct buf *name, struct buf *value)
{
	struct slice pair = slice_make(NULL, 0);
	struct slice raw;
	int rc;

	/* "a=1&&b=2" has two parameters, not three. */
	while (pair.len == 0 && rest->len > 0)
		pair = cut(*rest, '&', rest);
	if (pair.len == 0)
		return 0;
	buf_clear(name);
	buf_clear(value);
	rc = decode(cut(pair, '=', &raw), name);
	if (rc == 0)
		rc = decode(raw, value);
	return rc < 0 ? rc : 1;
}
