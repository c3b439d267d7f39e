/* SPDX-License-Identifier: ISC */
/* What the kernel says of this process, and what is asked of it at start. */
#ifndef OPS_PROCESS_H
#define OPS_PROCESS_H

#include <stdint.h>

/* How long figures are good: with thousands of descriptors, counting them takes
 * milliseconds, and whoever asks must not be able to spend them again and again. */
#define PROCESS_USAGE_KEPT_US 1000000

struct process_usage {
	int64_t read_us;        /* clock_mono_us(); 0: never */
	int64_t resident_bytes; /* -1: cannot be had, for want of a descriptor */
	int64_t open_fds;       /* -1: the same */
	int64_t cpu_us;         /* user and system */
};

/* Reads the figures anew when they are too old. Zero it first. */
void process_usage_renew(struct process_usage *usage);

/* Raises the limit of open files to its hard limit, and warns when that does not do
 * for so many connections and workers. */
void process_raise_files(int64_t connections, int64_t workers);

/* From now on SIGHUP waits: before its handler is there, and once it is gone, it would
 * end the process. signals_start() lets it through again. */
void process_hold_reload(void);
void process_release_reload(void);

/* A write to a closed socket is an error there, not the end of the process. */
void process_ignore_sigpipe(void);

#endif
