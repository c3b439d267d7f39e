/* SPDX-License-Identifier: ISC */
#include "limit/key.h"

#include <string.h>

#include "base/hash.h"

#define KEY_DIGEST_DIGITS 32

/* 1 for the bytes that are not encoded. */
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

/* The value of a hex digit whose letters must be those of `letters`; -1 for any other
 * character. */
static int
digit_of(char c, const char letters[6])
{
	const char *at = memchr(letters, c, 6);

	if (c >= '0' && c <= '9')
		return c - '0';
	return at ? 10 + (int)(at - letters) : -1;
}

static bool
is_digest(struct slice text)
{
	if (text.len != 1 + KEY_DIGEST_DIGITS || text.ptr[0] != '~')
		return false;
	for (size_t i = 1; i < text.len; i++)
		if (digit_of(text.ptr[i], "abcdef") < 0)
			return false;
	return true;
}

/* Whether `at`, which two more bytes follow, is an encoded byte that had to be encoded. */
static bool
is_escape(const char *at)
{
	int high = digit_of(at[1], "ABCDEF");
	int low = digit_of(at[2], "ABCDEF");

	return at[0] == '%' && high >= 0 && low >= 0 && !plain[high << 4 | low];
}

bool
key_is_part(struct slice text)
{
	if (text.len > KEY_PART_MAX)
		return false;
	if (is_digest(text))
		return true;
	for (size_t i = 0; i < text.len; i++) {
		if (plain[(unsigned char)text.ptr[i]])
			continue;
		if (text.len - i < 3 || !is_escape(text.ptr + i))
			return false;
		i += 2;
	}
	return true;
}
