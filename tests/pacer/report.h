/* SPDX-License-Identifier: ISC */
/* What pacer tells on its output, in the lines that pacer.c describes; and how it gives
 * up. */
#ifndef PACER_REPORT_H
#define PACER_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"

/* One check that waits for its answer. */
struct asked {
	int64_t start_us;
	size_t call;
};

/* CLOCK_MONOTONIC, as all times here. */
int64_t now_us(void);

_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Returns p, which is not NULL. */
void *need(void *p);

/* The empty message is the first of all. */
void report_open(void);
void report_check(
    size_t target, const struct asked *asked, const struct answer *answer);
/* A turn that began late: what it finds has waited here, not there. */
void report_stall(int64_t before_us);
void report_wait(int64_t start_us, int64_t took_us);

#endif
