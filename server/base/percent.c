/* SPDX-License-Identifier: ISC */
#include "base/percent.h"

int
percent_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int
percent_next(struct slice *text)
{
	int c = (unsigned char)text->ptr[0];
	size_t n = 1;

	if (c == '%') {
		int high = text->len > 2 ? percent_hex_digit(text->ptr[1]) : -1;
		int low = text->len > 2 ? percent_hex_digit(text->ptr[2]) : -1;

		if (high < 0 || low < 0)
			return -1;
		c = high * 16 + low;
		n = 3;
	}
	*text = slice_make(text->ptr + n, text->len - n);
	return c;
}

ptrdiff_t
percent_decode(struct slice text, char *out, size_t size)
{
	size_t len = 0;

	while (text.len > 0) {
		int c = percent_next(&text);

		if (c < 0)
			return ERR_SYNTAX;
		if (len == size)
			return ERR_TOOBIG;
		out[len++] = (char)c;
	}
	return (ptrdiff_t)len;
}
