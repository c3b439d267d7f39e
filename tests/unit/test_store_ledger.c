/* SPDX-License-Identifier: ISC */
/* The embedded store's memory of what it admitted: request ids, reservations, slots. */
#include "ledger_fixture.h"

#include <pthread.h>

#include "base/num.h"

static const struct limit two_slots = { .algorithm = ALGORITHM_CONCURRENCY, .max = 2 };

/* How the counter stands, charging nothing. */
static int64_t
used_of(struct fixture *f, const struct limit *limit, const char *key)
{
	struct charge c = charge_of(limit, key, 0);
	struct take take = { .charges = &c, .n = 1, .done = ignore_take, .look = true };

	store_take(f->store, &take);
	return c.count.used;
}

/* A reservation of `cost` in the minute's counter "a". */
static enum take_status
reserve(struct fixture *f, unsigned holder, int64_t cost)
{
	struct charge c = charge_of(&f->minute, "a", cost);
	struct paper p;
	struct take take;

	c.corrects = true;
	paper_set(&p, NULL, 0, holder);
	return take_with(f->store, &c, 1, &p, &take);
}

static enum take_status
reserve_slot(struct fixture *f, unsigned holder, struct limit_count *count)
{
	struct charge c = charge_of(&two_slots, "s", 1);
	struct paper p;
	struct take take;

	paper_set(&p, NULL, 0, holder);
	take_with(f->store, &c, 1, &p, &take);
	if (count)
		*count = c.count;
	return take.status;
}

static void
test_id_is_charged_once(void **state)
{
	struct fixture f;
	struct paper p;
	struct charge c[2];
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	paper_set(&p, "#id", 1, 0);
	for (int i = 0; i < 3; i++) {
		c[0] = charge_of(&f.minute, "a", 2);
		c[1] = charge_of(&f.minute, "b", 5);
		c[1].shadow = true;
		assert_int_equal(take_with(f.store, c, 2, &p, &take), TAKE_ADMITTED);
		assert_int_equal(p.ledger.replayed, i > 0);
		assert_string_equal(p.ledger.replayed_holder, "");
		assert_true(take.now_us == T0);
		assert_int_equal(c[0].count.used, 2);
		assert_int_equal(c[1].count.used, 5);
		assert_false(c[0].lacked);
		assert_true(c[1].lacked);
		/* It is the answer of then, whatever happened since. */
		f.now_us += 100000000;
	}
	assert_int_equal(used_of(&f, &f.minute, "a"), 0);
	f.now_us = T0 + DEDUP_MS * INT64_C(1000) - 1;
	assert_int_equal(take_with(f.store, c, 2, &p, &take), TAKE_ADMITTED);
	assert_true(p.ledger.replayed);
	f.now_us++;
	assert_int_equal(take_with(f.store, c, 2, &p, &take), TAKE_ADMITTED);
	assert_false(p.ledger.replayed);
	assert_int_equal(used_of(&f, &f.minute, "a"), 2);
	fixture_close(&f);
}

static void
test_id_for_something_else(void **state)
{
	struct fixture f;
	struct paper p;
	struct charge c;
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	c = charge_of(&f.minute, "a", 1);
	paper_set(&p, "#id", 1, 0);
	assert_int_equal(take_with(f.store, &c, 1, &p, &take), TAKE_ADMITTED);
	paper_set(&p, "#id", 2, 0);
	assert_int_equal(take_with(f.store, &c, 1, &p, &take), TAKE_CONFLICT);
	assert_false(p.ledger.replayed);
	assert_int_equal(take_with(f.store, &c, 0, &p, &take), TAKE_CONFLICT);
	take.look = true;
	store_take(f.store, &take);
	assert_int_equal(take.status, TAKE_CONFLICT);
	assert_int_equal(used_of(&f, &f.minute, "a"), 1);
	fixture_close(&f);
}

static void
test_refused_leaves_nothing(void **state)
{
	struct fixture f;
	struct paper p;
	struct charge c[2];
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	c[0] = charge_of(&two_slots, "s", 1);
	c[1] = charge_of(&f.minute, "a", 4);
	paper_set(&p, "#id", 1, 1);
	assert_int_equal(take_with(f.store, c, 2, &p, &take), TAKE_REFUSED);
	assert_int_equal(take.refused, 1);
	assert_int_equal(memory_count(f.memory), 0);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, -1, 0), SETTLE_UNKNOWN);
	c[1].cost = 3;
	assert_int_equal(take_with(f.store, c, 2, &p, &take), TAKE_ADMITTED);
	assert_false(p.ledger.replayed);
	assert_int_equal(memory_count(f.memory), 4);
	fixture_close(&f);
}

/* A look is answered as the retry would be, and remembers nothing. */
static void
test_look(void **state)
{
	struct fixture f;
	struct paper p;
	struct charge c[2];
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	c[0] = charge_of(&f.minute, "a", 3);
	c[1] = charge_of(&two_slots, "s", 1);
	paper_set(&p, "#id", 1, 0);
	take = (struct take){ .charges = c,
		.n = 2,
		.ledger = &p.ledger,
		.done = ignore_take,
		.look = true };
	store_take(f.store, &take);
	assert_int_equal(take.status, TAKE_ADMITTED);
	assert_false(p.ledger.replayed);
	assert_int_equal(memory_count(f.memory), 0);
	paper_set(&p, "#id", 1, 7);
	take.look = false;
	store_take(f.store, &take);
	take.look = true;
	store_take(f.store, &take);
	assert_int_equal(take.status, TAKE_ADMITTED);
	assert_true(p.ledger.replayed);
	assert_string_equal(p.ledger.replayed_holder, p.holder);
	assert_int_equal(c[0].count.used, 3);
	assert_int_equal(c[1].count.used, 1);
	fixture_close(&f);
}

/* Ids and reservations are for tools without limits, too. */
static void
test_without_charges(void **state)
{
	struct fixture f;
	struct paper p;
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	paper_set(&p, "#id", 1, 1);
	assert_int_equal(take_with(f.store, NULL, 0, &p, &take), TAKE_ADMITTED);
	assert_false(p.ledger.replayed);
	assert_int_equal(take_with(f.store, NULL, 0, &p, &take), TAKE_ADMITTED);
	assert_true(p.ledger.replayed);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, 5, 0), SETTLE_DONE);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, 5, 0), SETTLE_ALREADY);
	fixture_close(&f);
}

static void
test_commit(void **state)
{
	struct fixture f;
	struct charge c[3];
	struct paper p;
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	c[0] = charge_of(&f.minute, "a", 1);
	c[1] = charge_of(&f.minute, "b", 2);
	c[2] = charge_of(&f.minute, "free", 0);
	c[0].corrects = c[2].corrects = true;
	paper_set(&p, NULL, 0, 1);
	assert_int_equal(take_with(f.store, c, 3, &p, &take), TAKE_ADMITTED);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, 9, 0), SETTLE_DONE);
	/* The truth counts, also past max, and where nothing was known at first. */
	assert_int_equal(used_of(&f, &f.minute, "a"), 9);
	assert_int_equal(used_of(&f, &f.minute, "b"), 2);
	assert_int_equal(used_of(&f, &f.minute, "free"), 9);
	for (int action = SETTLE_COMMIT; action <= SETTLE_RENEW; action++)
		assert_int_equal(
		    settle_with(f.store, (enum settle_action)action, 1, 0, TTL_MS),
		    SETTLE_ALREADY);
	assert_int_equal(used_of(&f, &f.minute, "a"), 9);
	assert_int_equal(reserve(&f, 2, 0), TAKE_REFUSED);
	f.now_us += KEEP_MS * INT64_C(1000) - 1;
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, 0, 0), SETTLE_ALREADY);
	f.now_us++;
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, 0, 0), SETTLE_UNKNOWN);
	fixture_close(&f);
}

static void
test_commit_as_charged_or_less(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	assert_int_equal(reserve(&f, 1, 2), TAKE_ADMITTED);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, -1, 0), SETTLE_DONE);
	assert_int_equal(used_of(&f, &f.minute, "a"), 2);
	assert_int_equal(reserve(&f, 2, 1), TAKE_ADMITTED);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 2, 0, 0), SETTLE_DONE);
	assert_int_equal(used_of(&f, &f.minute, "a"), 2);
	fixture_close(&f);
}

static void
test_rollback(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	assert_int_equal(reserve(&f, 1, 2), TAKE_ADMITTED);
	assert_int_equal(reserve(&f, 2, 1), TAKE_ADMITTED);
	assert_int_equal(settle_with(f.store, SETTLE_ROLLBACK, 1, 7, 0), SETTLE_DONE);
	assert_int_equal(
	    settle_with(f.store, SETTLE_ROLLBACK, 1, 7, 0), SETTLE_ALREADY);
	assert_int_equal(used_of(&f, &f.minute, "a"), 1);
	assert_int_equal(
	    settle_with(f.store, SETTLE_ROLLBACK, 3, 7, 0), SETTLE_UNKNOWN);
	/* The next window is not touched, in neither direction. */
	f.now_us = T0 + MINUTE_US - 1;
	assert_int_equal(reserve(&f, 4, 1), TAKE_ADMITTED);
	assert_int_equal(reserve(&f, 5, 1), TAKE_ADMITTED);
	f.now_us++;
	assert_int_equal(reserve(&f, 6, 1), TAKE_ADMITTED);
	assert_int_equal(settle_with(f.store, SETTLE_ROLLBACK, 4, -1, 0), SETTLE_DONE);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 5, 100, 0), SETTLE_DONE);
	assert_int_equal(used_of(&f, &f.minute, "a"), 1);
	fixture_close(&f);
}

/* What nobody settles stands when its time is over. */
static void
test_unsettled(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	f.minute.max = 10;
	assert_int_equal(reserve(&f, 1, 2), TAKE_ADMITTED);
	assert_int_equal(reserve(&f, 2, 2), TAKE_ADMITTED);
	f.now_us += TTL_MS * INT64_C(1000) - 1;
	assert_int_equal(settle_with(f.store, SETTLE_ROLLBACK, 1, -1, 0), SETTLE_DONE);
	f.now_us++;
	assert_int_equal(
	    settle_with(f.store, SETTLE_ROLLBACK, 2, -1, 0), SETTLE_UNKNOWN);
	assert_int_equal(
	    settle_with(f.store, SETTLE_RENEW, 2, -1, TTL_MS), SETTLE_UNKNOWN);
	assert_int_equal(used_of(&f, &f.minute, "a"), 2);
	fixture_close(&f);
}

static void
test_slots(void **state)
{
	struct fixture f;
	struct limit_count count;

	(void)state;
	fixture_open(&f, 0);
	assert_int_equal(reserve_slot(&f, 1, &count), TAKE_ADMITTED);
	assert_int_equal(count.used, 1);
	assert_int_equal(count.before, TTL_MS);
	f.now_us += 1000000;
	assert_int_equal(reserve_slot(&f, 2, &count), TAKE_ADMITTED);
	assert_int_equal(count.used, 2);
	assert_int_equal(count.before, TTL_MS - 1000);
	assert_int_equal(reserve_slot(&f, 3, &count), TAKE_REFUSED);
	assert_int_equal(count.used, 2);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, 9, 0), SETTLE_DONE);
	assert_int_equal(reserve_slot(&f, 3, NULL), TAKE_ADMITTED);
	assert_int_equal(settle_with(f.store, SETTLE_ROLLBACK, 2, -1, 0), SETTLE_DONE);
	assert_int_equal(used_of(&f, &two_slots, "s"), 1);
	/* A holder that died. */
	f.now_us += TTL_MS * INT64_C(1000);
	assert_int_equal(used_of(&f, &two_slots, "s"), 0);
	assert_int_equal(reserve_slot(&f, 4, NULL), TAKE_ADMITTED);
	assert_int_equal(reserve_slot(&f, 5, NULL), TAKE_ADMITTED);
	assert_int_equal(reserve_slot(&f, 6, NULL), TAKE_REFUSED);
	fixture_close(&f);
}

static void
test_renew(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	assert_int_equal(reserve_slot(&f, 1, NULL), TAKE_ADMITTED);
	assert_int_equal(reserve_slot(&f, 2, NULL), TAKE_ADMITTED);
	f.now_us += 10000000;
	assert_int_equal(settle_with(f.store, SETTLE_RENEW, 1, -1, 60000), SETTLE_DONE);
	/* Never shorter. */
	assert_int_equal(settle_with(f.store, SETTLE_RENEW, 1, -1, 1000), SETTLE_DONE);
	assert_int_equal(
	    settle_with(f.store, SETTLE_RENEW, 9, -1, 1000), SETTLE_UNKNOWN);
	f.now_us = T0 + TTL_MS * INT64_C(1000);
	assert_int_equal(used_of(&f, &two_slots, "s"), 1);
	f.now_us = T0 + INT64_C(70000000) - 1;
	assert_int_equal(used_of(&f, &two_slots, "s"), 1);
	assert_int_equal(settle_with(f.store, SETTLE_ROLLBACK, 1, -1, 0), SETTLE_DONE);
	assert_int_equal(used_of(&f, &two_slots, "s"), 0);
	fixture_close(&f);
}

static size_t
reset_key(struct fixture *f, const char *key)
{
	struct slice keys[] = { slice_str("not there"), slice_str(key) };
	struct reset reset = { .keys = keys, .n = 2, .done = ignore_reset };

	store_reset(f->store, &reset);
	assert_int_equal(reset.fault, FAULT_NONE);
	return reset.held;
}

static void
test_reset(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 0);
	assert_int_equal(reserve(&f, 1, 2), TAKE_ADMITTED);
	assert_int_equal(reserve_slot(&f, 2, NULL), TAKE_ADMITTED);
	assert_int_equal(reset_key(&f, "a"), 1);
	assert_int_equal(reset_key(&f, "a"), 0);
	assert_int_equal(used_of(&f, &f.minute, "a"), 0);
	/* The reservation is known still; only what it adds counts. */
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, 3, 0), SETTLE_DONE);
	assert_int_equal(used_of(&f, &f.minute, "a"), 1);
	assert_int_equal(reset_key(&f, "s"), 1);
	assert_int_equal(used_of(&f, &two_slots, "s"), 0);
	/* Its slot is another's now. */
	assert_int_equal(
	    settle_with(f.store, SETTLE_RENEW, 2, -1, 1000), SETTLE_UNKNOWN);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 2, -1, 0), SETTLE_DONE);
	f.now_us += MINUTE_US;
	assert_int_equal(reset_key(&f, "a"), 0);
	fixture_close(&f);
}

/* A reservation needs room for its counter, its slots and both records, or for none. */
static void
test_full(void **state)
{
	struct fixture f;
	struct charge c[3];
	struct paper p;
	struct take take;

	(void)state;
	for (int64_t room = 0; room <= 4; room++) {
		fixture_open(&f, room + 2);
		c[0] = charge_of(&f.minute, "other", 1);
		paper_set(&p, NULL, 0, 1);
		assert_int_equal(take_with(f.store, c, 1, &p, &take), TAKE_ADMITTED);
		c[0] = charge_of(&two_slots, "s", 1);
		c[1] = charge_of(&f.minute, "a", 1);
		c[2] = charge_of(&f.minute, "other", 1);
		paper_set(&p, "#id", 1, 2);
		take_with(f.store, c, 3, &p, &take);
		assert_int_equal(take.status, room < 4 ? TAKE_FAILED : TAKE_ADMITTED);
		assert_int_equal(memory_count(f.memory), room < 4 ? 2 : 6);
		assert_int_equal(used_of(&f, &two_slots, "s"), room < 4 ? 0 : 1);
		assert_int_equal(used_of(&f, &f.minute, "other"), room < 4 ? 1 : 2);
		fixture_close(&f);
	}
}

/* The same where the counters and the slots are there, and only records lack room. */
static void
test_full_of_counters(void **state)
{
	struct fixture f;
	struct charge c[2];
	struct paper p;
	struct take take;

	(void)state;
	fixture_open(&f, 3);
	c[0] = charge_of(&two_slots, "s", 1);
	c[1] = charge_of(&f.minute, "a", 1);
	paper_set(&p, NULL, 0, 1);
	assert_int_equal(take_with(f.store, c, 2, &p, &take), TAKE_ADMITTED);
	paper_set(&p, NULL, 0, 2);
	assert_int_equal(take_with(f.store, c, 2, &p, &take), TAKE_FAILED);
	assert_int_equal(take.fault, FAULT_MEMORY);
	assert_int_equal(used_of(&f, &two_slots, "s"), 1);
	assert_int_equal(used_of(&f, &f.minute, "a"), 1);
	fixture_close(&f);
}

/* A correction that has no room for its counter settles nothing, and may come again. */
static void
test_full_when_settled(void **state)
{
	struct fixture f;
	struct charge c;
	struct take take;

	(void)state;
	fixture_open(&f, 2);
	assert_int_equal(reserve(&f, 1, 1), TAKE_ADMITTED);
	assert_int_equal(reset_key(&f, "a"), 1);
	c = charge_of(&f.minute, "b", 1);
	take = (struct take){ .charges = &c, .n = 1, .done = ignore_take };
	store_take(f.store, &take);
	assert_int_equal(take.status, TAKE_ADMITTED);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, 3, 0), SETTLE_FAILED);
	assert_int_equal(reset_key(&f, "b"), 1);
	assert_int_equal(settle_with(f.store, SETTLE_COMMIT, 1, 3, 0), SETTLE_DONE);
	assert_int_equal(used_of(&f, &f.minute, "a"), 2);
	fixture_close(&f);
}

static void
test_nothing_stays(void **state)
{
	enum { MANY = 5000 };
	struct fixture f;
	char id[32];
	struct charge c[2];
	struct paper p;
	struct take take;

	(void)state;
	fixture_open(&f, 0);
	f.minute.max = MANY;
	for (unsigned i = 1; i <= MANY; i++) {
		snprintf(id, sizeof(id), "#%u", i);
		paper_set(&p, id, i, i);
		c[0] = charge_of(&two_slots, id, 1);
		c[1] = charge_of(&f.minute, "a", 1);
		assert_int_equal(take_with(f.store, c, 2, &p, &take), TAKE_ADMITTED);
		if (i % 3)
			assert_int_equal(settle_with(f.store,
					     (enum settle_action)(i % 3 - 1), i, 1, 0),
			    SETTLE_DONE);
	}
	f.now_us += DEDUP_MS * INT64_C(1000);
	for (int i = 0; i < 20 * MANY; i++) {
		snprintf(id, sizeof(id), "sweep %d", i);
		used_of(&f, &f.minute, id);
	}
	assert_int_equal(memory_count(f.memory), 0);
	fixture_close(&f);
}

enum { THREADS = 4, ROUNDS = 4000, IDS = 1500 };

struct worker {
	struct fixture *f;
	unsigned seed;
	int64_t charged;
	int64_t committed; /* by those commits that were the first */
	int64_t too_many;
};

static const struct limit three_slots = { .algorithm = ALGORITHM_CONCURRENCY,
	.max = 3 };

static void
commit(struct worker *me, struct store *store, unsigned id, int64_t cost)
{
	if (settle_with(store, SETTLE_COMMIT, id, cost, 0) == SETTLE_DONE)
		me->committed += cost;
}

/* Each id is sent by every worker, several times, and settled by more than one. */
static void *
work(void *arg)
{
	struct worker *me = arg;
	struct metric_cells *cells = calloc(1, sizeof(*cells));
	struct store *store = memory_store_new(me->f->memory, cells);

	for (int i = 0; i < ROUNDS; i++) {
		unsigned id = (unsigned)rand_r(&me->seed) % IDS + 1;
		char name[32];
		struct charge c[2];
		struct paper p;
		struct take take;

		snprintf(name, sizeof(name), "#%u", id);
		paper_set(&p, name, id, id);
		c[0] = charge_of(&three_slots, "s", 1);
		c[1] = charge_of(&me->f->minute, "a", 2);
		c[1].corrects = true;
		take_with(store, c, 2, &p, &take);
		me->too_many += c[0].count.used > 3;
		if (take.status == TAKE_ADMITTED && !p.ledger.replayed)
			me->charged++;
		settle_with(store, SETTLE_RENEW, id, -1, TTL_MS);
		commit(me, store, id, 1 + id % 3);
		commit(me, store, (unsigned)rand_r(&me->seed) % IDS + 1, 5);
		if (i % 16 == 0)
			memory_tend(me->f->memory);
	}
	store_close(store);
	free(cells);
	return NULL;
}

static void
test_threads(void **state)
{
	struct worker all[THREADS];
	pthread_t threads[THREADS];
	struct fixture f;
	int64_t charged = 0;
	int64_t committed = 0;

	(void)state;
	fixture_open(&f, 0);
	f.minute.max = NUM_MAX;
	for (unsigned i = 0; i < THREADS; i++) {
		all[i] = (struct worker){ .f = &f, .seed = i };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &all[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		charged += all[i].charged;
		committed += all[i].committed;
		assert_int_equal(all[i].too_many, 0);
	}
	assert_true(charged > 0 && charged <= IDS);
	assert_int_equal(used_of(&f, &three_slots, "s"), 0);
	assert_int_equal(used_of(&f, &f.minute, "a"), committed);
	fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id_is_charged_once),
		cmocka_unit_test(test_id_for_something_else),
		cmocka_unit_test(test_refused_leaves_nothing),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_without_charges),
		cmocka_unit_test(test_commit),
		cmocka_unit_test(test_commit_as_charged_or_less),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_unsettled),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_renew),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_full_of_counters),
		cmocka_unit_test(test_full_when_settled),
		cmocka_unit_test(test_nothing_stays),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
