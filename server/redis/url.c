/* SPDX-License-Identifier: ISC */
#include "redis/url.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/percent.h"
#include "base/slice.h"

#define REDIS_DB_MAX 16383

static const char *const ports[] = {
	[REDIS_ONE] = "6379",
	[REDIS_SENTINEL] = "26379",
	[REDIS_CLUSTER] = "6379",
};

static int
bad(struct errinfo *ei, const char *what)
{
	return err_set(ei, ERR_INVALID,
	    "%s; a store is memory, redis://[user:password@]host[:port][/db], "
	    "redis+unix://[user:password@]/path[?db=N], "
	    "redis+sentinel://host:port,.../NAME or redis+cluster://host:port,... "
	    "(rediss for TLS)",
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
	/* Else a host with a user of its own would be taken for a part of a password. */
	if (out->kind != REDIS_ONE &&
	    (memchr(user.ptr, ',', user.len) || memchr(user.ptr, '@', user.len)))
		return bad(ei,
		    "user:password@ stands once, before the first host, with %2C for a "
		    "comma and %40 for an @ in it");
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

/* Adds one "host" or "host:port" to the hosts. */
static int
add_host(struct slice host, struct redis_url *out, struct errinfo *ei)
{
	const char *port = ports[out->kind];
	char text[ADDRESS_TEXT_MAX];
	struct address *to;
	const char *tail;

	if (host.len == 0 || host.ptr[0] == ':')
		return bad(ei, "the host is missing");
	if (host.len + sizeof(":65535") > sizeof(text))
		return bad(ei, "the host is too long");
	if (out->n_hosts == REDIS_HOSTS_MAX)
		return bad(ei, "there are more than 16 hosts");
	/* There is a port if the last colon comes after any bracket. */
	tail = memrchr(host.ptr, ']', host.len);
	tail = tail ? tail : host.ptr;
	if (memchr(tail, ':', host.len - (size_t)(tail - host.ptr)))
		snprintf(text, sizeof(text), "%.*s", SLICE_ARG(host));
	else
		snprintf(text, sizeof(text), "%.*s:%s", SLICE_ARG(host), port);
	/* address_parse()'s own text quotes its input, which may be a password whose host
	 * was forgotten. */
	to = &out->hosts[out->n_hosts];
	if (address_parse(text, to, NULL) < 0 || to->kind != ADDRESS_TCP)
		return bad(ei, "what follows :// is not a host and port");
	out->n_hosts++;
	return 0;
}

/* Takes off everything before the first `stop`, or all of it; true when there was one. */
static bool
cut(struct slice *rest, char stop, struct slice *out)
{
	const char *at = rest->len > 0 ? memchr(rest->ptr, stop, rest->len) : NULL;

	*out = *rest;
	if (!at) {
		rest->ptr += rest->len;
		rest->len = 0;
		return false;
	}
	out->len = (size_t)(at - rest->ptr);
	rest->len -= out->len + 1;
	rest->ptr = at + 1;
	return true;
}

static int
add_hosts(struct slice list, struct redis_url *out, struct errinfo *ei)
{
	struct slice host;
	bool more;

	do {
		more = cut(&list, ',', &host);
		if (add_host(host, out, ei) < 0)
			return ERR_INVALID;
	} while (more);
	return 0;
}

static const char *
scheme_of(const struct redis_url *url)
{
	return url->tls ? "rediss" : "redis";
}

static int
parse_one(struct slice rest, struct redis_url *out, struct errinfo *ei)
{
	struct slice host;

	if (cut(&rest, '/', &host) && rest.len > 0 && parse_db(rest, out, ei) < 0)
		return ERR_INVALID;
	if (add_host(host, out, ei) < 0)
		return ERR_INVALID;
	snprintf(out->shown, sizeof(out->shown), "%s://%s/%d", scheme_of(out),
	    out->hosts[0].text, out->db);
	return 0;
}

static int
parse_unix(struct slice rest, struct redis_url *out, struct errinfo *ei)
{
	char text[ADDRESS_TEXT_MAX];
	struct slice path;

	if (rest.len == 0 || rest.ptr[0] != '/')
		return bad(ei, "the path of the socket must begin with /");
	if (cut(&rest, '?', &path)) {
		if (rest.len < 3 || memcmp(rest.ptr, "db=", 3) != 0)
			return bad(ei, "only ?db=N may follow the path");
		if (parse_db(slice_make(rest.ptr + 3, rest.len - 3), out, ei) < 0)
			return ERR_INVALID;
	}
	if (path.len + sizeof("unix:") > sizeof(text))
		return bad(ei, "the path is too long");
	snprintf(text, sizeof(text), "unix:%.*s", SLICE_ARG(path));
	if (address_parse(text, &out->hosts[0], NULL) < 0)
		return bad(ei, "the path is not one of a Unix socket");
	out->n_hosts = 1;
	snprintf(out->shown, sizeof(out->shown), "redis+unix://%.*s?db=%d",
	    SLICE_ARG(path), out->db);
	return 0;
}

static int
set_db(struct slice value, struct redis_url *out, struct errinfo *ei)
{
	return parse_db(value, out, ei);
}

static int
set_sentinel_user(struct slice value, struct redis_url *out, struct errinfo *ei)
{
	if (decode(value, out->sentinel_user, sizeof(out->sentinel_user)) < 0)
		return bad(ei, "sentinel_user is not valid");
	return 0;
}

static int
set_sentinel_password(struct slice value, struct redis_url *out, struct errinfo *ei)
{
	if (decode(value, out->sentinel_password, sizeof(out->sentinel_password)) < 0)
		return bad(ei, "sentinel_password is not valid");
	return 0;
}

static const struct {
	const char *key;
	int (*set)(struct slice value, struct redis_url *out, struct errinfo *ei);
} sentinel_queries[] = {
	{ "db", set_db },
	{ "sentinel_user", set_sentinel_user },
	{ "sentinel_password", set_sentinel_password },
};

static int
parse_sentinel_query(struct slice query, struct redis_url *out, struct errinfo *ei)
{
	struct slice one, key;
	bool more;

	do {
		size_t i = 0;

		more = cut(&query, '&', &one);
		cut(&one, '=', &key);
		while (i < ARRAY_LEN(sentinel_queries) &&
		    !slice_eq_str(key, sentinel_queries[i].key))
			i++;
		if (i == ARRAY_LEN(sentinel_queries))
			return bad(ei,
			    "only db=, sentinel_user= and sentinel_password= may "
			    "follow the ?");
		if (sentinel_queries[i].set(one, out, ei) < 0)
			return ERR_INVALID;
	} while (more);
	if (out->sentinel_user[0] && !out->sentinel_password[0])
		return bad(ei, "sentinel_user needs a sentinel_password");
	return 0;
}

/* Appends to `shown`; what does not fit is left out. */
static void
show(struct redis_url *out, const char *text)
{
	size_t len = strlen(out->shown);

	snprintf(out->shown + len, sizeof(out->shown) - len, "%s", text);
}

static void
show_hosts(struct redis_url *out, const char *kind)
{
	show(out, scheme_of(out));
	show(out, kind);
	for (size_t i = 0; i < out->n_hosts; i++) {
		show(out, i > 0 ? "," : "");
		show(out, out->hosts[i].text);
	}
}

static int
parse_sentinel(struct slice rest, struct redis_url *out, struct errinfo *ei)
{
	struct slice list, name;
	char db[sizeof("?db=") + 8];

	if (!cut(&rest, '/', &list))
		return bad(ei, "the name of the master must follow: /NAME");
	if (add_hosts(list, out, ei) < 0)
		return ERR_INVALID;
	if (cut(&rest, '?', &name) && parse_sentinel_query(rest, out, ei) < 0)
		return ERR_INVALID;
	if (decode(name, out->name, sizeof(out->name)) < 0 || !out->name[0])
		return bad(ei, "the name of the master is missing or not valid");
	show_hosts(out, "+sentinel://");
	show(out, "/");
	show(out, out->name);
	snprintf(db, sizeof(db), "?db=%d", out->db);
	show(out, db);
	return 0;
}

static int
parse_cluster(struct slice rest, struct redis_url *out, struct errinfo *ei)
{
	struct slice list;

	if (cut(&rest, '/', &list) && rest.len > 0 && !slice_eq_str(rest, "0"))
		return bad(ei, "a cluster has no databases");
	if (add_hosts(list, out, ei) < 0)
		return ERR_INVALID;
	show_hosts(out, "+cluster://");
	return 0;
}

static const struct {
	const char *scheme;
	int (*parse)(struct slice rest, struct redis_url *out, struct errinfo *ei);
	enum redis_kind kind;
	bool tls;
} schemes[] = {
	{ "redis://", parse_one, REDIS_ONE, false },
	{ "rediss://", parse_one, REDIS_ONE, true },
	{ "redis+unix://", parse_unix, REDIS_ONE, false },
	{ "redis+sentinel://", parse_sentinel, REDIS_SENTINEL, false },
	{ "rediss+sentinel://", parse_sentinel, REDIS_SENTINEL, true },
	{ "redis+cluster://", parse_cluster, REDIS_CLUSTER, false },
	{ "rediss+cluster://", parse_cluster, REDIS_CLUSTER, true },
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
		out->kind = schemes[i].kind;
		out->tls = schemes[i].tls;
		if (take_credentials(&rest, out, ei) < 0)
			return ERR_INVALID;
		return schemes[i].parse(rest, out, ei);
	}
	return bad(ei, "unknown kind of store");
}
