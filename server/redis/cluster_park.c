/* SPDX-License-Identifier: ISC */
/* What waits to be sent again: because its slot is half moved, its node is new, or no node
 * has said yet which slots are where. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "redis/cluster_inner.h"

/* The pause before something is sent again; it doubles each time. */
#define PAUSE_FIRST_US INT64_C(2000)
#define PAUSE_DOUBLINGS 4

static void
arm(struct cluster *cluster, int64_t at_us)
{
	int64_t delay;

	if (at_us >= cluster->timer_us)
		return;
	cluster->timer_us = at_us;
	delay = at_us - clock_mono_us();
	loop_timer_set(cluster->timer, delay > 0 ? delay : 0);
}

static bool
parked_push(struct cluster *cluster, const struct parked *parked)
{
	if (cluster->n_parked == cluster->parked_cap) {
		size_t cap = cluster->parked_cap ? cluster->parked_cap * 2 : 64;
		struct parked *grown = realloc(cluster->parked, cap * sizeof(*grown));

		if (!grown)
			return false;
		cluster->parked = grown;
		cluster->parked_cap = cap;
	}
	cluster->parked[cluster->n_parked++] = *parked;
	return true;
}

static int64_t
pause_us(unsigned moves)
{
	int64_t pause = PAUSE_FIRST_US
	    << (moves < PAUSE_DOUBLINGS ? moves : PAUSE_DOUBLINGS);

	return pause / 2 + hash_random((uint32_t)(pause / 2 + 1));
}

bool
cluster_park(struct cluster *cluster, enum parked_kind kind, void *what, unsigned moves,
    int64_t deadline_us)
{
	struct parked parked = { kind, what, clock_mono_us() + pause_us(moves) };

	if (parked.due_us > deadline_us)
		parked.due_us = deadline_us;
	if (cluster->closing || !parked_push(cluster, &parked))
		return false;
	arm(cluster, parked.due_us);
	return true;
}

static void
wake_take(struct cluster *cluster, struct take *take, bool in_time)
{
	enum store_fault fault;
	const char *why;

	cluster->shared.waiting--;
	if (in_time) {
		cluster_send_take(cluster, take);
		return;
	}
	fault = cluster_late_fault(cluster, cluster_take_slot(take), &why);
	store_fail(&cluster->store, take, fault, why);
}

static void
wake_settle(struct cluster *cluster, struct settle *settle, bool in_time)
{
	enum store_fault fault;
	const char *why;

	if (in_time) {
		cluster_send_settle(cluster, settle);
		return;
	}
	fault = cluster_late_fault(cluster, slot_of(settle->key), &why);
	store_fail_settle(&cluster->store, settle, fault, why);
}

static void
wake_reset(struct cluster *cluster, struct reset *reset, bool in_time)
{
	enum store_fault fault;
	const char *why;

	if (in_time) {
		cluster_send_reset(cluster, reset);
		return;
	}
	fault = cluster_late_fault(cluster, slot_of(reset->keys[0]), &why);
	store_fail_reset(&cluster->store, reset, fault, why);
}

static void
wake(struct cluster *cluster, const struct parked *parked, int64_t now_us)
{
	struct take *take = parked->what;
	struct settle *settle = parked->what;
	struct reset *reset = parked->what;
	bool open = !cluster->closing;

	switch (parked->kind) {
	case PARKED_TAKE:
		wake_take(cluster, take, open && take->deadline_us > now_us);
		break;
	case PARKED_SETTLE:
		wake_settle(cluster, settle, open && settle->deadline_us > now_us);
		break;
	case PARKED_RESET:
		wake_reset(cluster, reset, open && reset->deadline_us > now_us);
		break;
	case PARKED_ERRAND:
		errand_send(parked->what);
		break;
	}
}

/* Wakes everything that is due by then. What that leads to may park more. */
static void
wake_due(struct cluster *cluster, int64_t now_us)
{
	struct parked *parked = cluster->parked;
	size_t n = cluster->n_parked;

	cluster->parked = NULL;
	cluster->n_parked = cluster->parked_cap = 0;
	cluster->timer_us = INT64_MAX;
	for (size_t i = 0; i < n; i++) {
		if (parked[i].due_us > now_us && parked_push(cluster, &parked[i]))
			arm(cluster, parked[i].due_us);
		else
			wake(cluster, &parked[i], now_us);
	}
	free(parked);
}

void
cluster_on_timer(void *arg)
{
	wake_due(arg, clock_mono_us());
}

/* The store is closing: nothing new is parked. */
void
cluster_wake_all(struct cluster *cluster)
{
	while (cluster->n_parked > 0)
		wake_due(cluster, INT64_MAX);
	free(cluster->parked);
	cluster->parked = NULL;
}
