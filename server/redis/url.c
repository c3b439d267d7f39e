/* SPDX-License-Identifier: ISC */
#include "redis/url.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/percent.h"
#include "base/slice.h"

#define REDIS_PORT "6379"
#define REDIS_DB_MAX 16383

static int
bad(struct errinfo *ei, const char *what)
{
	return err_set(ei, ERR_INVALID,
	    "%s; a store is memory, "
	    "redis://[user:password@]host[:port][/db] or "
	    "redis+unix://[user:password@]/path[?db=N]",
	    what);
}

/* Percent-decodes into out[size]; NUL cannot be written that way. */
static int
decode(struct slice in, char *out, size_t size)
{
	ptrdiff_t len = percent_decode(in, out, size - 1);

	if (len < 0)
		return (int)len;
	if (len > 0 && memchr(out, '\0', (size_t)len))
		return ERR_SYNTAX;
	out[len] = '\0';
	return 0;
}

/* Takes "user:password@" off the front of *rest. */
static int
take_credentials(struct slice *rest, struct redis_url *out, struct errinfo *ei)
{
	struct slice user, password;
	const char *stop = memchr(rest->ptr, '/', rest->len);
	size_t span = stop ? (size_t)(stop - rest->ptr) : rest->len;
	const char *at = memrchr(rest->ptr, '@', span);
	const char *colon;

	if (!at)
		return 0;
	user = slice_make(rest->ptr, (size_t)(at - rest->ptr));
	colon = memchr(user.ptr, ':', user.len);
	if (!colon)
		return bad(ei,
		    "the part before @ needs a colon: user:password@ or "
		    ":password@");
	password = slice_make(colon + 1, user.len - (size_t)(colon + 1 - user.ptr));
	user.len = (size_t)(colon - user.ptr);
	if (decode(user, out->user, sizeof(out->user)) < 0 ||
	    decode(password, out->password, sizeof(out->password)) < 0)
		return bad(ei,
		    "user or password is not valid percent-encoding, or is "
		    "over 511 bytes");
	if (password.len == 0)
		return bad(ei, "the password is empty");
	rest->len -= (size_t)(at + 1 - rest->ptr);
	rest->ptr = at + 1;
	return 0;
}

static int
parse_db(struct slice text, struct redis_url *out, struct errinfo *ei)
{
	int64_t db;

	if (num_parse(text, &db) < 0 || db < 0 || db > REDIS_DB_MAX)
		return bad(ei, "the database is not a number from 0 to 16383");
	out->db = (int)db;
	return 0;
}

static int
parse_tcp(struct slice rest, struct redis_url *out, struct errinfo *ei)
{
	const char *slash = memchr(rest.ptr, '/', rest.len);
	char text[ADDRESS_TEXT_MAX];
	struct slice host = rest;
	const char *tail;

	if (slash) {
		host.len = (size_t)(slash - rest.ptr);
		rest.len -= host.len + 1;
		if (rest.len > 0 &&
		    parse_db(slice_make(slash + 1, rest.len), out, ei) < 0)
			return ERR_INVALID;
	}
	if (host.len == 0 || host.ptr[0] == ':')
		return bad(ei, "the host is missing");
	if (host.len + sizeof(":" REDIS_PORT) > sizeof(text))
		return bad(ei, "the host is too long");
	/* A port is there when the last colon lies behind any bracket. */
	tail = memrchr(host.ptr, ']', host.len);
	tail = tail ? tail : host.ptr;
	snprintf(text, sizeof(text), "%.*s%s", SLICE_ARG(host),
	    memchr(tail, ':', host.len - (size_t)(tail - host.ptr)) ? ""
								    : ":" REDIS_PORT);
	/* What address_parse() would say quotes its input, which may be a password whose
	 * host was forgotten. */
	if (address_parse(text, &out->address, NULL) < 0 ||
	    out->address.kind != ADDRESS_TCP)
		return bad(ei, "what follows redis:// is not a host and port");
	snprintf(out->shown, sizeof(out->shown), "redis://%.260s/%d", text, out->db);
	return 0;
}

static int
parse_unix(struct slice rest, struct redis_url *out, struct errinfo *ei)
{
	char text[ADDRESS_TEXT_MAX];
	const char *query = memchr(rest.ptr, '?', rest.len);

	if (rest.len == 0 || rest.ptr[0] != '/')
		return bad(ei, "the path of the socket must begin with /");
	if (query) {
		struct slice db =
		    slice_make(query + 1, rest.len - (size_t)(query + 1 - rest.ptr));

		if (db.len < 3 || memcmp(db.ptr, "db=", 3) != 0)
			return bad(ei, "only ?db=N may follow the path");
		if (parse_db(slice_make(db.ptr + 3, db.len - 3), out, ei) < 0)
			return ERR_INVALID;
		rest.len = (size_t)(query - rest.ptr);
	}
	if (rest.len + sizeof("unix:") > sizeof(text))
		return bad(ei, "the path is too long");
	snprintf(text, sizeof(text), "unix:%.*s", SLICE_ARG(rest));
	if (address_parse(text, &out->address, NULL) < 0)
		return bad(ei, "the path is not one of a Unix socket");
	snprintf(out->shown, sizeof(out->shown), "redis+unix://%.*s?db=%d",
	    SLICE_ARG(rest), out->db);
	return 0;
}

static int
refuse_later(struct slice rest, struct redis_url *out, struct errinfo *ei)
{
	(void)rest;
	(void)out;
	return err_set(ei, ERR_UNSUPPORTED,
	    "rediss://, redis+sentinel:// and "
	    "redis+cluster:// are not supported yet; redis:// and redis+unix:// are");
}

static const struct {
	const char *scheme;
	int (*parse)(struct slice rest, struct redis_url *out, struct errinfo *ei);
	bool credentials;
} schemes[] = {
	{ "redis://", parse_tcp, true },
	{ "redis+unix://", parse_unix, true },
	{ "rediss://", refuse_later, false },
	{ "redis+sentinel://", refuse_later, false },
	{ "redis+cluster://", refuse_later, false },
};

int
redis_url_parse(const char *text, struct redis_url *out, struct errinfo *ei)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t len = strlen(schemes[i].scheme);
		struct slice rest;

		if (strncasecmp(text, schemes[i].scheme, len) != 0)
			continue;
		rest = slice_str(text + len);
		if (schemes[i].credentials && take_credentials(&rest, out, ei) < 0)
			return ERR_INVALID;
		return schemes[i].parse(rest, out, ei);
	}
	return bad(ei, "unknown kind of store");
}
