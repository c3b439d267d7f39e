/* SPDX-License-Identifier: ISC */
#include "route.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static void
read_address(const char *text, size_t len, struct sockaddr_in *out)
{
	char host[64];
	char *colon;

	if (len >= sizeof(host))
		die("%s is not HOST:PORT", text);
	memcpy(host, text, len);
	host[len] = '\0';
	colon = strrchr(host, ':');
	if (!colon)
		die("%s is not HOST:PORT", host);
	*colon = '\0';
	out->sin_family = AF_INET;
	out->sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &out->sin_addr) != 1)
		die("%s is not an address", host);
}

void
route_set(struct route *route, const char *text)
{
	route->n = 0;
	while (*text) {
		size_t len = strcspn(text, ",");

		if (route->n == ADDRESSES_MAX)
			die("more than %d addresses", ADDRESSES_MAX);
		read_address(text, len, &route->addresses[route->n++]);
		text += len + strspn(text + len, ",");
	}
	if (route->n == 0)
		die("no address");
}

const struct sockaddr_in *
route_next(struct route *route)
{
	return &route->addresses[route->next++ % route->n];
}
