/* SPDX-License-Identifier: ISC */
#include "limit/key.h"

#include <string.h>

#include "base/hash.h"

#define KEY_DIGEST_DIGITS 32

/* 1 for the bytes that stand for themselves. */
static const bool plain[256] = {
	['0' ... '9'] = true,
	['A' ... 'Z'] = true,
	['a' ... 'z'] = true,
	['_'] = true,
	['.'] = true,
	['-'] = true,
};

static void
add_digest(struct buf *out, struct slice raw)
{
	char hex[KEY_DIGEST_DIGITS + 1];

	hash_sha256_hex(raw, hex, KEY_DIGEST_DIGITS);
	buf_add_char(out, '~');
	buf_add(out, hex, KEY_DIGEST_DIGITS);
}

void
key_add_part(struct buf *out, struct slice raw)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t len = 0;
	char *to;

	if (raw.len > KEY_PART_MAX) {
		add_digest(out, raw);
		return;
	}
	to = buf_reserve(out, raw.len * 3);
	if (!to)
		return;
	for (size_t i = 0; i < raw.len; i++) {
		unsigned char c = (unsigned char)raw.ptr[i];

		if (LIKELY(plain[c])) {
			to[len++] = (char)c;
			continue;
		}
		to[len++] = '%';
		to[len++] = hex[c >> 4];
		to[len++] = hex[c & 15];
	}
	if (len > KEY_PART_MAX)
		add_digest(out, raw);
	else
		buf_commit(out, len);
}

static bool
is_digit(char c, const char *letters)
{
	return (c >= '0' && c <= '9') || (c && strchr(letters, c));
}

static bool
is_digest(struct slice text)
{
	if (text.len != 1 + KEY_DIGEST_DIGITS || text.ptr[0] != '~')
		return false;
	for (size_t i = 1; i < text.len; i++)
		if (!is_digit(text.ptr[i], "abcdef"))
			return false;
	return true;
}

bool
key_is_part(struct slice text)
{
	static const char upper[] = "ABCDEF";
	const char *at = text.ptr;

	if (text.len > KEY_PART_MAX)
		return false;
	if (is_digest(text))
		return true;
	for (size_t i = 0; i < text.len; i++) {
		if (plain[(unsigned char)at[i]])
			continue;
		if (at[i] != '%' || text.len - i < 3 || !is_digit(at[i + 1], upper) ||
		    !is_digit(at[i + 2], upper))
			return false;
		i += 2;
	}
	return true;
}
