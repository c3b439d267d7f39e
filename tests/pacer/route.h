/* SPDX-License-Identifier: ISC */
/* Where new connections go: to each address in turn. */
#ifndef PACER_ROUTE_H
#define PACER_ROUTE_H

#include <netinet/in.h>
#include <stddef.h>

#define ADDRESSES_MAX 16

struct route {
	struct sockaddr_in addresses[ADDRESSES_MAX];
	size_t n, next;
};

/* "HOST:PORT,HOST:PORT", from now on. */
void route_set(struct route *route, const char *text);
const struct sockaddr_in *route_next(struct route *route);

#endif
