/* SPDX-License-Identifier: ISC */
/*
 * Which grant the next check is for: numbers, mostly drawn at random from a seed, so that a run
 * can be repeated. A few words of memory for any number of grants. Pure.
 */
#ifndef CLI_BENCH_PICK_H
#define CLI_BENCH_PICK_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum bench_skew {
	BENCH_UNIFORM, /* all alike */
	BENCH_ZIPF,    /* the k-th (from 1) as often as k^-parameter says */
	BENCH_HOT,     /* number 0 with this share, else one of the others, all alike */
	BENCH_TURN /* not at random: 0, 1, 2 ... and again; each stream for itself */
};

struct bench_pick {
	uint64_t state[4];
	enum bench_skew skew;
	double parameter;
	uint64_t n;
	uint64_t turn; /* how many there were */
	/* of Zipf's law */
	double from, to; /* the ends of the area under the curve */
	double near;     /* a point so near to its number needs no second look */
};

/* Reads "uniform", "zipf", "zipf:S" (0.01 ... 10; 1 without it), "hot", "hot:SHARE"
 * (0 ... 1; 1 without it), "turn". 0 or ERR_INVALID. */
int bench_skew_parse(
    const char *text, enum bench_skew *skew, double *parameter) MUST_CHECK;

/* "uniform", "zipf", "hot", "turn". */
const char *bench_skew_name(enum bench_skew skew);

/* `n` > 0 grants. Different streams of one seed have nothing in common. */
void bench_pick_init(struct bench_pick *p, uint64_t seed, uint64_t stream,
    enum bench_skew skew, double parameter, uint64_t n);

/* 0 ... n - 1 */
uint64_t bench_pick_next(struct bench_pick *p);

#endif
