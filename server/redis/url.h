/* SPDX-License-Identifier: ISC */
/*
 * Where Redis is:
 *
 *	redis://[[user]:pass@]host[:port][/db]
 *	redis+unix://[[user]:pass@]/path[?db=N]
 *	redis+sentinel://[[user]:pass@]host[:port],.../NAME[?db=N][&sentinel_user=U]
 *	    [&sentinel_password=P]
 *	redis+cluster://[[user]:pass@]host[:port],...
 *
 * "rediss" instead of "redis": over TLS. User and password are the servers'; those of
 * the Sentinels follow the "?". All are percent-encoded. Pure.
 */
#ifndef REDIS_URL_H
#define REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/address.h"

#define REDIS_SECRET_MAX 512
#define REDIS_HOSTS_MAX 16
#define REDIS_NAME_MAX 128
#define REDIS_SHOWN_MAX 1024

enum redis_kind {
	REDIS_ONE,      /* one server, at hosts[0] */
	REDIS_SENTINEL, /* the master that the Sentinels at hosts call `name` */
	REDIS_CLUSTER   /* the Cluster that the hosts are nodes of */
};

struct redis_url {
	enum redis_kind kind;
	bool tls; /* for all of the hosts */
	struct address hosts[REDIS_HOSTS_MAX];
	size_t n_hosts;              /* at least 1 */
	char user[REDIS_SECRET_MAX]; /* "" without one */
	char password[REDIS_SECRET_MAX];
	char sentinel_user[REDIS_SECRET_MAX]; /* REDIS_SENTINEL: for the Sentinels */
	char sentinel_password[REDIS_SECRET_MAX];
	char name[REDIS_NAME_MAX];   /* REDIS_SENTINEL */
	int db;                      /* 0 in a Cluster */
	char shown[REDIS_SHOWN_MAX]; /* the URL without passwords, for logs */
};

/* 0, or ERR_INVALID; the text of *ei never holds a password. */
int redis_url_parse(
    const char *text, struct redis_url *out, struct errinfo *ei) MUST_CHECK;

#endif
