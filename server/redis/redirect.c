/* SPDX-License-Identifier: ISC */
#include "redis/redirect.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "redis/slots.h"

bool
redirect_set_address(struct address *out, struct slice host, int64_t port)
{
	char text[ADDRESS_TEXT_MAX];
	struct errinfo ei;
	bool six = host.len > 0 && memchr(host.ptr, ':', host.len);

	if (host.len == 0 || host.len >= sizeof(out->host) || port <= 0 || port > 65535)
		return false;
	snprintf(text, sizeof(text), six ? "[%.*s]:%d" : "%.*s:%d", SLICE_ARG(host),
	    (int)port);
	return address_parse(text, out, &ei) == 0;
}

/* Takes off the word before the next space. */
static struct slice
next_word(struct slice *text)
{
	const char *space = text->len ? memchr(text->ptr, ' ', text->len) : NULL;
	size_t len = space ? (size_t)(space - text->ptr) : text->len;
	struct slice word = slice_make(text->ptr, len);

	len += space != NULL;
	*text = slice_make(text->ptr + len, text->len - len);
	return word;
}

/* "HOST:PORT"; the last colon ends the host. */
static bool
read_place(struct slice place, const struct address *asked, struct address *out)
{
	const char *colon = place.len ? memrchr(place.ptr, ':', place.len) : NULL;
	struct slice host;
	int64_t port;

	if (!colon)
		return false;
	host = slice_make(place.ptr, (size_t)(colon - place.ptr));
	if (num_parse(slice_make(colon + 1, place.len - host.len - 1), &port) < 0)
		return false;
	if (slice_eq_str(host, "?")) {
		*out = (struct address){ 0 };
		return true;
	}
	if (host.len == 0)
		host = slice_str(asked->host);
	return redirect_set_address(out, host, port);
}

bool
redirect_parse(struct slice text, const struct address *asked, struct redirect *out)
{
	struct slice word = next_word(&text);
	int64_t slot;

	out->slot = -1;
	if (slice_eq_str(word, "TRYAGAIN")) {
		out->kind = REDIRECT_TRYAGAIN;
		return true;
	}
	if (slice_eq_str(word, "MOVED"))
		out->kind = REDIRECT_MOVED;
	else if (slice_eq_str(word, "ASK"))
		out->kind = REDIRECT_ASK;
	else
		return false;
	if (num_parse(next_word(&text), &slot) < 0 || slot < 0 || slot >= SLOTS)
		return false;
	out->slot = (int)slot;
	return read_place(next_word(&text), asked, &out->to);
}

bool
redirect_is_astray(struct slice text)
{
	static const char words[] = "access a non local key";

	return text.len > 0 && memmem(text.ptr, text.len, words, sizeof(words) - 1);
}
