/* SPDX-License-Identifier: ISC */
/* Signals in the domain's words. SIGPIPE is ignored. */
#ifndef OPS_SIGNALS_H
#define OPS_SIGNALS_H

#include "base/attr.h"
#include "base/err.h"
#include "net/loop.h"

struct signals_handler {
	void (*on_stop)(void *arg, const char *name); /* SIGTERM, SIGINT: each time */
	void (*on_reload)(void *arg);                 /* SIGHUP */
	void *arg;
};

/* Also unblocks SIGHUP (process_hold_reload()). Handlers run in the loop's thread. Borrows
 * `handler`, which must outlive the loop. 0 or ERR_NOMEM. */
int signals_start(struct loop *loop, const struct signals_handler *handler) MUST_CHECK;

#endif
