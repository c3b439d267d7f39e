/* SPDX-License-Identifier: ISC */
/* Exactly once, from requests to counters: retries, reservations, peeks and resets over
 * the embedded store, whose clock is the test's. */
#include "check_fixture.h"
#include "check/resetting.h"
#include "check/settlement.h"

static const char once_text[] =
    "{ \"version\": \"1\", \"default\": \"deny\", \"tools\": {"
    "  \"free\": {},"
    "  \"spend\": { \"limits\": ["
    "    { \"counter\": \"money\", \"window\": \"minute\", \"max\": 10 } ] },"
    "  \"job\": { \"limits\": ["
    "    { \"counter\": \"money\", \"window\": \"minute\", \"max\": 10 },"
    "    { \"counter\": \"jobs\", \"max\": 2, \"algorithm\": \"concurrency\" } ] } } }";

struct world {
	struct fixture f;
	struct settler *settler;
};

/* What only looks, and a conflict, nobody observed. */
static void
on_any_done(struct check *check, void *arg)
{
	struct world *w = arg;

	assert_true(check_is_done(check));
	w->f.done = w->f.observed;
}

static void
world_open(struct world *w)
{
	struct policy_set *set = set_of(parse("shop", once_text), NULL);
	struct settler_options options = {
		.key_prefix = "ration", .deadline_ms = 50, .dedup_ttl_ms = 600000
	};

	fixture_open(&w->f, NULL);
	check_engine_set_policies(w->f.engine, set);
	policy_set_unref(set);
	options.store = w->f.store;
	options.cells = w->f.cells;
	w->settler = settler_new(&options);
	assert_non_null(w->settler);
}

static void
world_close(struct world *w)
{
	settler_free(w->settler);
	fixture_close(&w->f);
}

static struct check *
ask(struct world *w, const char *tool, enum check_mode mode, const char *id,
    int64_t cost)
{
	struct check_request r = request_of(tool, "alice", cost);
	struct check *check;

	r.mode = mode;
	r.id = slice_str(id);
	check = check_start(w->f.engine, &r, on_any_done, w);
	assert_non_null(check);
	assert_true(check_is_done(check));
	return check;
}

static void
expect(struct check *check, enum decision_cause cause, bool replayed, int64_t used)
{
	const struct decision *d = check_decision(check);

	assert_int_equal(d->cause, cause);
	assert_int_equal(d->replayed, replayed);
	if (d->n_limits > 0)
		assert_int_equal(d->limits[0].outcome.used, used);
	check_release(check);
}

/* Reserves; the id is the caller's to free. */
static char *
reserve(struct world *w, const char *tool, const char *id, int64_t cost)
{
	struct check *check = ask(w, tool, MODE_RESERVE, id, cost);
	struct slice got = check_decision(check)->reservation;
	char *copy = strndup(got.ptr ? got.ptr : "", got.len);

	assert_int_equal(check_decision(check)->cause, CAUSE_ALLOWED);
	assert_string_not_equal(copy, "");
	check_release(check);
	return copy;
}

static void
on_settled(struct settlement *settlement, void *arg)
{
	(void)settlement;
	(void)arg;
}

static enum settle_status
settle(struct world *w, enum settle_action action, const char *id, int64_t cost)
{
	struct settlement_request r = {
		.action = action, .reservation = slice_str(id), .cost = cost
	};
	struct errinfo ei;
	struct settlement *s = settlement_start(w->settler, &r, on_settled, NULL, &ei);
	enum settle_status status;

	assert_non_null(s);
	assert_true(settlement_is_done(s));
	status = settlement_result(s)->status;
	settlement_release(s);
	return status;
}

/* How the counter stands, also past its max. */
static void
expect_used(struct world *w, int64_t money)
{
	enum decision_cause cause = money > 10 ? CAUSE_LIMIT : CAUSE_ALLOWED;

	expect(ask(w, "spend", MODE_PEEK, "", 0), cause, false, money);
}

static void
test_a_retry_is_not_charged(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	expect(ask(&w, "spend", MODE_ENFORCE, "a", 3), CAUSE_ALLOWED, false, 3);
	expect(ask(&w, "spend", MODE_ENFORCE, "b", 4), CAUSE_ALLOWED, false, 7);
	/* As it stood then, not as it stands. */
	expect(ask(&w, "spend", MODE_ENFORCE, "a", 3), CAUSE_ALLOWED, true, 3);
	expect(ask(&w, "spend", MODE_PEEK, "b", 4), CAUSE_ALLOWED, true, 7);
	expect_used(&w, 7);
	/* The same id for something else. */
	expect(ask(&w, "spend", MODE_ENFORCE, "a", 4), CAUSE_CONFLICT, false, 0);
	expect(ask(&w, "spend", MODE_RESERVE, "a", 3), CAUSE_CONFLICT, false, 0);
	expect(ask(&w, "free", MODE_ENFORCE, "a", 3), CAUSE_CONFLICT, false, 0);
	expect_used(&w, 7);
	/* A denial is not remembered: there is room again. */
	expect(ask(&w, "spend", MODE_ENFORCE, "c", 5), CAUSE_LIMIT, false, 7);
	w.f.now_us += MINUTE_US;
	expect(ask(&w, "spend", MODE_ENFORCE, "c", 5), CAUSE_ALLOWED, false, 5);
	expect(ask(&w, "spend", MODE_ENFORCE, "a", 3), CAUSE_ALLOWED, true, 3);
	w.f.now_us += 9 * MINUTE_US;
	expect(ask(&w, "spend", MODE_ENFORCE, "a", 3), CAUSE_ALLOWED, false, 3);
	world_close(&w);
}

static void
test_without_limits(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	expect(ask(&w, "free", MODE_ENFORCE, "a", 1), CAUSE_ALLOWED, false, 0);
	expect(ask(&w, "free", MODE_ENFORCE, "a", 1), CAUSE_ALLOWED, true, 0);
	expect(ask(&w, "free", MODE_PEEK, "a", 1), CAUSE_ALLOWED, true, 0);
	expect(ask(&w, "free", MODE_PEEK, "b", 1), CAUSE_ALLOWED, false, 0);
	free(reserve(&w, "free", "", 1));
	world_close(&w);
}

static void
test_commit_corrects(void **state)
{
	struct world w;
	char *id;

	(void)state;
	world_open(&w);
	id = reserve(&w, "spend", "", 4);
	expect_used(&w, 4);
	assert_int_equal(settle(&w, SETTLE_COMMIT, id, 12), SETTLE_DONE);
	expect_used(&w, 12);
	assert_int_equal(settle(&w, SETTLE_COMMIT, id, 1), SETTLE_ALREADY);
	assert_int_equal(settle(&w, SETTLE_ROLLBACK, id, -1), SETTLE_ALREADY);
	assert_int_equal(settle(&w, SETTLE_RENEW, id, -1), SETTLE_ALREADY);
	expect_used(&w, 12);
	free(id);
	world_close(&w);
}

static void
test_a_retry_finds_its_reservation(void **state)
{
	struct world w;
	struct check *peek;
	char *first, *second;

	(void)state;
	world_open(&w);
	first = reserve(&w, "job", "a", 4);
	second = reserve(&w, "job", "a", 4);
	assert_string_equal(first, second);
	expect_used(&w, 4);
	peek = ask(&w, "job", MODE_PEEK, "a", 4);
	assert_slice(check_decision(peek)->reservation, first);
	expect(peek, CAUSE_ALLOWED, true, 4);
	assert_int_equal(settle(&w, SETTLE_ROLLBACK, first, -1), SETTLE_DONE);
	expect_used(&w, 0);
	free(first);
	free(second);
	world_close(&w);
}

/* Slots as they stand, by the usage. */
static int64_t
slots_used(struct world *w)
{
	struct check_request r = request_of("", "alice", 0);
	struct check *check;
	const struct usage *usage;
	int64_t used = -1;

	r.kind = CHECK_USAGE;
	check = check_start(w->f.engine, &r, on_any_done, w);
	assert_non_null(check);
	usage = check_usage(check);
	for (size_t i = 0; i < usage->n; i++)
		if (strcmp(usage->counters[i].limit->counter, "jobs") == 0)
			used = usage->counters[i].outcome.used;
	check_release(check);
	return used;
}

static void
test_slots(void **state)
{
	struct world w;
	char *first, *second;

	(void)state;
	world_open(&w);
	assert_int_equal(slots_used(&w), 0);
	first = reserve(&w, "job", "", 1);
	second = reserve(&w, "job", "", 1);
	assert_int_equal(slots_used(&w), 2);
	expect(ask(&w, "job", MODE_RESERVE, "", 1), CAUSE_LIMIT, false, 2);
	expect(ask(&w, "job", MODE_PEEK, "", 1), CAUSE_LIMIT, false, 2);
	expect(ask(&w, "job", MODE_ENFORCE, "", 1), CAUSE_POLICY, false, 0);
	assert_int_equal(settle(&w, SETTLE_COMMIT, first, -1), SETTLE_DONE);
	assert_int_equal(slots_used(&w), 1);
	expect(ask(&w, "job", MODE_PEEK, "", 1), CAUSE_ALLOWED, false, 2);
	/* Nobody settles the other one. */
	w.f.now_us += 10 * MINUTE_US;
	assert_int_equal(slots_used(&w), 0);
	assert_int_equal(settle(&w, SETTLE_ROLLBACK, second, -1), SETTLE_UNKNOWN);
	free(first);
	free(second);
	world_close(&w);
}

static void
on_reset(struct resetting *resetting, void *arg)
{
	(void)resetting;
	(void)arg;
}

static void
test_reset(void **state)
{
	struct reset_request r = { .scope = slice_str("grant=alice") };
	struct resetting *resetting;
	struct errinfo ei;
	struct world w;
	char *id;

	(void)state;
	world_open(&w);
	id = reserve(&w, "job", "", 3);
	resetting = resetting_start(w.f.engine, &r, on_reset, NULL, &ei);
	assert_non_null(resetting);
	assert_true(resetting_is_done(resetting));
	assert_int_equal(resetting_result(resetting)->n, 2);
	assert_int_equal(resetting_result(resetting)->held, 2);
	resetting_release(resetting);
	expect_used(&w, 0);
	assert_int_equal(slots_used(&w), 0);
	/* What was reserved before does not come out below nothing. */
	assert_int_equal(settle(&w, SETTLE_ROLLBACK, id, -1), SETTLE_DONE);
	expect_used(&w, 0);
	free(id);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_retry_is_not_charged),
		cmocka_unit_test(test_without_limits),
		cmocka_unit_test(test_commit_corrects),
		cmocka_unit_test(test_a_retry_finds_its_reservation),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
