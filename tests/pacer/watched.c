/* SPDX-License-Identifier: ISC */
#include "watched.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

#define WATCHED_MAX 16
#define WAIT_US 250 /* of a process, since the last look; less is as always */

/* How long it has waited for a processor in all, as last seen. */
struct watched {
	int fd;
	int64_t wait_us;
};

static struct watched watched[WATCHED_MAX];
static size_t n_watched;

/* Without the file, which not every kernel has, nothing is told. */
void
watched_add(const char *pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/schedstat", pid);
	watched[n_watched].fd = open(path, O_RDONLY | O_CLOEXEC);
	if (watched[n_watched].fd >= 0 && n_watched < WATCHED_MAX - 1)
		n_watched++;
}

/* How long the processes of the daemons stood ready and got no processor: the machine had
 * other things to do, and that is no fault of theirs. */
void
watched_report(int64_t now)
{
	for (size_t i = 0; i < n_watched; i++) {
		struct watched *w = &watched[i];
		char text[128];
		ssize_t n = pread(w->fd, text, sizeof(text) - 1, 0);
		int64_t wait_us;
		char *second;

		if (n <= 0)
			continue;
		text[n] = '\0';
		second = strchr(text, ' ');
		wait_us = second ? strtoll(second, NULL, 10) / 1000 : 0;
		if (wait_us - w->wait_us < WAIT_US)
			continue; /* it adds up */
		if (w->wait_us > 0)
			report_wait(now - (wait_us - w->wait_us), wait_us - w->wait_us);
		w->wait_us = wait_us;
	}
}
