/* SPDX-License-Identifier: ISC */
/*
 * Looking a host's name up without making the loop wait: getaddrinfo(3) blocks for as
 * long as a name server likes, so it runs in a thread of its own that ends by itself.
 *
 * Threads: all functions in the loop's thread. A look-up that was cancelled, or outlives
 * its loop, touches nothing of theirs.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <netdb.h>

#include "base/attr.h"
#include "net/loop.h"

struct resolve;

/*
 * Begins to look up; done(arg, rc, list) follows from the loop, never before the
 * return, exactly once unless it is cancelled. rc and list are getaddrinfo's, for
 * stream sockets; the callee takes the list (freeaddrinfo). NULL: no thread, memory or
 * descriptor is left.
 */
struct resolve *resolve_start(struct loop *loop, const char *host, const char *port,
    void (*done)(void *arg, int rc, struct addrinfo *list), void *arg) MUST_CHECK;

/* `done` will not run any more. Not after it ran; NULL is fine. */
void resolve_cancel(struct resolve *r);

#endif
