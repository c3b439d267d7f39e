/* SPDX-License-Identifier: ISC */
/*
 * A circuit breaker: whether a store that keeps failing is asked at all. Pure.
 *
 *	closed     every call goes. After BREAKER_FAILURES failures in a row: open.
 *	open       none goes during a pause of half to the whole of pause_us, which doubles
 *	           from BREAKER_PAUSE_FIRST_US to BREAKER_PAUSE_MAX_US. Then: half-open.
 *	half-open  what is asked now is gathered into one call, the probe. If nothing is
 *	           asked for BREAKER_IDLE_US after the pause, the breaker closes, one
 *	           failure short of opening again: a load balancer that avoids a failing
 *	           daemon would otherwise never see it recover.
 *	probing    the probe is under way and nothing else goes. A success closes the
 *	           breaker, a failure opens it again.
 *	silent     answers are overdue. Nothing goes; the first answer decides, as that of
 *	           a probe does.
 */
#ifndef REDIS_BREAKER_H
#define REDIS_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAILURES 5
#define BREAKER_PAUSE_FIRST_US INT64_C(50000)
#define BREAKER_PAUSE_MAX_US INT64_C(1000000)
#define BREAKER_IDLE_US INT64_C(1000000)

enum breaker_state {
	BREAKER_CLOSED,
	BREAKER_OPEN,
	BREAKER_HALF_OPEN,
	BREAKER_PROBING,
	BREAKER_SILENT
};

struct breaker {
	enum breaker_state state;
	unsigned failures; /* in a row */
	int64_t pause_us;
	int64_t until_us; /* BREAKER_OPEN: the end of the pause */
};

/* Closed, as at the beginning (all zero is the same). */
void breaker_close(struct breaker *b);

/* Whether something may be asked now. */
bool breaker_admits(struct breaker *b, int64_t now_us);
/* Whether breaker_admits() is true whatever the time is; the common case. */
static inline bool
breaker_is_closed(const struct breaker *b)
{
	return b->state == BREAKER_CLOSED;
}

/* A call was sent. */
void breaker_on_sent(struct breaker *b);

/* A call was answered, or failed. True: that has closed, or opened, the breaker. `random`
 * is any number, 0 ... UINT32_MAX; it jitters the pause. */
bool breaker_on_success(struct breaker *b);
bool breaker_on_failure(struct breaker *b, int64_t now_us, uint32_t random);

/* When to call breaker_rest(); INT64_MAX: never. */
int64_t breaker_rest_us(const struct breaker *b);
/* Closes it if nothing was asked for BREAKER_IDLE_US. */
void breaker_rest(struct breaker *b, int64_t now_us);

/* Answers are overdue. True: the breaker was not silent before. */
bool breaker_on_silence(struct breaker *b);

#endif
