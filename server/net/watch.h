/* SPDX-License-Identifier: ISC */
/*
 * Tells when one of a few files may have changed, in whichever way: written in place,
 * replaced by a rename, deleted and created again, or by a symbolic link somewhere on its
 * path that now points elsewhere (as Kubernetes swaps "..data").
 *
 * Each name on the path to a file is watched in its directory, so that a file that does
 * not exist yet is watched, too. Changes that come together are reported once:
 * WATCH_QUIET_US after the last of them, but at most WATCH_PATIENCE_US after the first.
 * It reports too often rather than too rarely: whoever listens compares the contents.
 *
 * Not seen: changes that the kernel does not report, such as another host's on NFS.
 *
 * Threads: belongs to its loop's thread.
 */
#ifndef NET_WATCH_H
#define NET_WATCH_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/loop.h"

#define WATCH_QUIET_US INT64_C(50000)
#define WATCH_PATIENCE_US INT64_C(500000)
#define WATCH_RETRY_US INT64_C(2000000)

struct watch;

/* `changed` never runs before the return. NULL: out of memory. */
struct watch *watch_new(
    struct loop *loop, void (*changed)(void *arg), void *arg) MUST_CHECK;
/* Call before loop_free(). NULL is fine. */
void watch_free(struct watch *watch);

/*
 * Adds a file, which need not exist; the path is copied. 0; ERR_NOMEM; ERR_IO when there
 * is no inotify instance to be had or the file's directory cannot be watched: then changes
 * may go unseen, and ei->text says why. The file stays on the list: what cannot be
 * watched, now or later, is tried again every WATCH_RETRY_US, and reported as changed once
 * that succeeds.
 */
int watch_add(struct watch *watch, const char *path, struct errinfo *ei) MUST_CHECK;

#endif
