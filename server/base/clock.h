/* SPDX-License-Identifier: ISC */
/*
 * The two clocks of a process. Only the rooms that do I/O read them; everything
 * that decides takes the time as an argument.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Microseconds on a clock that never goes back, counted from an arbitrary moment. */
int64_t clock_mono_us(void);

/* Microseconds since 1970-01-01T00:00:00Z by this machine's clock. */
int64_t clock_real_us(void);

#endif
