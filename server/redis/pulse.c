/* SPDX-License-Identifier: ISC */
#include "redis/pulse.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "redis/fault.h"

_Static_assert(PULSE_LOST_LOOKS *PULSE_LOOK_US == LINK_STALL_US, "it says 3 s");
_Static_assert(PULSE_SILENT_LOOKS *PULSE_LOOK_US == 1000000, "it says a second");

struct pulse {
	struct node *node;
	struct loop_timer *timer;
	bool asking;
	unsigned looks;   /* in a row that found nothing; 0 while it is not asked */
	int64_t heard_us; /* node_heard_us() at the last look */
	char refusal[TAKE_DETAIL_MAX]; /* its reply that it serves nobody, or "" */
};

/* With jitter, since many daemons may have connected at the same moment. */
static void
rest(struct pulse *pulse, int64_t quiet_us)
{
	int64_t left_us = PULSE_QUIET_US - quiet_us;

	loop_timer_set(pulse->timer,
	    (left_us > 0 ? left_us : PULSE_QUIET_US) + hash_random(PULSE_LOOK_US));
}

static void
on_time(void *arg, const struct reply *reply)
{
	struct pulse *pulse = arg;
	struct slice text = { 0 };

	pulse->asking = false;
	pulse->looks = 0;
	if (reply && reply->kind == REPLY_ERROR)
		text = reply_text(reply, 0);
	if (!redis_fault_is_general(redis_fault_of(text)))
		text.len = 0;
	snprintf(pulse->refusal, sizeof(pulse->refusal), "%.*s", SLICE_ARG(text));
	rest(pulse, 0);
}

static void
ask(struct pulse *pulse)
{
	static const char words[] = "*1\r\n$4\r\nTIME\r\n";

	pulse->heard_us = node_heard_us(pulse->node);
	/* False: there is no connection. */
	pulse->asking = node_call(pulse->node, 0, slice_str(words), on_time, pulse);
}

/* The answer is still owed. Replies of earlier commands, or parts of a reply, are signs of
 * life as well. */
static void
look_on(struct pulse *pulse)
{
	int64_t heard_us = node_heard_us(pulse->node);

	if (heard_us != pulse->heard_us)
		pulse->looks = 0;
	else if (++pulse->looks >= PULSE_LOST_LOOKS)
		node_give_up(pulse->node, "no answer to TIME for 3 s");
	pulse->heard_us = heard_us;
}

static void
on_look(void *arg)
{
	struct pulse *pulse = arg;
	int64_t quiet_us = clock_mono_us() - node_heard_us(pulse->node);

	if (pulse->asking)
		look_on(pulse);
	else if (quiet_us >= PULSE_QUIET_US || pulse->refusal[0])
		ask(pulse);
	if (pulse->asking)
		loop_timer_set(pulse->timer, PULSE_LOOK_US);
	else
		rest(pulse, quiet_us);
}

bool
pulse_beats(const struct pulse *pulse, const char **why)
{
	bool silent = pulse->looks >= PULSE_SILENT_LOOKS;

	*why = silent ? "no answer to TIME for a second" : pulse->refusal;
	return !silent && !pulse->refusal[0];
}

struct pulse *
pulse_new(struct loop *loop, struct node *node)
{
	struct pulse *pulse = calloc(1, sizeof(*pulse));

	if (!pulse)
		return NULL;
	pulse->node = node;
	pulse->timer = loop_timer_new(loop, on_look, pulse);
	if (!pulse->timer) {
		free(pulse);
		return NULL;
	}
	rest(pulse, 0);
	return pulse;
}

void
pulse_free(struct pulse *pulse)
{
	if (!pulse)
		return;
	loop_timer_free(pulse->timer);
	free(pulse);
}
