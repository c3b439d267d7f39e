/* SPDX-License-Identifier: ISC */
#include "redis/breaker.h"

void
breaker_close(struct breaker *b)
{
	*b = (struct breaker){ .state = BREAKER_CLOSED };
}

bool
breaker_admits(struct breaker *b, int64_t now_us)
{
	if (b->state == BREAKER_OPEN && now_us >= b->until_us)
		b->state = BREAKER_HALF_OPEN;
	return b->state == BREAKER_CLOSED || b->state == BREAKER_HALF_OPEN;
}

void
breaker_on_sent(struct breaker *b)
{
	if (b->state == BREAKER_HALF_OPEN)
		b->state = BREAKER_PROBING;
}

bool
breaker_on_success(struct breaker *b)
{
	bool was_closed = b->state == BREAKER_CLOSED;

	/* Calls that were sent before it opened say nothing about now; but an answer after
	 * a silence does. */
	if (b->state == BREAKER_OPEN || b->state == BREAKER_HALF_OPEN)
		return false;
	breaker_close(b);
	return !was_closed;
}

bool
breaker_on_failure(struct breaker *b, int64_t now_us, uint32_t random)
{
	if (b->state == BREAKER_OPEN || b->state == BREAKER_HALF_OPEN)
		return false;
	if (b->state == BREAKER_CLOSED && ++b->failures < BREAKER_FAILURES)
		return false;
	b->pause_us *= 2;
	if (b->pause_us == 0)
		b->pause_us = BREAKER_PAUSE_FIRST_US;
	if (b->pause_us > BREAKER_PAUSE_MAX_US)
		b->pause_us = BREAKER_PAUSE_MAX_US;
	b->state = BREAKER_OPEN;
	b->until_us = now_us + b->pause_us / 2 + random % (uint32_t)(b->pause_us / 2);
	return true;
}

int64_t
breaker_rest_us(const struct breaker *b)
{
	if (b->state != BREAKER_OPEN && b->state != BREAKER_HALF_OPEN)
		return INT64_MAX;
	return b->until_us + BREAKER_IDLE_US;
}

void
breaker_rest(struct breaker *b, int64_t now_us)
{
	if (now_us < breaker_rest_us(b))
		return;
	b->state = BREAKER_CLOSED;
	b->failures = BREAKER_FAILURES - 1;
}

bool
breaker_on_silence(struct breaker *b)
{
	if (b->state == BREAKER_SILENT)
		return false;
	b->state = BREAKER_SILENT;
	return true;
}
