/* SPDX-License-Identifier: ISC */
#include "redis/sentinels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "redis/sentinel.h"

/* A doubt is looked into after a moment, so that a thousand daemons do not ask at once; and
 * another one not earlier than this. */
#define DOUBT_SPREAD_US 20000
#define DOUBT_AGAIN_US INT64_C(500000)
/* A Sentinel looks every second whether the one it promotes is the master. */
#define AHEAD_US INT64_C(3000000)

struct member {
	struct sentinel *sentinel;
	bool listed; /* in the URL; other Sentinels are forgotten when they are lost */
	bool gone;   /* to be freed, outside its callbacks */
};

struct sentinels {
	struct sentinels_options options;
	struct member members[SENTINELS_MAX];
	size_t n;
	struct loop_timer *sweep; /* frees those that are gone */
	struct loop_timer *timer; /* for a doubt */
	struct loop_timer *ahead; /* ends the belief in a promotion */
	bool doubted;
	int64_t asked_us; /* when a doubt last made us ask */
	bool known;
	struct address master; /* in use, once known */
	int64_t epoch;         /* of the configuration that named it */
	bool is_ahead;  /* `master` is being promoted; `epoch` named another one */
	size_t n_heard; /* how many have answered */
	bool deaf;      /* it was logged that none has */
};

/* --- which is the master --------------------------------------------------------- */

static bool
is_master(const struct sentinels *all, const struct sentinel_answer *answer)
{
	return all->known && strcmp(all->master.text, answer->master.text) == 0;
}

/* The newest configuration; among equals, the one that names the master in use. */
static const struct sentinel_answer *
newest(const struct sentinels *all)
{
	const struct sentinel_answer *best = NULL;

	for (size_t i = 0; i < all->n; i++) {
		const struct sentinel_answer *answer =
		    sentinel_answer(all->members[i].sentinel);

		if (answer &&
		    (!best || answer->epoch > best->epoch ||
			(answer->epoch == best->epoch && is_master(all, answer))))
			best = answer;
	}
	return best;
}

static bool
most_say(const struct sentinels *all, const struct address *master)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct sentinel_answer *answer =
		    sentinel_answer(all->members[i].sentinel);

		n += answer && strcmp(answer->master.text, master->text) == 0;
	}
	return n > all->n / 2;
}

static bool
is_believed(const struct sentinels *all, const struct sentinel_answer *answer)
{
	if (!all->known || answer->epoch > all->epoch)
		return true;
	if (all->is_ahead)
		return false;
	return answer->epoch == all->epoch || most_say(all, &answer->master);
}

static void
move_to(struct sentinels *all, const struct address *master)
{
	if (all->known)
		metric_add(all->options.cells, METRIC_STORE_MASTER_CHANGES, 1);
	log_info("redis", "the master \"%s\" is at %s now (epoch %lld%s)%s%s",
	    all->options.url->name, master->text, (long long)all->epoch,
	    all->is_ahead ? ", being promoted" : "", all->known ? ", no more at " : "",
	    all->known ? all->master.text : "");
	all->known = true;
	all->master = *master;
	all->options.ops->on_master(all->options.arg, &all->master);
}

static void
follow(struct sentinels *all)
{
	const struct sentinel_answer *best = newest(all);

	if (!best || !is_believed(all, best))
		return;
	all->epoch = best->epoch;
	all->is_ahead = false;
	loop_timer_cancel(all->ahead);
	if (!is_master(all, best))
		move_to(all, &best->master);
}

/* The promotion came to nothing, unless they have named it by now. */
static void
on_ahead_over(void *arg)
{
	struct sentinels *all = arg;

	all->is_ahead = false;
	follow(all);
}

/* --- whether any of them answers -------------------------------------------------- */

/* Troubles that somebody has to mend are reported before all others. */
static bool
is_mistake(enum store_fault fault)
{
	return fault == FAULT_CONFIG || fault == FAULT_TLS;
}

static enum store_fault
worst_fault(const struct sentinels *all, const char **text)
{
	enum store_fault worst = FAULT_NONE;

	for (size_t i = 0; i < all->n && !is_mistake(worst); i++) {
		const char *why;
		enum store_fault fault = sentinel_fault(all->members[i].sentinel, &why);

		if (fault == FAULT_NONE || (worst != FAULT_NONE && !is_mistake(fault)))
			continue;
		worst = fault;
		*text = why;
	}
	return worst;
}

static void
count_heard(struct sentinels *all)
{
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++)
		n += sentinel_answer(all->members[i].sentinel) != NULL;
	all->n_heard = n;
	metric_set(all->options.cells, METRIC_STORE_SENTINELS, (int64_t)n);
	if (all->deaf == (n == 0))
		return;
	all->deaf = n == 0;
	if (all->known && all->deaf)
		log_warn("redis",
		    "no Sentinel answers; %s stays the master in use, and a failover "
		    "is not seen",
		    all->master.text);
	else if (all->known)
		log_info("redis", "Sentinels answer again");
}

/* --- events of one of them ------------------------------------------------------- */

static void
on_answer(void *arg)
{
	struct sentinels *all = arg;

	count_heard(all);
	follow(all);
}

static void
on_promotion(void *arg, const struct address *to)
{
	struct sentinels *all = arg;

	if (!all->known || strcmp(all->master.text, to->text) == 0)
		return;
	all->is_ahead = true;
	loop_timer_set(all->ahead, AHEAD_US);
	move_to(all, to);
}

static bool
is_known(const struct sentinels *all, const struct address *address, struct slice id)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct sentinel *s = all->members[i].sentinel;

		if (strcmp(sentinel_address(s)->text, address->text) == 0 ||
		    (id.len > 0 && slice_eq(sentinel_id(s), id)))
			return true;
	}
	return false;
}

static int add(struct sentinels *all, const struct address *address, bool listed);

static void
on_other(void *arg, const struct address *address, struct slice id)
{
	struct sentinels *all = arg;

	/* If out of memory, we learn of it the next time. */
	if (!is_known(all, address, id))
		(void)add(all, address, false);
}

static void
mark_gone(struct sentinels *all, struct member *member)
{
	member->gone = true;
	loop_timer_set(all->sweep, 0);
}

/* One that was listed by name may have been learned of by address, too. */
static void
on_id(void *arg, struct sentinel *from)
{
	struct sentinels *all = arg;
	struct member *twin = NULL;
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		struct member *member = &all->members[i];

		if (member->gone ||
		    !slice_eq(sentinel_id(member->sentinel), sentinel_id(from)))
			continue;
		n++;
		if (!member->listed)
			twin = member;
	}
	if (n > 1 && twin)
		mark_gone(all, twin);
}

static void
on_trouble(void *arg, struct sentinel *from)
{
	struct sentinels *all = arg;
	enum store_fault fault;
	const char *text = "";

	for (size_t i = 0; i < all->n; i++)
		if (all->members[i].sentinel == from && !all->members[i].listed)
			mark_gone(all, &all->members[i]);
	count_heard(all);
	if (all->known)
		return;
	fault = worst_fault(all, &text);
	all->options.ops->on_unknown(all->options.arg, fault, text);
}

static const struct sentinel_ops sentinel_events = { on_answer, on_other, on_promotion,
	on_id, on_trouble };

static int
add(struct sentinels *all, const struct address *address, bool listed)
{
	struct sentinel_options options = {
		.loop = all->options.loop,
		.url = all->options.url,
		.tls = all->options.tls,
		.address = address,
		.listed = listed,
		.ops = &sentinel_events,
		.arg = all,
	};
	struct sentinel *s;

	if (all->n == SENTINELS_MAX)
		return ERR_TOOBIG;
	s = sentinel_new(&options);
	if (!s)
		return ERR_NOMEM;
	all->members[all->n++] = (struct member){ .sentinel = s, .listed = listed };
	return 0;
}

static void
on_sweep(void *arg)
{
	struct sentinels *all = arg;
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		if (all->members[i].gone)
			sentinel_free(all->members[i].sentinel);
		else
			all->members[n++] = all->members[i];
	}
	all->n = n;
	count_heard(all);
}

/* --- doubts ---------------------------------------------------------------------- */

static void
on_timer(void *arg)
{
	struct sentinels *all = arg;

	all->doubted = false;
	all->asked_us = clock_mono_us();
	for (size_t i = 0; i < all->n; i++)
		sentinel_ask(all->members[i].sentinel);
}

void
sentinels_doubt(struct sentinels *all)
{
	int64_t wait_us = hash_random(DOUBT_SPREAD_US);
	int64_t since_us = clock_mono_us() - all->asked_us;

	if (all->doubted)
		return;
	all->doubted = true;
	if (all->asked_us > 0 && since_us < DOUBT_AGAIN_US)
		wait_us = DOUBT_AGAIN_US - since_us + hash_random(DOUBT_AGAIN_US);
	loop_timer_set(all->timer, wait_us);
}

/* --- birth and death ------------------------------------------------------------- */

struct sentinels *
sentinels_new(const struct sentinels_options *options)
{
	struct sentinels *all = calloc(1, sizeof(*all));
	const struct redis_url *url = options->url;

	if (!all)
		return NULL;
	all->options = *options;
	all->timer = loop_timer_new(options->loop, on_timer, all);
	all->sweep = loop_timer_new(options->loop, on_sweep, all);
	all->ahead = loop_timer_new(options->loop, on_ahead_over, all);
	if (!all->timer || !all->sweep || !all->ahead)
		goto failed;
	for (size_t i = 0; i < url->n_hosts; i++)
		if (!is_known(all, &url->hosts[i], slice_make(NULL, 0)) &&
		    add(all, &url->hosts[i], true) < 0)
			goto failed;
	return all;
failed:
	sentinels_free(all);
	return NULL;
}

void
sentinels_free(struct sentinels *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->n; i++)
		sentinel_free(all->members[i].sentinel);
	loop_timer_free(all->timer);
	loop_timer_free(all->sweep);
	loop_timer_free(all->ahead);
	metric_set(all->options.cells, METRIC_STORE_SENTINELS, 0);
	free(all);
}
