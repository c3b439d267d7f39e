/* SPDX-License-Identifier: ISC */
#include "redis/scout.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"

#define REFRESH_US INT64_C(5000000) /* when nothing seems to change */
#define HURRY_US INT64_C(200000)    /* at least, between two answers */
#define HURRY_SPREAD_US 50000       /* jitter: many daemons learn of a move at once */
#define ANSWER_US INT64_C(1000000)  /* how long one node is waited for */
#define HOP_FIRST_US INT64_C(100000)
#define HOP_MAX_US INT64_C(1000000)

struct scout {
	const struct scout_ops *ops;
	void *arg;
	struct link *link;
	struct loop_timer *timer;
	unsigned turn;
	int64_t timer_us;    /* when it fires; INT64_MAX: not armed */
	int64_t due_us;      /* when to ask */
	int64_t asked_us;    /* 0: no answer is owed */
	int64_t answered_us; /* when the last useful answer came */
	int64_t hop_us;      /* when to try another node; INT64_MAX: never */
	int64_t pause_us;    /* the pause before that */
	bool hurried;        /* it is due earlier than usual */
	bool hopping;
};

static void
arm(struct scout *scout)
{
	int64_t at_us = scout->hop_us;
	int64_t delay;

	if (scout->asked_us)
		at_us = scout->asked_us + ANSWER_US;
	else if (link_ready(scout->link) && scout->due_us < at_us)
		at_us = scout->due_us;
	if (at_us == INT64_MAX || at_us == scout->timer_us)
		return;
	scout->timer_us = at_us;
	delay = at_us - clock_mono_us();
	loop_timer_set(scout->timer, delay > 0 ? delay : 0);
}

static int64_t
jittered(int64_t us)
{
	return us / 2 + hash_random((uint32_t)(us / 2 + 1));
}

/* Tries another node soon. */
static void
hop_later(struct scout *scout)
{
	scout->hop_us = clock_mono_us() + jittered(scout->pause_us);
	scout->pause_us *= 2;
	if (scout->pause_us > HOP_MAX_US)
		scout->pause_us = HOP_MAX_US;
}

static void
on_answer(void *arg, const struct reply *reply)
{
	struct scout *scout = arg;
	int64_t now_us = clock_mono_us();

	scout->asked_us = 0;
	if (!reply)
		return; /* on_gone() follows */
	scout->due_us = now_us + jittered(REFRESH_US);
	scout->hurried = false;
	if (scout->ops->on_answer(scout->arg, reply, link_address(scout->link))) {
		scout->answered_us = now_us;
		scout->pause_us = HOP_FIRST_US;
	} else {
		hop_later(scout);
		scout->due_us = scout->hop_us;
	}
	arm(scout);
}

static void
ask(struct scout *scout)
{
	static const struct slice words[] = { { "CLUSTER", 7 }, { "SLOTS", 5 } };

	link_add_command(link_out(scout->link), words, ARRAY_LEN(words));
	scout->asked_us = clock_mono_us();
	/* When out of memory the link is dropped, and on_gone() follows. */
	if (link_expect(scout->link, on_answer, scout) < 0)
		scout->asked_us = 0;
}

static void
on_ready(void *arg)
{
	struct scout *scout = arg;

	scout->hop_us = INT64_MAX;
	if (!scout->asked_us && scout->due_us <= clock_mono_us())
		ask(scout);
	arm(scout);
}

static void
on_gone(void *arg)
{
	struct scout *scout = arg;
	const char *why;
	enum store_fault fault = link_fault(scout->link, &why);

	scout->asked_us = 0;
	if (scout->hopping)
		return;
	scout->ops->on_trouble(scout->arg, fault, why);
	hop_later(scout);
	arm(scout);
}

static void
hop(struct scout *scout)
{
	scout->hop_us = INT64_MAX;
	scout->hopping = true;
	link_move(scout->link, scout->ops->address(scout->arg, scout->turn++));
	scout->hopping = false;
	if (!link_ready(scout->link))
		hop_later(scout); /* which does nothing if it is ready by then */
}

/* It is time to ask; another node than before, unless it is urgent. */
static void
ask_one(struct scout *scout)
{
	if (!scout->hurried)
		hop(scout);
	if (link_ready(scout->link))
		ask(scout);
}

static void
on_timer(void *arg)
{
	struct scout *scout = arg;
	int64_t now_us = clock_mono_us();

	scout->timer_us = INT64_MAX;
	if (scout->asked_us && now_us - scout->asked_us >= ANSWER_US)
		link_drop(scout->link, FAULT_TIMEOUT, "no answer to CLUSTER SLOTS");
	else if (now_us >= scout->hop_us)
		hop(scout);
	else if (!scout->asked_us && now_us >= scout->due_us && link_ready(scout->link))
		ask_one(scout);
	arm(scout);
}

void
scout_hurry(struct scout *scout)
{
	int64_t now_us = clock_mono_us();
	int64_t at_us = scout->answered_us + HURRY_US;

	if (at_us < now_us)
		at_us = now_us;
	at_us += hash_random(HURRY_SPREAD_US);
	if (at_us >= scout->due_us)
		return;
	scout->due_us = at_us;
	scout->hurried = true;
	arm(scout);
}

static const struct link_ops link_events = { on_ready, on_gone, on_gone };

struct scout *
scout_new(const struct node_shared *shared, const struct scout_ops *ops, void *arg)
{
	struct scout *scout = calloc(1, sizeof(*scout));
	struct link_options options = {
		.loop = shared->loop,
		.url = shared->url,
		.tls = shared->tls,
		.address = ops->address(arg, 0),
		.ops = &link_events,
		.arg = scout,
		.cells = shared->store->cells,
		.asks_only = true,
	};

	if (!scout)
		return NULL;
	*scout = (struct scout){ .ops = ops,
		.arg = arg,
		.turn = 1,
		.timer_us = INT64_MAX,
		.hop_us = INT64_MAX,
		.pause_us = HOP_FIRST_US };
	scout->timer = loop_timer_new(shared->loop, on_timer, scout);
	if (scout->timer)
		scout->link = link_new(&options);
	if (!scout->link) {
		scout_free(scout);
		return NULL;
	}
	return scout;
}

void
scout_free(struct scout *scout)
{
	if (!scout)
		return;
	link_free(scout->link);
	loop_timer_free(scout->timer);
	free(scout);
}
