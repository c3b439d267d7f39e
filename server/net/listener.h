/* SPDX-License-Identifier: ISC */
/*
 * A socket that accepts connections. It survives a shortage of descriptors: it pauses
 * instead of spinning, and logs that once, then again only after ten seconds in which
 * there was none.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/address.h"
#include "net/loop.h"

struct listener;

/*
 * Binds and listens. on_accept takes a connected, non-blocking, close-on-exec fd.
 * NULL: ei->code is ERR_INUSE when the address is taken (also by a listener that set
 * SO_REUSEPORT), ERR_IO otherwise; the text names the address. A Unix socket left
 * behind by a dead process is replaced, a live one is ERR_INUSE; the file has mode 0660
 * and is removed on close. A host name is bound at its first address, IPv4 before IPv6;
 * an empty host means all addresses of both. An inherited socket must be listening
 * already; the listener takes it, and closes it in listener_close().
 */
struct listener *listener_open(struct loop *loop, const struct address *address,
    void (*on_accept)(void *arg, int fd), void *arg, struct errinfo *ei) MUST_CHECK;

/* Accepts now whatever waits in the kernel's queue, up to as many as the queue can hold.
 * The last step before listener_close(), which would cut them off. */
void listener_accept_waiting(struct listener *listener);

/* Checks what can be known of an address without binding it: that fd:N is a listening
 * stream socket. 0, or ERR_IO with a text that names the address. */
int listener_check(const struct address *address, struct errinfo *ei) MUST_CHECK;

/* Stops accepting and closes the socket. NULL is fine. */
void listener_close(struct listener *listener);

/* The address actually bound ("127.0.0.1:40123" where port 0 was asked for). */
const char *listener_address(const struct listener *listener);

/* Whether only this host can reach the listener. */
bool listener_is_local(const struct listener *listener);

#endif
