/* SPDX-License-Identifier: ISC */
/*
 * Preloaded into redis-server: the real-time clock is the int64_t, µs since the epoch,
 * in the file that RATION_TEST_CLOCK names. A test maps the file and writes the time.
 * Clocks that only go forward stay the machine's. Compiled without sanitizers, since
 * redis-server has none.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t *clock_us;

__attribute__((constructor)) static void
shim_start(void)
{
	const char *path = getenv("RATION_TEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at;

	if (fd < 0) {
		fputs("clock_shim: RATION_TEST_CLOCK names no file that can be read\n",
		    stderr);
		_exit(70);
	}
	at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED) {
		fputs("clock_shim: mmap failed\n", stderr);
		_exit(70);
	}
	clock_us = at;
}

/* 0 before the constructor has run: other libraries may ask for the time earlier. */
static int64_t
now_us(void)
{
	return clock_us ? atomic_load(clock_us) : 0;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	int64_t us = now_us();

	(void)tz;
	tv->tv_sec = us / 1000000;
	tv->tv_usec = us % 1000000;
	return 0;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t us = now_us();

	if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = us / 1000000;
	ts->tv_nsec = us % 1000000 * 1000;
	return 0;
}

time_t
time(time_t *out)
{
	time_t s = now_us() / 1000000;

	if (out)
		*out = s;
	return s;
}
