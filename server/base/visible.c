/* SPDX-License-Identifier: ISC */
#include "base/visible.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define PIECE_MAX 8 /* "\xc2\x9b", or a character of UTF-8 */

/* The length of the character that `text` begins with, 0 when it is not UTF-8. */
static size_t
character_len(struct slice text)
{
	for (size_t len = 1; len <= 4 && len <= text.len; len++)
		if (utf8_valid(text.ptr, len))
			return len;
	return 0;
}

static bool
is_control(const char *character, size_t len)
{
	unsigned char c = (unsigned char)character[0];

	if (len == 1)
		return c < 0x20 || c == 0x7f;
	/* U+0080 ... U+009F */
	return len == 2 && c == 0xc2 && (unsigned char)character[1] < 0xa0;
}

/* Writes how the first character of *text is shown, and steps over it. Returns the
 * length written. */
static size_t
next_piece(struct slice *text, char piece[PIECE_MAX + 1])
{
	size_t len = character_len(*text);
	size_t taken = len ? len : 1;
	size_t n = 0;

	if (len && !is_control(text->ptr, len)) {
		memcpy(piece, text->ptr, len);
		n = len;
	} else {
		for (size_t i = 0; i < taken; i++)
			n += (size_t)snprintf(piece + n, PIECE_MAX + 1 - n, "\\x%02x",
			    (unsigned char)text->ptr[i]);
	}
	*text = slice_make(text->ptr + taken, text->len - taken);
	return n;
}

size_t
visible_format(struct slice text, char *out, size_t size)
{
	char piece[PIECE_MAX + 1];
	size_t len = 0;

	if (size == 0)
		return 0;
	while (text.len > 0) {
		size_t n = next_piece(&text, piece);

		if (len + n >= size)
			break;
		memcpy(out + len, piece, n);
		len += n;
	}
	out[len] = '\0';
	return len;
}

void
visible_add(struct buf *out, struct slice text)
{
	char piece[PIECE_MAX + 1];

	while (text.len > 0) {
		size_t n = next_piece(&text, piece);

		buf_add(out, piece, n);
	}
}
