/* SPDX-License-Identifier: ISC */
#include "redis/slots.h"

#include <string.h>

#include "redis/redirect.h"

/* CRC16/XMODEM, x^16 + x^12 + x^5 + 1, four bits at a time. */
static unsigned
crc16(struct slice text)
{
	static const uint16_t table[] = { 0x0000, 0x1021, 0x2042, 0x3063, 0x4084,
		0x50a5, 0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad,
		0xe1ce, 0xf1ef };
	unsigned crc = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned byte = (unsigned char)text.ptr[i];

		crc = (crc << 4 & 0xffff) ^ table[crc >> 12 ^ byte >> 4];
		crc = (crc << 4 & 0xffff) ^ table[crc >> 12 ^ (byte & 15)];
	}
	return crc;
}

static struct slice
hash_tag(struct slice key)
{
	const char *open = key.len ? memchr(key.ptr, '{', key.len) : NULL;
	const char *close;

	if (!open)
		return key;
	open++;
	close = memchr(open, '}', key.len - (size_t)(open - key.ptr));
	return close && close > open ? slice_make(open, (size_t)(close - open)) : key;
}

unsigned
slot_of(struct slice key)
{
	return crc16(hash_tag(key)) % SLOTS;
}

/* The index after the value at `at` and everything inside it. */
static size_t
skip(const struct reply *reply, size_t at)
{
	size_t left = 1;

	while (left > 0 && at < reply->n) {
		left--;
		if (reply->values[at].kind == REPLY_ARRAY)
			left += (size_t)reply->values[at].number;
		at++;
	}
	return at;
}

static bool
is_kind(const struct reply *reply, size_t at, enum reply_kind kind)
{
	return at < reply->n && reply->values[at].kind == kind;
}

/* The IP address in a node's metadata, which is names and values by turns. */
static struct slice
find_ip(const struct reply *reply, size_t at)
{
	if (!is_kind(reply, at, REPLY_ARRAY))
		return slice_make(NULL, 0);
	for (int64_t n = reply->values[at++].number; n > 1 && at < reply->n; n -= 2) {
		size_t value = skip(reply, at);

		if (is_kind(reply, at, REPLY_TEXT) &&
		    is_kind(reply, value, REPLY_TEXT) &&
		    slice_eq_str(reply_text(reply, at), "ip"))
			return reply_text(reply, value);
		at = skip(reply, value);
	}
	return slice_make(NULL, 0);
}

/* A node is [host, port, id, metadata]; up to 6.2 without metadata. An unknown host is nil,
 * empty or "?". */
static bool
read_node(const struct reply *reply, size_t at, const struct address *asked,
    struct address *out)
{
	struct slice host = { NULL, 0 };

	if (!is_kind(reply, at, REPLY_ARRAY) || reply->values[at].number < 2 ||
	    !is_kind(reply, at + 2, REPLY_INT))
		return false;
	if (is_kind(reply, at + 1, REPLY_TEXT))
		host = reply_text(reply, at + 1);
	if (slice_eq_str(host, "?"))
		host = reply->values[at].number > 3 ? find_ip(reply, at + 4)
						    : slice_make(NULL, 0);
	if (host.len == 0)
		host = slice_str(asked->host);
	return redirect_set_address(out, host, reply->values[at + 2].number);
}

/* A range is [first, last, master, replicas...]. */
bool
slots_parse(
    const struct reply *reply, const struct address *asked, slots_fn *fn, void *arg)
{
	size_t at = 0;

	if (reply->kind != REPLY_ARRAY)
		return false;
	while (at < reply->n) {
		struct address master;
		int64_t first, last;

		if (!is_kind(reply, at, REPLY_ARRAY) || reply->values[at].number < 3 ||
		    !is_kind(reply, at + 1, REPLY_INT) ||
		    !is_kind(reply, at + 2, REPLY_INT))
			return false;
		first = reply->values[at + 1].number;
		last = reply->values[at + 2].number;
		if (first < 0 || first > last || last >= SLOTS)
			return false;
		if (read_node(reply, at + 3, asked, &master))
			fn(arg, (unsigned)first, (unsigned)last, &master);
		at = skip(reply, at);
	}
	return true;
}
