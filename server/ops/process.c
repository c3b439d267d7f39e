/* SPDX-License-Identifier: ISC */
#include "ops/process.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

/* Descriptors that are not client connections: logs, listeners, the store. */
#define FILES_RESERVED 64

static int64_t
resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long long total = 0;
	long long resident = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%lld %lld", &total, &resident) != 2)
		resident = 0;
	fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

static int64_t
open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int64_t n = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and the folder itself */
}

void
process_usage_get(struct process_usage *out)
{
	struct rusage use = { 0 };

	getrusage(RUSAGE_SELF, &use);
	out->resident_bytes = resident_bytes();
	out->open_fds = open_fds();
	out->cpu_us = ((int64_t)use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 +
	    use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

void
process_raise_files(int64_t connections)
{
	struct rlimit files;
	rlim_t need = (rlim_t)connections + FILES_RESERVED;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	if (files.rlim_cur < files.rlim_max) {
		rlim_t soft = files.rlim_cur;

		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0)
			files.rlim_cur = soft;
	}
	if (files.rlim_cur != RLIM_INFINITY && files.rlim_cur < need)
		log_warn("ops",
		    "%llu open files are allowed, %llu are needed for %lld "
		    "connections; "
		    "raise the limit (ulimit -n) or lower --max-connections",
		    (unsigned long long)files.rlim_cur, (unsigned long long)need,
		    (long long)connections);
}

void
process_ignore_sigpipe(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &ignore, NULL);
}
