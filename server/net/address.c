/* SPDX-License-Identifier: ISC */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/num.h"
#include "base/slice.h"

static int
parse_unix(struct address *a, const char *path, struct errinfo *ei)
{
	size_t len = strlen(path);

	if (path[0] != '/')
		return err_set(ei, ERR_INVALID,
		    "'%s': a Unix socket is unix:/absolute/path", a->text);
	if (len >= sizeof(a->path))
		return err_set(ei, ERR_INVALID,
		    "'%.80s...': the path of a Unix socket has at most %zu bytes",
		    a->text, sizeof(a->path) - 1);
	a->kind = ADDRESS_UNIX;
	memcpy(a->path, path, len + 1);
	return 0;
}

static int
parse_fd(struct address *a, const char *number, struct errinfo *ei)
{
	int64_t fd;

	if (num_parse(slice_str(number), &fd) < 0 || fd < 0 || fd > 1000000)
		return err_set(ei, ERR_INVALID,
		    "'%s': an inherited socket is fd:N, N a descriptor's number",
		    a->text);
	a->kind = ADDRESS_FD;
	a->fd = (int)fd;
	return 0;
}

static bool
host_valid(const char *host, size_t len, bool bracketed)
{
	struct in6_addr ip;
	char text[sizeof(((struct address *)0)->host)];
	char *zone;

	memcpy(text, host, len);
	text[len] = '\0';
	if (!bracketed)
		return strspn(text,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "0123456789.-_") == len;
	zone = strchr(text, '%');
	if (zone)
		*zone = '\0';
	return inet_pton(AF_INET6, text, &ip) == 1;
}

static int
parse_tcp(struct address *a, struct errinfo *ei)
{
	const char *text = a->text;
	const char *colon = strrchr(text, ':');
	bool bracketed = text[0] == '[';
	const char *host = bracketed ? text + 1 : text;
	size_t host_len;
	int64_t port;

	if (!colon || (bracketed && (colon == text || colon[-1] != ']')))
		goto bad;
	host_len = (size_t)(colon - host) - (bracketed ? 1 : 0);
	if (host_len >= sizeof(a->host) || !host_valid(host, host_len, bracketed))
		goto bad;
	if (num_parse(slice_str(colon + 1), &port) < 0 || port < 0 || port > 65535)
		return err_set(
		    ei, ERR_INVALID, "'%s': a port is a number from 0 to 65535", text);
	a->kind = ADDRESS_TCP;
	memcpy(a->host, host, host_len);
	snprintf(a->port, sizeof(a->port), "%d", (int)port);
	return 0;
bad:
	return err_set(ei, ERR_INVALID,
	    "'%s' is not an address: write HOST:PORT, [IPv6]:PORT, :PORT, unix:/path "
	    "or fd:N",
	    text);
}

int
address_parse(const char *text, struct address *out, struct errinfo *ei)
{
	memset(out, 0, sizeof(*out));
	out->fd = -1;
	if (strlen(text) >= sizeof(out->text))
		return err_set(ei, ERR_INVALID,
		    "'%.80s...': an address has at most %zu bytes", text,
		    sizeof(out->text) - 1);
	strcpy(out->text, text);
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(out, text + 5, ei);
	if (strncmp(text, "fd:", 3) == 0)
		return parse_fd(out, text + 3, ei);
	return parse_tcp(out, ei);
}

/* The IPv4 address inside ::ffff:0:0/96, or NULL. */
static const unsigned char *
mapped_ipv4(const struct sockaddr_in6 *in6)
{
	return IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? in6->sin6_addr.s6_addr + 12
						     : NULL;
}

bool
address_sockaddr_is_local(const struct sockaddr *sa)
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	switch (sa->sa_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		if (mapped_ipv4(in6))
			return mapped_ipv4(in6)[0] == 127;
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	default:
		return false;
	}
}

static bool
fd_is_local(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	return getsockname(fd, (struct sockaddr *)&ss, &len) == 0 &&
	    address_sockaddr_is_local((struct sockaddr *)&ss);
}

bool
address_is_local(const struct address *a)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (a->kind == ADDRESS_UNIX)
		return true;
	if (a->kind == ADDRESS_FD)
		return fd_is_local(a->fd);
	if (inet_pton(AF_INET, a->host, &in.sin_addr) == 1)
		return address_sockaddr_is_local((struct sockaddr *)&in);
	if (inet_pton(AF_INET6, a->host, &in6.sin6_addr) == 1)
		return address_sockaddr_is_local((struct sockaddr *)&in6);
	return slice_case_eq_str(slice_str(a->host), "localhost");
}

static void
format_unix(const struct sockaddr_un *un, socklen_t len, char out[ADDRESS_TEXT_MAX])
{
	size_t head = offsetof(struct sockaddr_un, sun_path);
	size_t n = len > head ? len - head : 0;

	/* An unnamed socket has no bytes, an abstract one begins with NUL: both show no name. */
	snprintf(out, ADDRESS_TEXT_MAX, "unix:%.*s", (int)n, n ? un->sun_path : "");
}

void
address_of_sockaddr(
    const struct sockaddr *sa, socklen_t len, char out[ADDRESS_TEXT_MAX])
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;
	char ip[INET6_ADDRSTRLEN];

	if (sa->sa_family == AF_UNIX) {
		format_unix((const void *)sa, len, out);
	} else if (sa->sa_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		snprintf(out, ADDRESS_TEXT_MAX, "%s:%d", ip, ntohs(in->sin_port));
	} else if (sa->sa_family == AF_INET6 && mapped_ipv4(in6)) {
		inet_ntop(AF_INET, mapped_ipv4(in6), ip, sizeof(ip));
		snprintf(out, ADDRESS_TEXT_MAX, "%s:%d", ip, ntohs(in6->sin6_port));
	} else if (sa->sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
		snprintf(out, ADDRESS_TEXT_MAX, "[%s]:%d", ip, ntohs(in6->sin6_port));
	} else {
		snprintf(out, ADDRESS_TEXT_MAX, "unknown");
	}
}

void
address_of_fd(int fd, bool peer, char out[ADDRESS_TEXT_MAX])
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	int rc = peer ? getpeername(fd, (struct sockaddr *)&ss, &len)
		      : getsockname(fd, (struct sockaddr *)&ss, &len);

	if (rc < 0)
		ss.ss_family = AF_UNSPEC;
	address_of_sockaddr((struct sockaddr *)&ss, len, out);
}
