/* SPDX-License-Identifier: ISC */
#ifndef RESIDENT_H
#define RESIDENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

/* What this process has of the machine's memory now. */
static inline size_t
resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	size_t total;
	size_t resident;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu %zu", &total, &resident), 2);
	fclose(f);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

#endif
