/* SPDX-License-Identifier: ISC */
/*
 * Tells when one of a few files may have changed, whichever way that is done: written
 * in place, renamed over, deleted and made again, or reached through a symbolic link
 * somewhere on its path that now points elsewhere (as Kubernetes swaps "..data").
 *
 * Each name on the way to a file is watched in its directory, so what does not exist
 * yet is watched, too. Changes that come together are told once: WATCH_QUIET_US after
 * the last of them, WATCH_PATIENCE_US after the first at the latest. It is told too
 * often rather than too rarely: whoever listens looks whether the bytes are others.
 *
 * Not seen: changes that the kernel does not report, as another host's on NFS.
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
/* Before loop_free(). NULL is fine. */
void watch_free(struct watch *watch);

/*
 * Adds a file, there or not; the path is copied. 0; ERR_NOMEM; ERR_IO when the kernel
 * lends no inotify or the file's directory cannot be watched: then changes may go
 * unseen, and ei->text says why. The file stays on the list: what cannot be watched, now
 * or later, is tried again every WATCH_RETRY_US, and told when that has helped.
 */
int watch_add(struct watch *watch, const char *path, struct errinfo *ei) MUST_CHECK;

#endif
