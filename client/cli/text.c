/* SPDX-License-Identifier: ISC */
#include "text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/attr.h"
#include "base/utf8.h"

/* Whether these three bytes are U+2028 ... U+202E or U+2066 ... U+2069: they break a line,
 * or turn what follows around, so that a name could make a line read otherwise. */
static bool
is_turn(const char *p)
{
	unsigned char c = (unsigned char)p[2];

	return memcmp(p, "\xe2\x80", 2) == 0
	    ? c >= 0xa8 && c <= 0xae
	    : memcmp(p, "\xe2\x81", 2) == 0 && c >= 0xa6 && c <= 0xa9;
}

/* Bytes from `p` that may be shown as they are; 0 when the first may not. */
static size_t
plain_len(const char *p, size_t left)
{
	unsigned char c = (unsigned char)p[0];

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	/* U+0080 ... U+009F: control characters too. */
	if (c == 0xc2 && left > 1 && (unsigned char)p[1] < 0xa0)
		return 0;
	if (left > 2 && is_turn(p))
		return 0;
	for (size_t n = 2; n <= 4 && n <= left; n++)
		if (utf8_valid(p, n))
			return n;
	return 0;
}

void
text_add_clean(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len;) {
		size_t n = plain_len(s.ptr + i, s.len - i);

		if (n == 0)
			buf_printf(out, "\\x%02x", (unsigned char)s.ptr[i]);
		else
			buf_add(out, s.ptr + i, n);
		i += n ? n : 1;
	}
}

void
text_add_span(struct buf *out, int64_t ms)
{
	static const struct {
		const char *name, *rest_name;
		int64_t ms, rest_ms, from_ms; /* used from from_ms on */
	} units[] = {
		{ "d", "h", 86400000, 3600000, 2 * 86400000 },
		{ "h", "min", 3600000, 60000, 2 * 3600000 },
		{ "min", "s", 60000, 1000, 2 * 60000 },
	};

	if (ms < 1000) {
		buf_printf(out, "%" PRId64 " ms", ms);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		int64_t rests = ms / units[i].rest_ms + (ms % units[i].rest_ms != 0);
		int64_t per = units[i].ms / units[i].rest_ms;

		if (ms < units[i].from_ms)
			continue;
		buf_printf(out, "%" PRId64 " %s", rests / per, units[i].name);
		if (rests % per != 0)
			buf_printf(
			    out, " %" PRId64 " %s", rests % per, units[i].rest_name);
		return;
	}
	buf_printf(out, "%" PRId64 " s", ms / 1000 + (ms % 1000 != 0));
}
