/* SPDX-License-Identifier: ISC */
#include "ops/process.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* Descriptors that are not client connections: logs, listeners, the store, and clients that
 * are just being told that there are too many. */
#define FILES_RESERVED 92
/* Of each worker: its loop's four, its connection to the store, and the look-up of the
 * store's name. */
#define FILES_PER_WORKER 6

static int64_t
resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long long total = 0;
	long long resident = 0;
	int n;

	if (!f)
		return -1;
	n = fscanf(f, "%lld %lld", &total, &resident);
	fclose(f);
	return n == 2 ? resident * sysconf(_SC_PAGESIZE) : -1;
}

static int64_t
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int64_t n = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", ".." and the folder itself */
}

static int64_t
open_fds(void)
{
	struct stat st;

	/* Since Linux 6.2 the folder's size is their number; before it was 0. */
	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return st.st_size;
	return count_fds();
}

static void
read_usage(struct process_usage *out)
{
	struct rusage use = { 0 };

	getrusage(RUSAGE_SELF, &use);
	out->resident_bytes = resident_bytes();
	out->open_fds = open_fds();
	out->cpu_us = ((int64_t)use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 +
	    use.ru_utime.tv_usec + use.ru_stime.tv_usec;
}

void
process_usage_renew(struct process_usage *usage)
{
	int64_t now_us = clock_mono_us();

	if (usage->read_us != 0 && now_us - usage->read_us < PROCESS_USAGE_KEPT_US)
		return;
	read_usage(usage);
	usage->read_us = now_us;
}

void
process_raise_files(int64_t connections, int64_t workers)
{
	struct rlimit files;
	rlim_t need =
	    (rlim_t)(connections + workers * FILES_PER_WORKER) + FILES_RESERVED;

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

static void
mask_reload(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(how, &set, NULL);
}

void
process_hold_reload(void)
{
	mask_reload(SIG_BLOCK);
}

void
process_release_reload(void)
{
	mask_reload(SIG_UNBLOCK);
}

void
process_ignore_sigpipe(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &ignore, NULL);
}
