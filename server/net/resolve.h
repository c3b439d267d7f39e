/* SPDX-License-Identifier: ISC */
/*
 * Looks up host names without making the loop wait: getaddrinfo(3) blocks for as long as
 * a name server likes, so each look-up has a thread of its own, which ends by itself.
 *
 * Threads: all functions in the loop's thread. A look-up that was cancelled, or that
 * outlives its loop, touches nothing of the caller's or the loop's.
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <netdb.h>

#include "base/attr.h"
#include "net/loop.h"

struct resolve;

/*
 * Begins a look-up; the loop calls done(arg, rc, list) later, never before the return,
 * exactly once unless it is cancelled. rc and list are getaddrinfo's, for stream sockets;
 * `done` takes the list (freeaddrinfo). NULL: no thread, memory or descriptor is left.
 */
struct resolve *resolve_start(struct loop *loop, const char *host, const char *port,
    void (*done)(void *arg, int rc, struct addrinfo *list), void *arg) MUST_CHECK;

/* `done` will not run. Not to be called after it ran. NULL is fine. */
void resolve_cancel(struct resolve *r);

#endif
