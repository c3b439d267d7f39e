/* SPDX-License-Identifier: ISC */
/* Where Redis is: redis://[[user]:pass@]host[:port][/db], or
 * redis+unix://[[user]:pass@]/path[?db=N]. Pure. */
#ifndef REDIS_URL_H
#define REDIS_URL_H

#include "base/attr.h"
#include "base/err.h"
#include "net/address.h"

#define REDIS_SECRET_MAX 512

struct redis_url {
	struct address address;
	char user[REDIS_SECRET_MAX]; /* "" without one */
	char password[REDIS_SECRET_MAX];
	int db;
	char shown[ADDRESS_TEXT_MAX]; /* the URL without the password, for logs */
};

/*
 * User and password are percent-decoded. 0; ERR_UNSUPPORTED for rediss,
 * redis+sentinel and redis+cluster; ERR_INVALID otherwise. The text never holds the
 * password.
 */
int redis_url_parse(
    const char *text, struct redis_url *out, struct errinfo *ei) MUST_CHECK;

#endif
