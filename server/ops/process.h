/* SPDX-License-Identifier: ISC */
/* What the kernel says of this process, and what is asked of it at start. */
#ifndef OPS_PROCESS_H
#define OPS_PROCESS_H

#include <stdint.h>

struct process_usage {
	int64_t resident_bytes; /* 0 when unknown */
	int64_t open_fds;       /* 0 when unknown */
	int64_t cpu_us;         /* user and system */
};

void process_usage_get(struct process_usage *out);

/* Raises the limit of open files to its hard limit, and warns when that does not do
 * for so many connections. */
void process_raise_files(int64_t connections);

/* A write to a closed socket is an error there, not the end of the process. */
void process_ignore_sigpipe(void);

#endif
