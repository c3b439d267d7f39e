/* SPDX-License-Identifier: ISC */
/* How a node of a Cluster says that a call belongs elsewhere: "MOVED 3999 10.0.0.7:6381",
 * "ASK 3999 ...", "TRYAGAIN ...". All of them refuse a call before it runs, so that it
 * may safely be sent again. Pure. */
#ifndef REDIS_REDIRECT_H
#define REDIS_REDIRECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"
#include "net/address.h"

enum redirect_kind {
	REDIRECT_MOVED,   /* the slot is at `to`, from now on */
	REDIRECT_ASK,     /* this one call is to be sent to `to`, after ASKING */
	REDIRECT_TRYAGAIN /* some of its keys have moved and some have not */
};

struct redirect {
	enum redirect_kind kind;
	int slot; /* -1 with REDIRECT_TRYAGAIN */
	struct address
	    to; /* not with REDIRECT_TRYAGAIN; its text is "" where unknown */
};

/* Reads the text of an error that `asked` has answered with. Where the host is left out,
 * it is that of `asked`; "?" stands for a node without a name, whose address only CLUSTER
 * SLOTS tells. False: it is none of these. */
bool redirect_parse(
    struct slice text, const struct address *asked, struct redirect *out) MUST_CHECK;

/* Whether it is the error of a script that met a key which had moved away. */
bool redirect_is_astray(struct slice text);

/* Makes the address of a host (name, IPv4, or IPv6 without brackets) and a port. False
 * when that is no valid address. */
bool redirect_set_address(
    struct address *out, struct slice host, int64_t port) MUST_CHECK;

#endif
