/* SPDX-License-Identifier: ISC */
/* Where to listen or connect, as text: "127.0.0.1:7480", "[::1]:7480", "host:port",
 * ":7480" (all addresses), "unix:/path", "fd:3" (an inherited listening socket; for
 * listening only). */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/err.h"

#define ADDRESS_TEXT_MAX 300

enum address_kind { ADDRESS_TCP, ADDRESS_UNIX, ADDRESS_FD };

struct address {
	enum address_kind kind;
	char text[ADDRESS_TEXT_MAX]; /* as given */
	char host[256];              /* TCP; "" for all */
	char port[16];               /* TCP */
	char path[108];              /* UNIX */
	int fd;                      /* FD */
};

/* 0, or ERR_INVALID: ei->text says what would be right. Looks no name up. */
int address_parse(const char *text, struct address *out, struct errinfo *ei) MUST_CHECK;

/* Whether only this host can reach it: a Unix socket, 127.0.0.0/8, ::1, "localhost";
 * for an inherited socket, what getsockname says. */
bool address_is_local(const struct address *a);

/* The same for a sockaddr; IPv4 inside IPv6 counts as IPv4. */
bool address_sockaddr_is_local(const struct sockaddr *sa);

/* Writes "127.0.0.1:7480", "[::1]:7480", "unix:/path", or "unix:" for a nameless one. */
void address_of_sockaddr(
    const struct sockaddr *sa, socklen_t len, char out[ADDRESS_TEXT_MAX]);

/* The same for a socket's own (peer false) or far (peer true) end. */
void address_of_fd(int fd, bool peer, char out[ADDRESS_TEXT_MAX]);

#endif
