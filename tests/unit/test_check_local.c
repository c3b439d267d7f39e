/* SPDX-License-Identifier: ISC */
/* Checks that the store fails and whose limits say "local": this process's share of them,
 * counted in a store of its own; and which late charges stand. */
#include "check/settlement.h"
#include "check_fixture.h"

#define SHARE 3

/* Of "wide", "narrow" and "drip" a third: 3, 0 and 1. */
static const char local_text[] =
    "{ \"version\": \"1\", \"default\": \"allow\", \"on_store_failure\": \"local\","
    "  \"tools\": {"
    "    \"wide\": { \"limits\": ["
    "      { \"counter\": \"w\", \"window\": \"minute\", \"max\": 10 } ] },"
    "    \"told\": { \"limits\": ["
    "      { \"counter\": \"w\", \"window\": \"minute\", \"max\": 3,"
    "        \"on_deny\": \"slow down\" } ] },"
    "    \"narrow\": { \"limits\": ["
    "      { \"counter\": \"n\", \"window\": \"minute\", \"max\": 2 } ] },"
    "    \"drip\": { \"limits\": ["
    "      { \"counter\": \"d\", \"window\": \"minute\", \"max\": 2, \"burst\": 4,"
    "        \"algorithm\": \"token_bucket\" } ] },"
    "    \"slots\": { \"limits\": ["
    "      { \"counter\": \"s\", \"max\": 6, \"algorithm\": \"concurrency\" } ] },"
    "    \"month\": { \"limits\": ["
    "      { \"counter\": \"m\", \"window\": \"month\", \"max\": 3 } ] },"
    "    \"mixed\": { \"limits\": ["
    "      { \"counter\": \"free\", \"window\": \"minute\", \"max\": 1,"
    "        \"on_store_failure\": \"allow\" },"
    "      { \"counter\": \"one\", \"window\": \"minute\", \"max\": 3 },"
    "      { \"counter\": \"shade\", \"window\": \"minute\", \"max\": 1,"
    "        \"mode\": \"shadow\" },"
    "      { \"counter\": \"two\", \"window\": \"minute\", \"max\": 6 } ] },"
    "    \"shut\": { \"limits\": ["
    "      { \"counter\": \"a\", \"window\": \"minute\", \"max\": 9 },"
    "      { \"counter\": \"b\", \"window\": \"minute\", \"max\": 9,"
    "        \"on_store_failure\": \"deny\" } ] },"
    "    \"open\": { \"limits\": ["
    "      { \"counter\": \"o\", \"window\": \"minute\", \"max\": 1,"
    "        \"on_store_failure\": \"allow\" } ] } } }";

/* Fails at once, and keeps account of the takes that shall stand. */
struct absent {
	struct store store;
	enum store_fault fault;
	int taken, stood;
	enum settle_status settled;
};

static void
absent_take(struct store *store, struct take *take)
{
	struct absent *a = CONTAINER_OF(store, struct absent, store);

	a->taken++;
	store_fail(store, take, a->fault, "gone");
}

static void
absent_stand(struct store *store, struct take *take)
{
	(void)take;
	CONTAINER_OF(store, struct absent, store)->stood++;
}

static void
absent_settle(struct store *store, struct settle *settle)
{
	struct absent *a = CONTAINER_OF(store, struct absent, store);

	if (a->settled == SETTLE_FAILED) {
		store_fail_settle(store, settle, a->fault, NULL);
		return;
	}
	settle->status = a->settled;
	settle->done(settle);
}

static const struct store_ops absent_ops = { .name = "absent",
	.take = absent_take,
	.stand = absent_stand,
	.settle = absent_settle };

static struct fixture f;
static struct absent absent;

static int
open_engine(void **state)
{
	struct check_options co = { .store = &absent.store,
		.local = NULL,
		.local_share = SHARE,
		.deadline_ms = 50 };
	struct policy_set *policies;

	(void)state;
	absent = (struct absent){ .store = { &absent_ops, NULL },
		.fault = FAULT_TIMEOUT,
		.settled = SETTLE_FAILED };
	fixture_open(&f, &absent.store);
	check_engine_free(f.engine);
	co.cells = f.cells;
	co.local = f.store;
	policies = set_of(parse("shop", local_text), NULL);
	f.engine = check_engine_new(&co, policies);
	policy_set_unref(policies);
	assert_non_null(f.engine);
	return 0;
}

static int
close_engine(void **state)
{
	(void)state;
	fixture_close(&f);
	return 0;
}

static void
on_asked(struct check *check, void *arg)
{
	(void)check;
	(void)arg;
}

static struct check *
ask_as(const char *tool, enum check_mode mode, const char *id, int64_t cost)
{
	struct check_request r = request_of(tool, "alice", cost);
	struct check *check;

	r.mode = mode;
	if (id)
		r.id = slice_str(id);
	check = check_start(f.engine, &r, on_asked, NULL);
	assert_non_null(check);
	assert_true(check_is_done(check));
	return check;
}

static struct check *
ask(const char *tool)
{
	return ask_as(tool, MODE_ENFORCE, NULL, 1);
}

static bool
is_allowed(struct check *check)
{
	bool allowed = check_decision(check)->verdict == VERDICT_ALLOW;

	check_release(check);
	return allowed;
}

static int64_t
count(enum metric id)
{
	return metric_get(f.cells, id);
}

static void
test_share_is_counted(void **state)
{
	const struct decision *d;
	struct check *check;

	(void)state;
	for (int i = 1; i <= 3; i++) {
		check = ask("wide");
		d = check_decision(check);
		assert_int_equal(d->verdict, VERDICT_ALLOW);
		assert_true(d->degraded && d->local);
		assert_int_equal(d->fault, FAULT_TIMEOUT);
		assert_int_equal(d->n_limits, 1);
		assert_int_equal(d->limits[0].limit->limit.max, 3);
		assert_int_equal(d->limits[0].outcome.used, i);
		assert_int_equal(d->limits[0].outcome.remaining, 3 - i);
		check_release(check);
	}
	check = ask("wide");
	d = check_decision(check);
	assert_int_equal(d->cause, CAUSE_LIMIT);
	assert_true(d->degraded && d->local);
	assert_slice(d->rule, "/tools/wide/limits/w");
	assert_slice(d->message,
	    "limit \"w\" is used up: 3 per minute for each grant (this daemon's share, "
	    "while the store is unavailable: the store did not answer in time)");
	assert_int_equal(d->limits[d->tightest].outcome.retry_after_ms, 60000);
	check_release(check);
	/* The same counter, and of this limit no more than one. */
	check = ask("told");
	assert_slice(check_decision(check)->message,
	    "slow down (this daemon's share, while the store is unavailable: the store "
	    "did not answer in time)");
	check_release(check);
	f.now_us += MINUTE_US;
	assert_true(is_allowed(ask("told")));
	assert_false(is_allowed(ask("told")));
	assert_int_equal(count(METRIC_DEGRADED_LOCAL_ALLOW), 4);
	assert_int_equal(count(METRIC_DEGRADED_LOCAL_DENY), 3);
	assert_int_equal(count(METRIC_DEGRADED_ALLOW) + count(METRIC_DEGRADED_DENY), 0);
	assert_int_equal(count(METRIC_CHECKS_DENY_LIMIT), 3);
	/* What went ahead stands, should it have been charged. */
	assert_int_equal(absent.taken, 7);
	assert_int_equal(absent.stood, 4);
}

/* The store is missed, not the room: with it the call might go ahead. */
static void
test_share_of_nothing(void **state)
{
	struct check *check = ask("narrow");
	const struct decision *d = check_decision(check);

	(void)state;
	assert_int_equal(d->cause, CAUSE_STORE);
	assert_true(d->degraded && d->local);
	assert_int_equal(d->n_limits, 0);
	assert_int_equal(d->tightest, DECISION_NO_LIMIT);
	assert_slice(d->rule, "/tools/narrow/limits/n");
	assert_slice(d->message,
	    "the store is unavailable: the store did not answer in time; this call "
	    "costs 1, more than the 0 of 2 that this daemon gives of limit \"n\" "
	    "meanwhile");
	check_release(check);
	/* This one would not go ahead with it, either. */
	check = ask_as("narrow", MODE_ENFORCE, NULL, 3);
	d = check_decision(check);
	assert_int_equal(d->cause, CAUSE_LIMIT);
	assert_int_equal(d->limits[0].outcome.retry_after_ms, -1);
	check_release(check);
	assert_int_equal(absent.stood, 0);
}

/* One token of 4, and each 90 s one more in the place of each 30 s. */
static void
test_other_algorithms(void **state)
{
	(void)state;
	assert_true(is_allowed(ask("drip")));
	assert_false(is_allowed(ask("drip")));
	f.now_us += 90 * INT64_C(1000000) - 1;
	assert_false(is_allowed(ask("drip")));
	f.now_us += 1;
	assert_true(is_allowed(ask("drip")));
	assert_true(is_allowed(ask("month")));
	assert_false(is_allowed(ask("month")));
	assert_true(is_allowed(ask_as("slots", MODE_RESERVE, NULL, 1)));
	assert_true(is_allowed(ask_as("slots", MODE_RESERVE, NULL, 1)));
	assert_false(is_allowed(ask_as("slots", MODE_RESERVE, NULL, 1)));
}

/* All limits that say "local" or none; those that say "allow", and shadows, are not
 * asked. */
static void
test_mixture(void **state)
{
	const struct decision *d;
	struct check *check = ask("mixed");

	(void)state;
	d = check_decision(check);
	assert_int_equal(d->verdict, VERDICT_ALLOW);
	assert_int_equal(d->n_limits, 2);
	assert_string_equal(d->limits[0].limit->counter, "one");
	assert_string_equal(d->limits[1].limit->counter, "two");
	assert_int_equal(d->limits[1].outcome.used, 1);
	check_release(check);
	check = ask("mixed");
	d = check_decision(check);
	assert_slice(d->rule, "/tools/mixed/limits/one");
	assert_int_equal(d->limits[1].outcome.used, 1);
	check_release(check);
	/* The strictest of all. */
	check = ask("shut");
	d = check_decision(check);
	assert_int_equal(d->cause, CAUSE_STORE);
	assert_slice(d->rule, "/tools/shut/limits/b");
	assert_true(d->degraded && !d->local);
	check_release(check);
	for (int i = 0; i < 3; i++)
		assert_true(is_allowed(ask("open")));
	assert_int_equal(count(METRIC_DEGRADED_ALLOW), 3);
	assert_int_equal(count(METRIC_DEGRADED_DENY), 1);
	assert_int_equal(absent.stood, 4);
}

/* A key that holds something else is no store that is away. */
static void
test_wrong_type_denies(void **state)
{
	struct check *check;

	(void)state;
	absent.fault = FAULT_WRONGTYPE;
	check = ask("wide");
	assert_int_equal(check_decision(check)->cause, CAUSE_STORE);
	assert_false(check_decision(check)->local);
	check_release(check);
}

static void
test_request_ids(void **state)
{
	struct check *check;

	(void)state;
	for (int i = 0; i < 3; i++) {
		check = ask_as("wide", MODE_ENFORCE, "one", 1);
		assert_int_equal(check_decision(check)->verdict, VERDICT_ALLOW);
		assert_int_equal(check_decision(check)->replayed, i > 0);
		assert_true(check_decision(check)->degraded);
		assert_int_equal(check_decision(check)->limits[0].outcome.used, 1);
		check_release(check);
	}
	check = ask_as("told", MODE_ENFORCE, "one", 1);
	assert_int_equal(check_decision(check)->cause, CAUSE_CONFLICT);
	check_release(check);
	check = ask_as("wide", MODE_PEEK, "one", 1);
	assert_true(check_decision(check)->replayed);
	check_release(check);
}

static void
test_peek_charges_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_true(is_allowed(ask_as("told", MODE_PEEK, NULL, 1)));
	assert_true(is_allowed(ask("told")));
	assert_false(is_allowed(ask_as("told", MODE_PEEK, NULL, 1)));
	assert_false(is_allowed(ask_as("mixed", MODE_PEEK, NULL, 4)));
}

static void
test_explained(void **state)
{
	struct check_request r = request_of("mixed", "alice", 1);
	const struct explanation *ex;
	struct check *check;

	(void)state;
	r.kind = CHECK_EXPLAIN;
	for (int i = 0; i < 2; i++) {
		check = check_start(f.engine, &r, on_asked, NULL);
		ex = check_explanation(check);
		assert_true(check_decision(check)->local);
		assert_true(ex->looked);
		assert_int_equal(ex->decided, i == 0 ? STEP_ALLOW : STEP_LIMITS);
		assert_int_equal(ex->n_limits, 4);
		assert_true(ex->limits[0].uncounted && ex->limits[2].uncounted);
		assert_int_equal(ex->limits[1].limit->limit.max, 1);
		assert_int_equal(ex->limits[1].fits, i == 0);
		assert_int_equal(ex->limits[3].limit->limit.max, 2);
		assert_true(ex->limits[3].fits);
		check_release(check);
		assert_int_equal(is_allowed(ask("mixed")), i == 0);
	}
}

/* Without a store of its own a limit that says so denies. */
static void
test_without_a_store(void **state)
{
	struct check_options co = { .store = &absent.store, .deadline_ms = 50 };
	struct policy_set *policies = set_of(parse("shop", local_text), NULL);
	struct check *check;

	(void)state;
	check_engine_free(f.engine);
	co.cells = f.cells;
	f.engine = check_engine_new(&co, policies);
	policy_set_unref(policies);
	check = ask("wide");
	assert_int_equal(check_decision(check)->cause, CAUSE_STORE);
	assert_slice(check_decision(check)->message,
	    "the store is unavailable: the store did not answer in time (gone)");
	check_release(check);
}

/* A full one denies, too. */
static void
test_no_room_to_count(void **state)
{
	struct memory_options mo = { 1, fixture_now_us, &f };
	struct check *check;

	(void)state;
	store_close(f.store);
	memory_free(f.memory);
	check_engine_free(f.engine);
	f.memory = memory_new(&mo);
	f.store = memory_store_new(f.memory, f.cells);
	{
		struct check_options co = { .store = &absent.store,
			.cells = f.cells,
			.local = f.store,
			.local_share = SHARE,
			.deadline_ms = 50 };
		struct policy_set *policies = set_of(parse("shop", local_text), NULL);

		f.engine = check_engine_new(&co, policies);
		policy_set_unref(policies);
	}
	assert_true(is_allowed(ask("wide")));
	check = ask("month");
	assert_int_equal(check_decision(check)->cause, CAUSE_STORE);
	assert_slice(check_decision(check)->message,
	    "the store is unavailable: the store did not answer in time; and this "
	    "daemon has no room to count");
	check_release(check);
}

static void
on_settled(struct settlement *settlement, void *arg)
{
	(void)settlement;
	(void)arg;
}

static enum settle_status
settle_it(struct settler *settler, enum settle_action action, struct slice id)
{
	struct settlement_request r = {
		.action = action, .reservation = id, .cost = -1
	};
	struct errinfo ei;
	struct settlement *s = settlement_start(settler, &r, on_settled, NULL, &ei);
	enum settle_status status;

	assert_non_null(s);
	status = settlement_result(s)->status;
	settlement_release(s);
	return status;
}

/* What was reserved here is settled here, whatever the store says of it; and that there is
 * no such reservation only where both say so. */
static void
test_reservations(void **state)
{
	static const struct {
		enum settle_status store, here, told;
	} rows[] = {
		{ SETTLE_FAILED, SETTLE_UNKNOWN, SETTLE_FAILED },
		{ SETTLE_UNKNOWN, SETTLE_UNKNOWN, SETTLE_UNKNOWN },
		{ SETTLE_DONE, SETTLE_UNKNOWN, SETTLE_DONE },
		{ SETTLE_ALREADY, SETTLE_UNKNOWN, SETTLE_ALREADY },
		{ SETTLE_FAILED, SETTLE_DONE, SETTLE_DONE },
		{ SETTLE_UNKNOWN, SETTLE_DONE, SETTLE_DONE },
		{ SETTLE_ALREADY, SETTLE_DONE, SETTLE_DONE },
		{ SETTLE_DONE, SETTLE_DONE, SETTLE_DONE },
	};
	struct settler_options so = { .store = &absent.store,
		.cells = f.cells,
		.local = f.store,
		.key_prefix = "ration",
		.deadline_ms = 50,
		.dedup_ttl_ms = 600000 };
	struct settler *settler = settler_new(&so);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct check *check = ask_as("told", MODE_RESERVE, NULL, 1);
		struct slice id = check_decision(check)->reservation;
		char forged[] = "shop:alice:00000000000000000000000000000000";
		bool here = rows[i].here == SETTLE_DONE;

		assert_int_equal(check_decision(check)->verdict, VERDICT_ALLOW);
		assert_true(id.len > 0);
		assert_false(is_allowed(ask("told")));
		absent.settled = rows[i].store;
		assert_int_equal(
		    settle_it(settler, SETTLE_ROLLBACK, here ? id : slice_str(forged)),
		    rows[i].told);
		absent.settled = SETTLE_UNKNOWN;
		assert_int_equal(settle_it(settler, SETTLE_ROLLBACK, id),
		    here ? SETTLE_ALREADY : SETTLE_DONE);
		check_release(check);
	}
	settler_free(settler);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_engine, close_engine)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_share_is_counted),
		CASE(test_share_of_nothing),
		CASE(test_other_algorithms),
		CASE(test_mixture),
		CASE(test_wrong_type_denies),
		CASE(test_request_ids),
		CASE(test_peek_charges_nothing),
		CASE(test_explained),
		CASE(test_without_a_store),
		CASE(test_no_room_to_count),
		CASE(test_reservations),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
