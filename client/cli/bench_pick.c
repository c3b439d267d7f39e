/* SPDX-License-Identifier: ISC */
#include "bench_pick.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	double standard, least, most; /* of the parameter */
} skews[] = {
	[BENCH_UNIFORM] = { "uniform", 0, 0, 0 },
	[BENCH_ZIPF] = { "zipf", 1, 0.01, 10 },
	[BENCH_HOT] = { "hot", 1, 0, 1 },
	[BENCH_TURN] = { "turn", 0, 0, 0 },
};

int
bench_skew_parse(const char *text, enum bench_skew *skew, double *parameter)
{
	size_t len = strcspn(text, ":");
	char *end;

	for (size_t i = 0; i < ARRAY_LEN(skews); i++) {
		if (strncmp(text, skews[i].name, len) != 0 || skews[i].name[len])
			continue;
		*skew = (enum bench_skew)i;
		*parameter = skews[i].standard;
		if (!text[len])
			return 0;
		*parameter = strtod(text + len + 1, &end);
		/* strtod would skip blanks and reads words such as "nan". */
		if (skews[i].most == 0 || !strchr("0123456789.", text[len + 1]) ||
		    *end ||
		    !(*parameter >= skews[i].least && *parameter <= skews[i].most))
			return ERR_INVALID;
		return 0;
	}
	return ERR_INVALID;
}

const char *
bench_skew_name(enum bench_skew skew)
{
	return skews[skew].name;
}

/* splitmix64: spreads a seed over the state, which must not be all zero. */
static uint64_t
spread(uint64_t *x)
{
	uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t
rotate(uint64_t x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

/* xoshiro256** */
static uint64_t
draw(struct bench_pick *p)
{
	uint64_t *s = p->state;
	uint64_t result = rotate(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

/* 0 ... n - 1, n > 0. The bias is n / 2^64, far below what a run could show. */
static uint64_t
draw_below(struct bench_pick *p, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)draw(p) * n) >> 64);
}

/* 0 <= x < 1 */
static double
draw_part(struct bench_pick *p)
{
	return (double)(draw(p) >> 11) * 0x1p-53;
}

/* Zipf's law by rejection-inversion (Hoermann and Derflinger, 1996): a point under the
 * curve x^-s is drawn by inverting the area from 1, and rounded to a number; where the curve
 * and its steps differ, the point may be rejected. */
static double
height(const struct bench_pick *p, double x)
{
	return exp(-p->parameter * log(x));
}

/* The area from 1 to x: (x^(1-s) - 1) / (1-s), and ln x where s is 1. */
static double
area(const struct bench_pick *p, double x)
{
	double ln = log(x);
	double t = (1 - p->parameter) * ln;

	return fabs(t) < 1e-9 ? ln : ln * (expm1(t) / t);
}

static double
area_inverse(const struct bench_pick *p, double a)
{
	double t = (1 - p->parameter) * a;

	if (fabs(t) < 1e-9)
		return exp(a);
	/* Rounding may carry a point to where the logarithm ends. */
	return t <= -1 ? (double)p->n : exp(a * (log1p(t) / t));
}

static uint64_t
draw_zipf(struct bench_pick *p)
{
	for (;;) {
		double a = p->to + draw_part(p) * (p->from - p->to);
		double x = area_inverse(p, a);
		double k = floor(x + 0.5);

		if (k < 1)
			k = 1;
		if (k > (double)p->n)
			k = (double)p->n;
		if (k - x <= p->near || a >= area(p, k + 0.5) - height(p, k))
			return (uint64_t)k - 1;
	}
}

void
bench_pick_init(struct bench_pick *p, uint64_t seed, uint64_t stream,
    enum bench_skew skew, double parameter, uint64_t n)
{
	uint64_t x = seed;

	/* Mixed once, so that seed 1, stream 2 is not the same as seed 2, stream 1. */
	x = spread(&x) + stream;
	*p = (struct bench_pick){ .skew = skew, .parameter = parameter, .n = n };
	for (size_t i = 0; i < ARRAY_LEN(p->state); i++)
		p->state[i] = spread(&x);
	if (skew != BENCH_ZIPF)
		return;
	p->from = area(p, 1.5) - 1;
	p->to = area(p, (double)n + 0.5);
	p->near = 2 - area_inverse(p, area(p, 2.5) - height(p, 2));
}

uint64_t
bench_pick_next(struct bench_pick *p)
{
	if (p->n == 1)
		return 0;
	switch (p->skew) {
	case BENCH_ZIPF:
		return draw_zipf(p);
	case BENCH_HOT:
		if (p->parameter >= 1 || draw_part(p) < p->parameter)
			return 0;
		return 1 + draw_below(p, p->n - 1);
	case BENCH_TURN:
		return p->turn++ % p->n;
	case BENCH_UNIFORM:
	default:
		return draw_below(p, p->n);
	}
}
