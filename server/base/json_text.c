/* SPDX-License-Identifier: ISC */
#include "base/json_text.h"

#include <string.h>

#include "base/utf8.h"

void
json_text_init(struct json_text *j, struct buf *out)
{
	j->out = out;
	j->comma = false;
}

static void
add_escape(struct buf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[] = "\"\\\b\f\n\r\t";
	static const char codes[] = "\"\\bfnrt";
	const char *at = c ? strchr(letters, c) : NULL;
	char text[6] = "\\u00";

	if (at) {
		text[1] = codes[at - letters];
		buf_add(out, text, 2);
		return;
	}
	text[4] = hex[c >> 4];
	text[5] = hex[c & 15];
	buf_add(out, text, 6);
}

/* How many bytes from `p` are one valid character; 0 when none starts there. */
static size_t
char_len(const char *p, size_t left)
{
	for (size_t n = 1; n <= 4 && n <= left; n++)
		if (utf8_valid(p, n))
			return n;
	return 0;
}

void
json_text_quote(struct buf *out, struct slice value)
{
	bool valid = utf8_valid(value.ptr, value.len);
	size_t from = 0;

	buf_add_char(out, '"');
	for (size_t i = 0; i < value.len;) {
		unsigned char c = (unsigned char)value.ptr[i];
		size_t n =
		    valid || c < 0x80 ? 1 : char_len(value.ptr + i, value.len - i);

		if (n > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
			i += n;
			continue;
		}
		buf_add(out, value.ptr + from, i - from);
		if (n == 0)
			buf_add_str(out, "\xEF\xBF\xBD");
		else
			add_escape(out, c);
		from = ++i;
	}
	buf_add(out, value.ptr + from, value.len - from);
	buf_add_char(out, '"');
}

static void
begin(struct json_text *j, const char *key)
{
	if (j->comma)
		buf_add_char(j->out, ',');
	j->comma = true;
	if (!key)
		return;
	buf_add_char(j->out, '"');
	buf_add_str(j->out, key);
	buf_add(j->out, "\":", 2);
}

void
json_text_open(struct json_text *j, const char *key, char bracket)
{
	begin(j, key);
	buf_add_char(j->out, bracket);
	j->comma = false;
}

void
json_text_close(struct json_text *j, char bracket)
{
	buf_add_char(j->out, bracket);
	j->comma = true;
}

void
json_text_string(struct json_text *j, const char *key, struct slice value)
{
	begin(j, key);
	json_text_quote(j->out, value);
}

void
json_text_int(struct json_text *j, const char *key, int64_t value)
{
	begin(j, key);
	buf_add_int(j->out, value);
}

void
json_text_bool(struct json_text *j, const char *key, bool value)
{
	begin(j, key);
	buf_add_str(j->out, value ? "true" : "false");
}

void
json_text_null(struct json_text *j, const char *key)
{
	begin(j, key);
	buf_add_str(j->out, "null");
}
