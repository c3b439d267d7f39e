/* SPDX-License-Identifier: ISC */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* How many bytes follow a lead byte; -1 when it cannot be one. */
static int
tail_len(unsigned char lead)
{
	if (lead < 0x80)
		return 0;
	if (lead >= 0xC2 && lead <= 0xDF)
		return 1;
	if ((lead & 0xF0) == 0xE0)
		return 2;
	if (lead >= 0xF0 && lead <= 0xF4)
		return 3;
	return -1;
}

/* Overlong forms, surrogates and what is past the end of Unicode show in the second
 * byte. */
static bool
second_valid(unsigned char lead, unsigned char second)
{
	unsigned char lo = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
	unsigned char hi = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;

	return second >= lo && second <= hi;
}

bool
utf8_valid(const char *data, size_t len)
{
	const unsigned char *p = (const unsigned char *)data;
	const unsigned char *end = p + len;

	while (p < end) {
		uint64_t eight;
		int tail;

		if (end - p >= 8) {
			memcpy(&eight, p, 8);
			if (!(eight & 0x8080808080808080ull)) {
				p += 8;
				continue;
			}
		}
		tail = tail_len(*p);
		if (tail < 0 || end - p <= tail)
			return false;
		if (tail > 0 && !second_valid(p[0], p[1]))
			return false;
		for (int i = 2; i <= tail; i++)
			if ((p[i] & 0xC0) != 0x80)
				return false;
		p += tail + 1;
	}
	return true;
}

size_t
utf8_cut(const char *data, size_t len)
{
	size_t start = len;

	/* Step back over the tail to the lead byte of the last character. */
	while (start > 0 && ((unsigned char)data[start - 1] & 0xC0) == 0x80 &&
	    len - start < 3)
		start--;
	if (start == 0)
		return len;
	start--;
	if ((size_t)tail_len((unsigned char)data[start]) == len - start - 1)
		return len;
	return start;
}

int
utf8_validate(const char *field, struct slice text, size_t max, struct errinfo *ei)
{
	if (text.len > max)
		return err_set(
		    ei, ERR_TOOBIG, "%s is longer than %zu bytes", field, max);
	if (text.len == 0)
		return 0;
	if (!utf8_valid(text.ptr, text.len))
		return err_set(ei, ERR_INVALID, "%s is not valid UTF-8", field);
	if (memchr(text.ptr, '\0', text.len))
		return err_set(ei, ERR_INVALID, "%s holds a NUL byte", field);
	return 0;
}
