/* SPDX-License-Identifier: ISC */
#include "store/deny_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SETS 1024 /* a power of two */
#define WAYS 4
#define CHARGES_MAX 8 /* takes with more are not remembered */

/* Of the counters' keys only a hash is kept, as wide as the digest of a long part of a
 * key; it is keyed, so that nobody can construct a collision. */
struct entry {
	uint64_t keys[2];
	uint64_t epoch;
	int64_t until_us; /* clock_mono_us(); 0: the entry is free */
	int64_t renew_us; /* the first take after that is let through */
	bool renewing;
	int64_t decided_us;
	int64_t store_us; /* the store's clock at the refusal */
	size_t n;
	struct limit_count counts[CHARGES_MAX];
};

struct deny_cache {
	struct deny_epoch *epoch;
	int64_t keep_us;
	int64_t latest_us; /* when the last entry ends */
	struct entry sets[SETS][WAYS];
};

struct deny_cache *
deny_cache_new(int64_t keep_ms, struct deny_epoch *epoch)
{
	struct deny_cache *dc = calloc(1, sizeof(*dc));

	if (!dc)
		return NULL;
	dc->epoch = epoch;
	dc->keep_us = keep_ms * 1000;
	return dc;
}

void
deny_cache_free(struct deny_cache *dc)
{
	free(dc);
}

uint64_t
deny_epoch_now(const struct deny_epoch *epoch)
{
	return atomic_load(&epoch->n);
}

void
deny_epoch_end(struct deny_epoch *epoch)
{
	atomic_fetch_add(&epoch->n, 1);
}

bool
deny_cache_is_empty(const struct deny_cache *dc)
{
	return dc->latest_us == 0;
}

/* --- finding ------------------------------------------------------------------ */

/* n is at most CHARGES_MAX. */
static void
hash_keys(const struct take *take, uint64_t out[2])
{
	uint64_t each[CHARGES_MAX][2];

	for (size_t j = 0; j < take->n; j++)
		hash_bytes_wide(
		    take->charges[j].key.ptr, take->charges[j].key.len, each[j]);
	hash_bytes_wide(each, take->n * sizeof(each[0]), out);
}

static bool
is_of(const struct entry *e, const struct take *take, const uint64_t keys[2])
{
	return e->until_us > 0 && e->keys[0] == keys[0] && e->keys[1] == keys[1] &&
	    e->n == take->n;
}

/* The entry of these keys; without one, the entry that ends first. */
static struct entry *
find_place(struct deny_cache *dc, const struct take *take, const uint64_t keys[2])
{
	struct entry *set = dc->sets[keys[0] & (SETS - 1)];
	struct entry *first = set;

	for (size_t i = 0; i < WAYS; i++) {
		if (is_of(&set[i], take, keys))
			return &set[i];
		if (set[i].until_us < first->until_us)
			first = &set[i];
	}
	return first;
}

/* --- remembering -------------------------------------------------------------- */

/* A shadow charge that lacked may have had a key that cannot be charged at all. */
static bool
can_be_foretold(const struct charge *c, int64_t now_us)
{
	if (c->limit->algorithm == ALGORITHM_CONCURRENCY)
		return false;
	return !c->shadow ||
	    c->lacked != limit_fits(c->limit, c->count, c->cost, now_us);
}

static bool
is_worth_it(const struct take *take)
{
	if (take->look || take->status != TAKE_REFUSED || take->n > CHARGES_MAX)
		return false;
	if (take->charges[take->refused].limit->algorithm != ALGORITHM_FIXED)
		return false;
	for (size_t j = 0; j < take->n; j++)
		if (!can_be_foretold(&take->charges[j], take->now_us))
			return false;
	return true;
}

/* How long until the first of the take's windows ends, by the store's clock. */
static int64_t
windows_left_us(const struct take *take)
{
	int64_t least_us = INT64_MAX;

	for (size_t j = 0; j < take->n; j++) {
		const struct limit *l = take->charges[j].limit;
		int64_t left_us;

		if (l->algorithm == ALGORITHM_TOKEN_BUCKET)
			continue;
		left_us = window_end_ms(&l->window, take->now_us) * 1000 - take->now_us;
		if (left_us < least_us)
			least_us = left_us;
	}
	return least_us;
}

void
deny_cache_put(
    struct deny_cache *dc, const struct take *take, const struct deny_moment *moment)
{
	int64_t keep_us = dc->keep_us;
	int64_t left_us;
	uint64_t keys[2];
	struct entry *e;

	if (moment->epoch != deny_epoch_now(dc->epoch) || !is_worth_it(take))
		return;
	/* Counted from when the take was sent: the store's clock showed now_us no earlier
	 * than that, so the entry ends before the window does. */
	left_us = windows_left_us(take);
	if (left_us < keep_us)
		keep_us = left_us;
	hash_keys(take, keys);
	e = find_place(dc, take, keys);
	*e = (struct entry){ .keys = { keys[0], keys[1] },
		.epoch = moment->epoch,
		.until_us = moment->sent_us + keep_us,
		.renew_us = moment->sent_us + dc->keep_us / 5 * 4,
		.decided_us = moment->decided_us,
		.store_us = take->now_us,
		.n = take->n };
	for (size_t j = 0; j < take->n; j++)
		e->counts[j] = take->charges[j].count;
	if (e->until_us > dc->latest_us)
		dc->latest_us = e->until_us;
}

/* --- refusing ----------------------------------------------------------------- */

static int64_t
take_off(int64_t *us, int64_t elapsed_us)
{
	int64_t less_us = *us < elapsed_us ? *us : elapsed_us;

	*us -= less_us;
	return elapsed_us - less_us;
}

/* A count as it stands some time later in the same window. */
static struct limit_count
later(const struct limit *l, struct limit_count count, int64_t elapsed_us)
{
	if (l->algorithm == ALGORITHM_TOKEN_BUCKET)
		take_off(&count.before, take_off(&count.used, elapsed_us));
	return count;
}

/* The first limit that lacks room; n when none does. */
static size_t
find_refusal(const struct entry *e, const struct take *take, int64_t elapsed_us)
{
	for (size_t j = 0; j < take->n; j++) {
		const struct charge *c = &take->charges[j];

		if (!c->shadow &&
		    !limit_fits(c->limit, later(c->limit, e->counts[j], elapsed_us),
			c->cost, e->store_us + elapsed_us))
			return j;
	}
	return take->n;
}

static void
fill_in(const struct entry *e, struct take *take, size_t refused, int64_t elapsed_us)
{
	take->status = TAKE_REFUSED;
	take->refused = refused;
	take->now_us = e->store_us + elapsed_us;
	take->fault = FAULT_NONE;
	take->detail[0] = '\0';
	if (take->ledger)
		take->ledger->replayed = false;
	for (size_t j = 0; j < take->n; j++) {
		struct charge *c = &take->charges[j];

		c->count = later(c->limit, e->counts[j], elapsed_us);
		c->lacked = j == refused ||
		    (c->shadow &&
			!limit_fits(c->limit, c->count, c->cost, take->now_us));
	}
}

/* The take's entry, if it is still good; NULL when the store has to be asked. */
static struct entry *
find_live(struct deny_cache *dc, const struct take *take, int64_t mono_us)
{
	uint64_t keys[2];
	struct entry *e;

	hash_keys(take, keys);
	e = find_place(dc, take, keys);
	if (!is_of(e, take, keys) || e->until_us <= mono_us ||
	    e->epoch != deny_epoch_now(dc->epoch))
		return NULL;
	if (mono_us < e->renew_us || e->renewing)
		return e;
	e->renewing = true;
	return NULL;
}

bool
deny_cache_refuse(struct deny_cache *dc, struct take *take, int64_t mono_us)
{
	struct entry *e;
	size_t refused;
	int64_t elapsed_us;

	if (dc->latest_us <= mono_us) {
		dc->latest_us = 0;
		return false;
	}
	if (take->look || take->n > CHARGES_MAX || take->n == 0 ||
	    (take->ledger && take->ledger->id_key.len > 0))
		return false;
	e = find_live(dc, take, mono_us);
	if (!e)
		return false;
	elapsed_us = mono_us > e->decided_us ? mono_us - e->decided_us : 0;
	refused = find_refusal(e, take, elapsed_us);
	if (refused == take->n) {
		/* It may be admitted, which would change the counts. */
		e->until_us = 0;
		return false;
	}
	/* Whether another limit would refuse is not certain. */
	if (take->charges[refused].limit->algorithm != ALGORITHM_FIXED)
		return false;
	fill_in(e, take, refused, elapsed_us);
	return true;
}
