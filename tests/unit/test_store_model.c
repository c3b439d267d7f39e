/* SPDX-License-Identifier: ISC */
/*
 * The embedded store against a model that is too simple to be wrong: it keeps every
 * window's count for ever, and lists of slots, ids and reservations that it walks through.
 * Random sequences of everything that a store can be asked must have the same answers.
 */
#include "ledger_fixture.h"

#include <stdlib.h>

#define STEPS 60000
#define WINDOWS 8192 /* as far as time goes */
#define LIMITS 6
#define IDS 10
#define HOLDERS 40 /* the last ones, which are settled at random */

static const struct {
	const char *key;
	enum algorithm algorithm;
	int64_t max;
	bool shadow;
	bool corrects;
} rows[LIMITS] = {
	{ "fixed", ALGORITHM_FIXED, 9, false, true },
	{ "fixed_cost", ALGORITHM_FIXED, 12, false, false },
	{ "sliding", ALGORITHM_SLIDING, 9, false, true },
	{ "slots", ALGORITHM_CONCURRENCY, 3, false, false },
	{ "shadow", ALGORITHM_SLIDING, 4, true, true },
	{ "shadow_slots", ALGORITHM_CONCURRENCY, 1, true, false },
};

struct lease {
	unsigned holder;
	int64_t until_ms;
};

/* A check, as it was asked or as it was answered. */
struct asked {
	size_t n;
	size_t rows[LIMITS];
	int64_t costs[LIMITS];
	struct limit_count counts[LIMITS];
	bool lacked[LIMITS];
};

struct model_id {
	int64_t until_ms;
	unsigned what, holder;
	struct asked answer;
};

struct model_held {
	unsigned holder;
	int64_t until_ms;
	int64_t window;
	bool settled;
	struct asked charges;
};

struct model {
	int64_t now_ms;
	int64_t counts[LIMITS][WINDOWS];
	struct lease leases[LIMITS][HOLDERS];
	struct model_id ids[IDS];
	struct model_held held[HOLDERS];
};

static struct limit limits[LIMITS];
static struct model m;
static unsigned seed;

static int
roll(int sides)
{
	return rand_r(&seed) % sides;
}

static int64_t
window_now(void)
{
	return (m.now_ms - T0 / 1000) / 60000 + 1;
}

static struct limit_count
model_count(size_t row)
{
	struct limit_count count = { m.counts[row][window_now()], 0 };

	if (rows[row].algorithm == ALGORITHM_SLIDING)
		count.before = m.counts[row][window_now() - 1];
	if (rows[row].algorithm != ALGORITHM_CONCURRENCY)
		return count;
	count.used = 0;
	for (size_t i = 0; i < HOLDERS; i++) {
		int64_t left_ms = m.leases[row][i].until_ms - m.now_ms;

		if (left_ms <= 0)
			continue;
		if (count.used++ == 0 || left_ms < count.before)
			count.before = left_ms;
	}
	return count;
}

static bool
model_fits(size_t row, struct limit_count count, int64_t cost)
{
	int64_t left_ms = window_now() * 60000 - (m.now_ms - T0 / 1000);
	int64_t weight = (count.before * left_ms + 59999) / 60000;

	if (rows[row].algorithm != ALGORITHM_SLIDING)
		weight = 0;
	return count.used + cost + weight <= rows[row].max;
}

static void
model_lease(size_t row, unsigned holder, int64_t until_ms)
{
	struct lease *free_one = NULL;

	for (size_t i = 0; i < HOLDERS; i++) {
		struct lease *l = &m.leases[row][i];

		if (l->holder == holder && l->until_ms > m.now_ms) {
			l->until_ms = until_ms;
			return;
		}
		if (l->until_ms <= m.now_ms)
			free_one = l;
	}
	assert_non_null(free_one);
	*free_one = (struct lease){ holder, until_ms };
}

/* The holder's lease, or NULL. */
static struct lease *
model_lease_of(size_t row, unsigned holder)
{
	for (size_t i = 0; i < HOLDERS; i++)
		if (m.leases[row][i].holder == holder &&
		    m.leases[row][i].until_ms > m.now_ms)
			return &m.leases[row][i];
	return NULL;
}

static void
model_charge(struct asked *a, unsigned holder)
{
	for (size_t i = 0; i < a->n; i++) {
		size_t row = a->rows[i];

		if (rows[row].algorithm == ALGORITHM_CONCURRENCY)
			model_lease(row, holder, m.now_ms + TTL_MS);
		else
			m.counts[row][window_now()] += a->costs[i];
		a->counts[i] = model_count(row);
	}
}

/* Fills in what the counters hold; the first without room, or n. */
static size_t
model_weigh(struct asked *a)
{
	size_t refused = a->n;

	for (size_t i = 0; i < a->n; i++) {
		size_t row = a->rows[i];

		a->counts[i] = model_count(row);
		a->lacked[i] = !model_fits(row, a->counts[i], a->costs[i]);
		if (a->lacked[i] && !rows[row].shadow && refused == a->n)
			refused = i;
	}
	return refused;
}

/* --- takes -------------------------------------------------------------------- */

struct question {
	int id; /* -1: none */
	unsigned what, holder;
	bool look;
	struct asked asked;
};

/* What an id asks for goes by its `what`, so that retries are the same. */
static void
question_make(struct question *q, unsigned next_holder)
{
	unsigned keep;

	q->id = roll(3) ? roll(IDS) : -1;
	q->what = (unsigned)roll(4);
	q->look = roll(6) == 0;
	q->holder = roll(3) ? next_holder : 0;
	keep = seed;
	seed = q->id < 0 ? seed : (unsigned)q->id * 7 + q->what / 3;
	q->asked.n = 0;
	for (size_t row = 0; row < LIMITS; row++) {
		bool slots = rows[row].algorithm == ALGORITHM_CONCURRENCY;

		/* Slots are only for reservations. */
		if (roll(2) == 0 || (slots && (q->holder == 0 || q->id >= 0)))
			continue;
		q->asked.rows[q->asked.n] = row;
		q->asked.costs[q->asked.n++] = slots ? 1 : roll(5);
	}
	seed = keep;
	q->what /= 3;
}

static enum take_status
model_take(struct question *q, bool *replayed, unsigned *holder, size_t *refused)
{
	struct model_id *id = q->id < 0 ? NULL : &m.ids[q->id];
	bool known = id && id->until_ms > m.now_ms;

	*replayed = known && id->what == q->what;
	*holder = 0;
	if (known && !*replayed)
		return TAKE_CONFLICT;
	if (*replayed) {
		q->asked = id->answer;
		*holder = id->holder;
		return TAKE_ADMITTED;
	}
	*refused = model_weigh(&q->asked);
	if (*refused < q->asked.n)
		return TAKE_REFUSED;
	if (q->look)
		return TAKE_ADMITTED;
	model_charge(&q->asked, q->holder);
	if (id)
		*id = (struct model_id){ m.now_ms + DEDUP_MS, q->what, q->holder,
			q->asked };
	if (q->holder)
		m.held[q->holder % HOLDERS] = (struct model_held){ q->holder,
			m.now_ms + TTL_MS, window_now(), false, q->asked };
	return TAKE_ADMITTED;
}

static void
step_take(struct fixture *f, unsigned next_holder)
{
	struct question q;
	struct charge charges[LIMITS];
	struct paper p;
	struct take take;
	char name[16];
	char text[40];
	bool replayed;
	unsigned holder;
	size_t refused;
	enum take_status wanted;

	question_make(&q, next_holder);
	snprintf(name, sizeof(name), "#%d", q.id);
	paper_set(&p, q.id < 0 ? NULL : name, q.what, q.look ? 0 : q.holder);
	for (size_t i = 0; i < q.asked.n; i++) {
		size_t row = q.asked.rows[i];

		charges[i] = charge_of(&limits[row], rows[row].key, q.asked.costs[i]);
		charges[i].shadow = rows[row].shadow;
		charges[i].corrects = rows[row].corrects;
	}
	take = (struct take){ .charges = charges,
		.n = q.asked.n,
		.ledger = &p.ledger,
		.done = ignore_take,
		.look = q.look };
	store_take(f->store, &take);
	wanted = model_take(&q, &replayed, &holder, &refused);
	assert_int_equal(take.status, wanted);
	assert_int_equal(p.ledger.replayed, replayed);
	snprintf(text, sizeof(text), "%032x", holder);
	assert_string_equal(p.ledger.replayed_holder, holder ? text : "");
	if (wanted == TAKE_CONFLICT)
		return;
	if (wanted == TAKE_REFUSED)
		assert_int_equal(take.refused, refused);
	for (size_t i = 0; i < take.n; i++) {
		assert_int_equal(charges[i].count.used, q.asked.counts[i].used);
		assert_int_equal(charges[i].count.before, q.asked.counts[i].before);
		assert_int_equal(charges[i].lacked, q.asked.lacked[i]);
	}
}

/* --- settlements -------------------------------------------------------------- */

static void
model_correct(const struct model_held *h, size_t i, int64_t to)
{
	size_t row = h->charges.rows[i];
	int64_t back = rows[row].algorithm == ALGORITHM_SLIDING ? 1 : 0;
	int64_t *count = &m.counts[row][h->window];

	if (h->window < window_now() - back)
		return;
	*count += to - h->charges.costs[i];
	if (*count < 0)
		*count = 0;
}

static void
model_end(struct model_held *h, enum settle_action action, int64_t cost)
{
	for (size_t i = 0; i < h->charges.n; i++) {
		size_t row = h->charges.rows[i];
		struct lease *lease = model_lease_of(row, h->holder);

		if (lease)
			lease->until_ms = 0;
		else if (rows[row].algorithm == ALGORITHM_CONCURRENCY)
			continue;
		else if (action == SETTLE_ROLLBACK)
			model_correct(h, i, 0);
		else if (rows[row].corrects && cost >= 0)
			model_correct(h, i, cost);
	}
	h->settled = true;
	h->until_ms = m.now_ms + KEEP_MS;
}

static enum settle_status
model_renew(struct model_held *h, int64_t ttl_ms)
{
	int64_t until_ms = m.now_ms + ttl_ms;

	for (size_t i = 0; i < h->charges.n; i++)
		if (rows[h->charges.rows[i]].algorithm == ALGORITHM_CONCURRENCY &&
		    !model_lease_of(h->charges.rows[i], h->holder))
			return SETTLE_UNKNOWN;
	for (size_t row = 0; row < LIMITS; row++) {
		struct lease *lease = model_lease_of(row, h->holder);

		if (lease && lease->until_ms < until_ms)
			lease->until_ms = until_ms;
	}
	if (h->until_ms < until_ms)
		h->until_ms = until_ms;
	return SETTLE_DONE;
}

static enum settle_status
model_settle(unsigned holder, enum settle_action action, int64_t cost, int64_t ttl_ms)
{
	struct model_held *h = &m.held[holder % HOLDERS];

	if (h->holder != holder || h->until_ms <= m.now_ms)
		return SETTLE_UNKNOWN;
	if (h->settled)
		return SETTLE_ALREADY;
	if (action == SETTLE_RENEW)
		return model_renew(h, ttl_ms);
	model_end(h, action, cost);
	return SETTLE_DONE;
}

static void
step_settle(struct fixture *f, unsigned newest)
{
	unsigned back = (unsigned)roll(roll(2) ? 4 : HOLDERS);
	unsigned holder = newest > back ? newest - back : 1;
	enum settle_action action = (enum settle_action)roll(3);
	int64_t cost = roll(8) - 1;
	int64_t ttl_ms = 1000 * (1 + roll(60));

	assert_int_equal(settle_with(f->store, action, holder, cost, ttl_ms),
	    model_settle(holder, action, cost, ttl_ms));
}

static void
step_reset(struct fixture *f)
{
	size_t row = (size_t)roll(LIMITS);
	struct slice key = slice_str(rows[row].key);
	struct reset reset = { .keys = &key, .n = 1, .done = ignore_reset };

	store_reset(f->store, &reset);
	memset(m.counts[row], 0, sizeof(m.counts[row]));
	memset(m.leases[row], 0, sizeof(m.leases[row]));
}

/* Often to where something ends. */
static void
step_time(struct fixture *f)
{
	static const int64_t jumps_ms[] = { 1, 999, 5000, 12345, 29999 };
	int64_t to_edge_ms = 60000 - (m.now_ms - T0 / 1000) % 60000;

	if (roll(12) == 0)
		m.now_ms += to_edge_ms - roll(2);
	else if (roll(60) == 0)
		m.now_ms += TTL_MS + roll(3) - 1;
	else
		m.now_ms += jumps_ms[roll(5)];
	f->now_us = m.now_ms * 1000 + roll(1000);
}

static void
test_same_as_the_model(void **state)
{
	const char *given = getenv("SEED");
	struct fixture f;
	unsigned holder = 1;

	(void)state;
	seed = given ? (unsigned)strtoul(given, NULL, 10) : hash_random(UINT32_MAX);
	print_message("SEED=%u\n", seed);
	memset(&m, 0, sizeof(m));
	fixture_open(&f, 0);
	m.now_ms = T0 / 1000;
	for (size_t i = 0; i < LIMITS; i++)
		limits[i] = (struct limit){ .algorithm = rows[i].algorithm,
			.max = rows[i].max,
			.window = f.minute.window };
	for (int i = 0; i < STEPS && window_now() < WINDOWS - 2; i++) {
		int what = roll(20);

		if (what < 11)
			step_take(&f, holder++);
		else if (what < 17)
			step_settle(&f, holder - 1);
		else if (what < 19)
			step_time(&f);
		else if (roll(4) == 0)
			step_reset(&f);
	}
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_as_the_model),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
