/* SPDX-License-Identifier: ISC */
#include "redis/sentinel_reply.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

/* Makes an address of host and port, with the brackets that IPv6 needs. */
static int
make_address(struct slice host, struct slice port, struct address *out)
{
	char text[ADDRESS_TEXT_MAX];
	bool is_v6 = host.len > 0 && memchr(host.ptr, ':', host.len);

	if (host.len == 0 || host.len + port.len + sizeof("[]:") > sizeof(text))
		return ERR_INVALID;
	snprintf(text, sizeof(text), is_v6 ? "[%.*s]:%.*s" : "%.*s:%.*s",
	    SLICE_ARG(host), SLICE_ARG(port));
	return address_parse(text, out, NULL);
}

/* The next name and its value, in a flat list of them or in a list of lists. */
static bool
next_pair(
    const struct reply *reply, size_t *at, struct slice *name, struct slice *value)
{
	while (*at < reply->n && reply->values[*at].kind == REPLY_ARRAY)
		++*at;
	if (reply->kind != REPLY_ARRAY || *at + 1 >= reply->n)
		return false;
	*name = reply_text(reply, *at);
	*value = reply_text(reply, *at + 1);
	*at += 2;
	return true;
}

int64_t
sentinel_reply_epoch(const struct reply *reply)
{
	struct slice name, value;
	int64_t epoch = 0;
	size_t at = 0;

	while (next_pair(reply, &at, &name, &value))
		if (slice_eq_str(name, "config-epoch") && num_parse(value, &epoch) < 0)
			epoch = 0;
	return epoch;
}

int
sentinel_reply_master(const struct reply *reply, struct address *out)
{
	if (reply->kind != REPLY_ARRAY || reply->n < 2)
		return ERR_NOTFOUND;
	return make_address(reply_text(reply, 0), reply_text(reply, 1), out);
}

bool
sentinel_reply_next(
    const struct reply *reply, size_t *at, struct address *out, struct slice *id)
{
	struct slice ip = { NULL, 0 };
	struct slice port = { NULL, 0 };
	struct slice name, value;

	while (next_pair(reply, at, &name, &value)) {
		if (slice_eq_str(name, "ip"))
			ip = value;
		else if (slice_eq_str(name, "port"))
			port = value;
		else if (slice_eq_str(name, "runid") &&
		    make_address(ip, port, out) == 0) {
			*id = value;
			return true;
		}
	}
	return false;
}

void
sentinel_reply_names(const struct reply *reply, char *out, size_t size)
{
	struct slice name, value;
	size_t len = 0;
	size_t at = 0;

	snprintf(out, size, "none");
	while (next_pair(reply, &at, &name, &value)) {
		if (!slice_eq_str(name, "name") ||
		    len + value.len + sizeof(", \"\"") > size)
			continue;
		len += (size_t)snprintf(out + len, size - len, "%s\"%.*s\"",
		    len > 0 ? ", " : "", SLICE_ARG(value));
	}
}

int
sentinel_reply_promotion(struct slice text, const char *master, struct address *out)
{
	struct slice words[8];
	size_t n = 0;

	while (n < ARRAY_LEN(words) && text.len > 0) {
		const char *end = memchr(text.ptr, ' ', text.len);
		size_t len = end ? (size_t)(end - text.ptr) : text.len;

		words[n++] = slice_make(text.ptr, len);
		len += end ? 1 : 0;
		text = slice_make(text.ptr + len, text.len - len);
	}
	if (n < ARRAY_LEN(words) || text.len > 0)
		return ERR_INVALID;
	if (!slice_eq_str(words[5], master))
		return ERR_NOTFOUND;
	return make_address(words[2], words[3], out);
}
