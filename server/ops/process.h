/* SPDX-License-Identifier: ISC */
/* What the kernel says about this process, and what is set up with it at the start. */
#ifndef OPS_PROCESS_H
#define OPS_PROCESS_H

#include <stdint.h>

/* How long the figures are used again: counting thousands of descriptors takes
 * milliseconds, which nobody should be able to have spent again and again. */
#define PROCESS_USAGE_KEPT_US 1000000

struct process_usage {
	int64_t read_us;        /* clock_mono_us(); 0: never */
	int64_t resident_bytes; /* -1: could not be read, for want of a descriptor */
	int64_t open_fds;       /* -1: the same */
	int64_t cpu_us;         /* user and system */
};

/* Reads the figures again if they are older than PROCESS_USAGE_KEPT_US. Zero it first. */
void process_usage_renew(struct process_usage *usage);

/* Raises the limit of open files to the hard limit, and logs a warning if that is not
 * enough for this many connections and workers. */
void process_raise_files(int64_t connections, int64_t workers);

/* Block and unblock SIGHUP: while it has no handler, at the start and at the end, it would
 * end the process. signals_start() unblocks it. */
void process_hold_reload(void);
void process_release_reload(void);

/* Makes a write to a closed socket fail, instead of ending the process. */
void process_ignore_sigpipe(void);

#endif
