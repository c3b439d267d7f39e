/* SPDX-License-Identifier: ISC */
#include "endpoint.h"

#include <stdlib.h>
#include <string.h>

static const char unix_prefix[] = "unix:";

static int
bad(struct failure *f, const char *text, const char *why)
{
	return ration_failure_set(f, RATION_ERR_ARGUMENT,
	    "address \"%.80s\": %s; write host:port, [IPv6]:port or unix:/path", text,
	    why);
}

/* Copies `len` bytes and a NUL; false when they do not fit. */
static bool
copy(char *out, size_t size, const char *from, size_t len)
{
	if (len >= size)
		return false;
	memcpy(out, from, len);
	out[len] = '\0';
	return true;
}

static bool
is_port(const char *text)
{
	size_t len = strlen(text);
	int port = len <= 5 && strspn(text, "0123456789") == len ? atoi(text) : 0;

	return port >= 1 && port <= 65535;
}

static int
parse_unix(const char *text, struct endpoint *out, struct failure *f)
{
	const char *path = text + strlen(unix_prefix);

	if (path[0] != '/')
		return bad(f, text, "the path of a socket starts with /");
	if (!copy(out->path, sizeof(out->path), path, strlen(path)))
		return bad(f, text, "the path of a socket has at most 107 bytes");
	return 0;
}

static int
parse_tcp(const char *text, struct endpoint *out, struct failure *f)
{
	const char *colon = strrchr(text, ':');
	const char *host = text;
	size_t len;

	if (!colon || !is_port(colon + 1))
		return bad(f, text, "the port is missing or not 1 to 65535");
	len = (size_t)(colon - text);
	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	} else if (memchr(host, ':', len)) {
		return bad(f, text, "an IPv6 address needs brackets");
	}
	if (len == 0)
		return bad(f, text, "the host is missing");
	if (!copy(out->host, sizeof(out->host), host, len))
		return bad(f, text, "the host has at most 255 bytes");
	copy(out->port, sizeof(out->port), colon + 1, strlen(colon + 1));
	return 0;
}

int
ration_endpoint_parse(const char *text, struct endpoint *out, struct failure *f)
{
	memset(out, 0, sizeof(*out));
	if (!copy(out->text, sizeof(out->text), text, strlen(text)))
		return bad(f, text, "it is too long");
	if (strncmp(text, unix_prefix, strlen(unix_prefix)) == 0)
		return parse_unix(text, out, f);
	return parse_tcp(text, out, f);
}
