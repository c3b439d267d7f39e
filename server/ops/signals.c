/* SPDX-License-Identifier: ISC */
#include "ops/signals.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/process.h"

static void
handle_signal(void *arg, int signo)
{
	const struct signals_handler *handler = arg;

	if (signo == SIGHUP)
		handler->on_reload(handler->arg);
	else
		handler->on_stop(handler->arg, signo == SIGINT ? "SIGINT" : "SIGTERM");
}

int
signals_start(struct loop *loop, const struct signals_handler *handler)
{
	static const int handled[] = { SIGTERM, SIGINT, SIGHUP };

	process_ignore_sigpipe();
	for (size_t i = 0; i < ARRAY_LEN(handled); i++) {
		/* The handler is only read; loop_on_signal() just lacks a const. */
		int rc = loop_on_signal(
		    loop, handled[i], handle_signal, (void *)(uintptr_t)handler);

		if (rc < 0)
			return rc;
	}
	process_release_reload();
	return 0;
}
