/* SPDX-License-Identifier: ISC */
/*
 * The plainest store there can be: arrays of counters, slots and records, and limit/ for
 * the rest. It is what the other two are held against, so what a settlement does to a
 * counter is written out here once more, in its own way, and nothing is ever dropped:
 * what is over is told by the time alone.
 */
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "base/num.h"

#define COUNTERS_MAX 10000
#define SLOTS_MAX 10000
#define RECORDS_MAX 40000
#define HEX_LEN 32 /* of a holder, and of a print */

struct text {
	char *ptr;
	size_t len;
};

/* One charge of a reservation: what was charged, and in which window. */
struct held {
	struct text key;
	enum algorithm algorithm;
	int64_t cost;
	bool corrects;
	int64_t end_ms;      /* fixed, sliding: of the charged window */
	int64_t next_end_ms; /* sliding: of the one behind it */
	int64_t full_us;     /* bucket: the charge counts until then */
	int64_t interval_us;
};

struct reservation_row {
	struct text key;
	int64_t until_ms;
	bool settled;
	struct held *held;
	size_t n;
};

struct answer_row {
	struct text key;
	int64_t until_ms;
	int64_t now_us;
	char print[HEX_LEN];
	char holder[HEX_LEN + 1];
	struct {
		struct limit_count count;
		bool lacked;
	} * limits;
	size_t n;
};

static struct {
	struct store store;
	int64_t now_us;
	struct {
		struct text key;
		struct limit_state state;
	} counters[COUNTERS_MAX];
	size_t n;
	struct slot_row {
		struct text key;
		char holder[HEX_LEN];
		int64_t until_ms;
	} slots[SLOTS_MAX];
	size_t n_slots;
	struct reservation_row reservations[RECORDS_MAX];
	size_t n_reservations;
	struct answer_row answers[RECORDS_MAX];
	size_t n_answers;
} model;

static struct text
copy(struct slice s)
{
	struct text text = { malloc(s.len + 1), s.len };

	if (!text.ptr)
		abort();
	memcpy(text.ptr, s.ptr, s.len);
	return text;
}

static bool
is(struct text text, struct slice s)
{
	return slice_eq(slice_make(text.ptr, text.len), s);
}

static struct slice
slice_of(struct text text)
{
	return slice_make(text.ptr, text.len);
}

static int64_t
now_ms(void)
{
	return model.now_us / 1000;
}

/* --- counters ------------------------------------------------------------------- */

static struct limit_state *
find(struct slice key)
{
	size_t i;

	for (i = 0; i < model.n; i++)
		if (is(model.counters[i].key, key))
			return &model.counters[i].state;
	if (i == COUNTERS_MAX)
		abort();
	model.counters[i].key = copy(key);
	model.counters[i].state = (struct limit_state){ 0 };
	model.n++;
	return &model.counters[i].state;
}

static bool
is_slots(const struct charge *c)
{
	return c->limit->algorithm == ALGORITHM_CONCURRENCY;
}

/* A lease is over from its last ms on. */
static bool
is_live(const struct slot_row *slot)
{
	return slot->until_ms > now_ms();
}

static struct limit_count
count_slots(struct slice key)
{
	struct limit_count count = { 0, 0 };

	for (size_t i = 0; i < model.n_slots; i++) {
		const struct slot_row *slot = &model.slots[i];
		int64_t left_ms = slot->until_ms - now_ms();

		if (!is(slot->key, key) || !is_live(slot))
			continue;
		if (count.used++ == 0 || left_ms < count.before)
			count.before = left_ms;
	}
	return count;
}

static void
add_slot(struct slice key, const struct ledger *ledger)
{
	struct slot_row *slot = &model.slots[model.n_slots++];

	if (model.n_slots == SLOTS_MAX)
		abort();
	slot->key = copy(key);
	memcpy(slot->holder, ledger->holder.ptr, HEX_LEN);
	slot->until_ms = now_ms() + ledger->ttl_ms;
}

static struct slot_row *
find_slot(struct slice key, struct slice holder)
{
	for (size_t i = 0; i < model.n_slots; i++)
		if (is(model.slots[i].key, key) && is_live(&model.slots[i]) &&
		    slice_eq(slice_make(model.slots[i].holder, HEX_LEN), holder))
			return &model.slots[i];
	return NULL;
}

/* --- takes ---------------------------------------------------------------------- */

static void
count_charge(struct charge *c)
{
	if (is_slots(c))
		c->count = count_slots(c->key);
	else
		c->count = limit_count(c->limit, find(c->key), model.now_us);
}

static bool
has_room(const struct charge *c)
{
	if (is_slots(c))
		return c->count.used < c->limit->max;
	return limit_fits(c->limit, limit_count(c->limit, find(c->key), model.now_us),
	    c->cost, model.now_us);
}

/* What a settlement has to know of a charge that was just made. */
static struct held
hold(const struct charge *c, int64_t cost)
{
	struct held held = { .key = copy(c->key),
		.algorithm = c->limit->algorithm,
		.cost = cost,
		.corrects = c->corrects };
	const struct window *w = &c->limit->window;

	if (held.algorithm == ALGORITHM_TOKEN_BUCKET) {
		held.full_us = model.now_us + c->count.used + c->count.before;
		held.interval_us = c->limit->interval_us;
	} else if (held.algorithm != ALGORITHM_CONCURRENCY) {
		held.end_ms = window_end_ms(w, model.now_us);
		held.next_end_ms = window_end_ms(w, held.end_ms * 1000);
	}
	return held;
}

/* Makes one charge; `row` remembers it, where there is a reservation. */
static void
make_charge(struct charge *c, const struct ledger *ledger, struct reservation_row *row)
{
	int64_t cost = is_slots(c) ? 1 : 0;

	if (is_slots(c))
		add_slot(c->key, ledger);
	else if (c->cost > 0)
		cost = limit_charge(c->limit, find(c->key), c->cost, model.now_us);
	count_charge(c);
	/* A shadow charge of which nothing was counted is none. */
	if (row && (cost > 0 || c->cost == 0))
		row->held[row->n++] = hold(c, cost);
}

static struct reservation_row *
add_reservation(const struct ledger *ledger, size_t n)
{
	struct reservation_row *row = &model.reservations[model.n_reservations++];

	if (model.n_reservations == RECORDS_MAX)
		abort();
	*row = (struct reservation_row){ .key = copy(ledger->held_key),
		.until_ms = now_ms() + ledger->ttl_ms,
		.held = calloc(n + 1, sizeof(*row->held)) };
	if (!row->held)
		abort();
	return row;
}

static void
add_answer(const struct take *take)
{
	const struct ledger *ledger = take->ledger;
	struct answer_row *row = &model.answers[model.n_answers++];

	if (model.n_answers == RECORDS_MAX)
		abort();
	*row = (struct answer_row){ .key = copy(ledger->id_key),
		.until_ms = now_ms() + ledger->dedup_ms,
		.now_us = model.now_us,
		.limits = calloc(take->n + 1, sizeof(*row->limits)),
		.n = take->n };
	if (!row->limits)
		abort();
	memcpy(row->print, ledger->print.ptr, HEX_LEN);
	if (ledger->held_key.len > 0)
		memcpy(row->holder, ledger->holder.ptr, HEX_LEN);
	for (size_t i = 0; i < take->n; i++) {
		row->limits[i].count = take->charges[i].count;
		row->limits[i].lacked = take->charges[i].lacked;
	}
}

/* The answer of then, if its id is known. Whether it is. */
static bool
replay(struct take *take)
{
	struct ledger *ledger = take->ledger;
	const struct answer_row *row = NULL;

	for (size_t i = 0; ledger && ledger->id_key.len > 0 && i < model.n_answers; i++)
		if (is(model.answers[i].key, ledger->id_key) &&
		    model.answers[i].until_ms > now_ms())
			row = &model.answers[i];
	if (!row)
		return false;
	if (memcmp(row->print, ledger->print.ptr, HEX_LEN) != 0 || row->n != take->n) {
		take->status = TAKE_CONFLICT;
		return true;
	}
	for (size_t i = 0; i < take->n; i++) {
		take->charges[i].count = row->limits[i].count;
		take->charges[i].lacked = row->limits[i].lacked;
	}
	take->now_us = row->now_us;
	ledger->replayed = true;
	memcpy(ledger->replayed_holder, row->holder, sizeof(row->holder));
	return true;
}

static void
admit(struct take *take)
{
	struct ledger *ledger = take->ledger;
	struct reservation_row *row = ledger && ledger->held_key.len > 0
	    ? add_reservation(ledger, take->n)
	    : NULL;

	for (size_t i = 0; i < take->n; i++)
		make_charge(&take->charges[i], ledger, row);
	if (ledger && ledger->id_key.len > 0)
		add_answer(take);
}

static void
limit_take(struct store *store, struct take *take)
{
	bool replayed;

	(void)store;
	take->now_us = model.now_us;
	take->status = TAKE_ADMITTED;
	if (take->ledger) {
		take->ledger->replayed = false;
		take->ledger->replayed_holder[0] = '\0';
	}
	replayed = replay(take);
	for (size_t i = take->n; !replayed && i-- > 0;) {
		struct charge *c = &take->charges[i];

		count_charge(c);
		c->lacked = !has_room(c);
		if (!c->lacked || c->shadow)
			continue;
		take->status = TAKE_REFUSED;
		take->refused = i;
	}
	if (!replayed && take->status == TAKE_ADMITTED && !take->look)
		admit(take);
	take->done(take);
}

/* --- settlements ---------------------------------------------------------------- */

/* Up it stops at NUM_MAX, down at 0. */
static int64_t
moved(int64_t count, int64_t by)
{
	if (by > NUM_MAX - count)
		return NUM_MAX;
	return count + by > 0 ? count + by : 0;
}

static void
correct_fixed(const struct held *held, struct limit_state *s, int64_t by)
{
	if (held->end_ms <= now_ms())
		return;
	if (s->end_ms == held->end_ms)
		s->used = moved(s->used, by);
	else if (by > 0)
		*s = (struct limit_state){ by, 0, held->end_ms };
}

/*
 * The charged window is this one, or the one before it. A counter of which neither is
 * known was reset, or was charged with nothing: it begins again upwards.
 */
static void
correct_sliding(const struct held *held, struct limit_state *s, int64_t by)
{
	if (held->next_end_ms <= now_ms())
		return;
	if (s->end_ms > held->next_end_ms) /* a window behind it is the current one */
		s->before = moved(s->before, by);
	else if (s->end_ms == held->next_end_ms)
		s->used = moved(s->used, by);
	else if (by > 0)
		*s = (struct limit_state){ by, s->end_ms > now_ms() ? s->used : 0,
			held->next_end_ms };
}

/*
 * A bucket knows what it lacks, and what of that lack was given back and would not have
 * come back by itself until now. So there are two ways to be full again, and a charge
 * counts until the later one, as it was right behind the charge.
 */
static void
correct_bucket(const struct held *held, struct limit_state *s, int64_t by)
{
	int64_t lack_us = s->used > model.now_us ? s->used - model.now_us : 0;
	int64_t both_us = s->before > model.now_us ? s->before - model.now_us : 0;
	int64_t given_us = both_us > lack_us ? both_us - lack_us : 0;
	int64_t left_us = held->full_us - model.now_us;
	bool last = s->before == held->full_us;
	__extension__ __int128 by_us = (__int128)by * held->interval_us;

	/* What was used is used, whenever it is told. */
	if (by > 0) {
		if (by_us > NUM_MAX - given_us - model.now_us - lack_us)
			by_us = NUM_MAX - given_us - model.now_us - lack_us;
		s->used = model.now_us + lack_us + (int64_t)by_us;
		s->before = s->used + given_us;
		s->end_ms = s->before / 1000 + (s->before % 1000 > 0);
		return;
	}
	if (-by_us > left_us - given_us)
		by_us = given_us - left_us;
	if (!last && -by_us > BUCKET_GIVEN_US_MAX - given_us)
		by_us = given_us - BUCKET_GIVEN_US_MAX;
	/* It was reset, or else it would know of the charge. */
	if (by_us >= 0 || s->before < held->full_us)
		return;
	s->used += (int64_t)by_us;
	/* Nothing came after it: then it has never been. */
	if (last)
		s->before += (int64_t)by_us;
}

static void
correct(const struct held *held, int64_t by)
{
	static void (*const corrections[])(
	    const struct held *, struct limit_state *, int64_t by) = {
		[ALGORITHM_FIXED] = correct_fixed,
		[ALGORITHM_SLIDING] = correct_sliding,
		[ALGORITHM_TOKEN_BUCKET] = correct_bucket,
	};

	if (by != 0 && held->algorithm != ALGORITHM_CONCURRENCY)
		corrections[held->algorithm](held, find(slice_of(held->key)), by);
}

static void
free_slots(const struct reservation_row *row, struct slice holder)
{
	for (size_t i = 0; i < row->n; i++) {
		struct slot_row *slot = row->held[i].algorithm == ALGORITHM_CONCURRENCY
		    ? find_slot(slice_of(row->held[i].key), holder)
		    : NULL;

		if (slot)
			slot->until_ms = 0;
	}
}

static void
settle_charges(struct reservation_row *row, const struct settle *settle)
{
	for (size_t i = 0; i < row->n; i++) {
		const struct held *held = &row->held[i];

		if (settle->action == SETTLE_ROLLBACK)
			correct(held, -held->cost);
		else if (settle->cost >= 0 && held->corrects)
			correct(held, settle->cost - held->cost);
	}
	free_slots(row, settle->holder);
	row->settled = true;
	row->until_ms = now_ms() + settle->keep_ms;
}

static void
prolong(int64_t *until_ms, int64_t ttl_ms)
{
	if (*until_ms < now_ms() + ttl_ms)
		*until_ms = now_ms() + ttl_ms;
}

/* All of it, or nothing when it lost a slot. */
static enum settle_status
renew(struct reservation_row *row, const struct settle *settle)
{
	struct slot_row *slots[TAKE_CHARGES_MAX];
	size_t n = 0;

	for (size_t i = 0; i < row->n; i++) {
		if (row->held[i].algorithm != ALGORITHM_CONCURRENCY)
			continue;
		slots[n] = find_slot(slice_of(row->held[i].key), settle->holder);
		if (!slots[n++])
			return SETTLE_UNKNOWN;
	}
	for (size_t i = 0; i < n; i++)
		prolong(&slots[i]->until_ms, settle->ttl_ms);
	prolong(&row->until_ms, settle->ttl_ms);
	return SETTLE_DONE;
}

static void
limit_settle(struct store *store, struct settle *settle)
{
	struct reservation_row *row = NULL;

	(void)store;
	for (size_t i = 0; i < model.n_reservations; i++)
		if (is(model.reservations[i].key, settle->key) &&
		    model.reservations[i].until_ms > now_ms())
			row = &model.reservations[i];
	settle->status = SETTLE_DONE;
	if (!row)
		settle->status = SETTLE_UNKNOWN;
	else if (row->settled)
		settle->status = SETTLE_ALREADY;
	else if (settle->action == SETTLE_RENEW)
		settle->status = renew(row, settle);
	else
		settle_charges(row, settle);
	settle->done(settle);
}

/* --- resets --------------------------------------------------------------------- */

static void
forget_slots(struct slice key)
{
	for (size_t i = 0; i < model.n_slots; i++)
		if (is(model.slots[i].key, key))
			model.slots[i].until_ms = 0;
}

static void
limit_reset(struct store *store, struct reset *reset)
{
	(void)store;
	reset->held = 0;
	reset->fault = FAULT_NONE;
	for (size_t i = 0; i < reset->n; i++) {
		struct limit_state *s = find(reset->keys[i]);

		reset->held +=
		    !limit_expired(s, model.now_us) || count_slots(reset->keys[i]).used;
		forget_slots(reset->keys[i]);
		*s = (struct limit_state){ 0 };
	}
	reset->done(reset);
}

/* --- the backend ---------------------------------------------------------------- */

static bool
limit_clear(void)
{
	while (model.n > 0)
		free(model.counters[--model.n].key.ptr);
	while (model.n_slots > 0)
		free(model.slots[--model.n_slots].key.ptr);
	while (model.n_answers > 0) {
		free(model.answers[--model.n_answers].key.ptr);
		free(model.answers[model.n_answers].limits);
	}
	while (model.n_reservations > 0) {
		struct reservation_row *row =
		    &model.reservations[--model.n_reservations];

		for (size_t i = 0; i < row->n; i++)
			free(row->held[i].key.ptr);
		free(row->held);
		free(row->key.ptr);
	}
	return true;
}

static void
limit_set_time(int64_t now_us)
{
	model.now_us = now_us;
}

static struct store *
limit_open(struct metric_cells *cells)
{
	static const struct store_ops ops = { .name = "limit",
		.take = limit_take,
		.settle = limit_settle,
		.reset = limit_reset };

	model.store = (struct store){ &ops, cells };
	return &model.store;
}

static void
limit_close(void)
{
	limit_clear();
}

const struct backend_ops backend_limit = {
	.name = "limit",
	.open = limit_open,
	.close = limit_close,
	.clear = limit_clear,
	.set_time = limit_set_time,
};
