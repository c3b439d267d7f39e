/* SPDX-License-Identifier: ISC */
/* Where a daemon listens, parsed from text. Pure; looks no name up. */
#ifndef CLIENT_ENDPOINT_H
#define CLIENT_ENDPOINT_H

#include "failure.h"

struct endpoint {
	char text[300]; /* as given, for messages */
	char host[256]; /* "" for a Unix socket */
	char port[8];
	char path[108]; /* Unix socket; "" for TCP */
};

/* "host:port", "[IPv6]:port", "unix:/path". 0, or RATION_ERR_ARGUMENT. */
int ration_endpoint_parse(const char *text, struct endpoint *out, struct failure *f);

#endif
