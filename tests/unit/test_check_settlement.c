/* SPDX-License-Identifier: ISC */
/* Settlements and resets: what they ask of the store, and what becomes of its answer. */
#include "check_fixture.h"
#include "check/resetting.h"
#include "check/settlement.h"

#define HOLDER "0123456789abcdef0123456789abcdef"
#define ID "shop:alice:" HOLDER

/* Keeps one settlement and one reset until the test answers. */
struct scripted {
	struct store store;
	struct settle *settle;
	struct reset *reset;
};

static void
scripted_settle(struct store *store, struct settle *settle)
{
	CONTAINER_OF(store, struct scripted, store)->settle = settle;
}

static void
scripted_reset(struct store *store, struct reset *reset)
{
	CONTAINER_OF(store, struct scripted, store)->reset = reset;
}

static const struct store_ops scripted_ops = {
	.name = "scripted", .settle = scripted_settle, .reset = scripted_reset
};

struct bench {
	struct fixture f;
	struct scripted scripted;
	struct settler *settler;
	int done;
};

static void
bench_open(struct bench *b)
{
	struct settler_options options = {
		.key_prefix = "p", .deadline_ms = 50, .dedup_ttl_ms = 9000
	};

	memset(b, 0, sizeof(*b));
	b->scripted.store.ops = &scripted_ops;
	fixture_open(&b->f, &b->scripted.store);
	options.store = &b->scripted.store;
	options.cells = b->f.cells;
	b->settler = settler_new(&options);
	assert_non_null(b->settler);
}

static void
bench_close(struct bench *b)
{
	assert_int_equal(settler_pending(b->settler), 0);
	settler_free(b->settler);
	fixture_close(&b->f);
}

static void
on_settled(struct settlement *settlement, void *arg)
{
	assert_true(settlement_is_done(settlement));
	((struct bench *)arg)->done++;
}

static void
on_reset(struct resetting *resetting, void *arg)
{
	assert_true(resetting_is_done(resetting));
	((struct bench *)arg)->done++;
}

static struct settlement *
settle(struct bench *b, struct settlement_request r)
{
	struct errinfo ei;
	struct settlement *s = settlement_start(b->settler, &r, on_settled, b, &ei);

	assert_non_null(s);
	return s;
}

static void
answer_settle(struct bench *b, enum settle_status status)
{
	struct settle *waiting = b->scripted.settle;

	b->scripted.settle = NULL;
	if (status == SETTLE_FAILED) {
		store_fail_settle(
		    &b->scripted.store, waiting, FAULT_TIMEOUT, "too slow");
		return;
	}
	waiting->status = status;
	waiting->done(waiting);
}

static void
test_what_the_store_is_asked(void **state)
{
	static const struct {
		struct settlement_request r;
		int64_t cost, ttl_ms;
	} rows[] = {
		{ { .action = SETTLE_COMMIT, .cost = 7 }, 7, 600000 },
		{ { .action = SETTLE_COMMIT, .cost = -1 }, -1, 600000 },
		{ { .action = SETTLE_COMMIT, .cost = 0 }, 0, 600000 },
		/* Only a commit has a true cost. */
		{ { .action = SETTLE_ROLLBACK, .cost = 0 }, -1, 600000 },
		{ { .action = SETTLE_RENEW, .ttl_s = 5 }, -1, 5000 },
	};
	struct bench b;

	(void)state;
	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settlement_request r = rows[i].r;
		char id[] = ID;
		int64_t before = clock_mono_us();
		struct settlement *s;
		const struct settle *asked;

		r.reservation = slice_str(id);
		s = settle(&b, r);
		memset(id, 'x', strlen(id)); /* it was copied */
		asked = b.scripted.settle;
		assert_int_equal(asked->action, r.action);
		assert_slice(asked->key, "p:shop:{grant=alice}:#=" HOLDER);
		assert_slice(asked->holder, HOLDER);
		assert_int_equal(asked->cost, rows[i].cost);
		assert_int_equal(asked->ttl_ms, rows[i].ttl_ms);
		assert_int_equal(asked->keep_ms, 9000);
		assert_in_range(asked->deadline_us - 50000, before, clock_mono_us());
		assert_false(settlement_is_done(s));
		assert_int_equal(settler_pending(b.settler), 1);
		answer_settle(&b, SETTLE_DONE);
		assert_int_equal(settlement_result(s)->status, SETTLE_DONE);
		settlement_release(s);
	}
	assert_int_equal(b.done, ARRAY_LEN(rows));
	assert_int_equal(metric_get(b.f.cells, METRIC_COMMITS_DONE), 3);
	assert_int_equal(metric_get(b.f.cells, METRIC_ROLLBACKS_DONE), 1);
	assert_int_equal(metric_get(b.f.cells, METRIC_RENEWS_DONE), 1);
	bench_close(&b);
}

static void
test_every_answer_is_counted(void **state)
{
	static const enum metric metrics[] = {
		[SETTLE_DONE] = METRIC_ROLLBACKS_DONE,
		[SETTLE_ALREADY] = METRIC_ROLLBACKS_ALREADY,
		[SETTLE_UNKNOWN] = METRIC_ROLLBACKS_UNKNOWN,
		[SETTLE_FAILED] = METRIC_ROLLBACKS_FAILED,
	};
	struct settlement_request r = { .action = SETTLE_ROLLBACK,
		.reservation = slice_str(ID),
		.grant = slice_str("alice"),
		.timeout_ms = 20 };
	struct bench b;

	(void)state;
	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
		struct settlement *s = settle(&b, r);

		assert_in_range(b.scripted.settle->deadline_us, 0,
		    clock_mono_us() + INT64_C(20000));
		answer_settle(&b, (enum settle_status)i);
		assert_int_equal(settlement_result(s)->status, i);
		settlement_release(s);
		assert_int_equal(metric_get(b.f.cells, metrics[i]), 1);
	}
	assert_int_equal(metric_get(b.f.cells, METRIC_FAULT_TIMEOUT), 1);
	bench_close(&b);
}

static void
test_refused_before_the_store(void **state)
{
	static const struct {
		const char *id, *grant;
		int code;
	} rows[] = {
		{ "shop:alice", "", ERR_INVALID },
		{ ID "0", "alice", ERR_INVALID },
		{ "", "", ERR_INVALID },
		{ ID, "bob", ERR_INUSE },
		{ ID, "alic", ERR_INUSE },
	};
	struct bench b;

	(void)state;
	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settlement_request r = { .action = SETTLE_COMMIT,
			.reservation = slice_str(rows[i].id),
			.grant = slice_str(rows[i].grant),
			.cost = -1 };
		struct errinfo ei;

		assert_null(settlement_start(b.settler, &r, on_settled, &b, &ei));
		assert_int_equal(ei.code, rows[i].code);
	}
	assert_null(b.scripted.settle);
	assert_int_equal(b.done, 0);
	assert_int_equal(
	    metric_get(b.f.cells, METRIC_COMMITS_INVALID), ARRAY_LEN(rows));
	bench_close(&b);
}

static void
test_released_early(void **state)
{
	struct settlement_request r = { .action = SETTLE_RENEW,
		.reservation = slice_str(ID) };
	struct bench b;

	(void)state;
	bench_open(&b);
	settlement_release(settle(&b, r));
	assert_int_equal(settler_pending(b.settler), 1);
	answer_settle(&b, SETTLE_DONE);
	assert_int_equal(b.done, 0);
	bench_close(&b);
}

static struct resetting *
reset(struct bench *b, struct reset_request r, struct errinfo *ei)
{
	return resetting_start(b->f.engine, &r, on_reset, b, ei);
}

static void
answer_reset(struct bench *b, size_t held)
{
	struct reset *waiting = b->scripted.reset;

	b->scripted.reset = NULL;
	waiting->held = held;
	waiting->done(waiting);
}

static void
test_reset(void **state)
{
	struct reset_request r = { .scope = slice_str("grant=alice") };
	struct errinfo ei;
	struct resetting *one;
	struct bench b;

	(void)state;
	bench_open(&b);
	one = reset(&b, r, &ei);
	assert_non_null(one);
	assert_int_equal(b.scripted.reset->n, 3);
	/* What drains waits for it. */
	assert_int_equal(check_engine_pending(b.f.engine), 1);
	assert_false(resetting_is_done(one));
	answer_reset(&b, 2);
	assert_int_equal(resetting_result(one)->n, 3);
	assert_int_equal(resetting_result(one)->held, 2);
	assert_int_equal(resetting_result(one)->fault, FAULT_NONE);
	assert_int_equal(metric_get(b.f.cells, METRIC_RESETS_DONE), 1);
	resetting_release(one);

	r.policy = slice_str("shop");
	r.counter = slice_str("charges");
	r.window = slice_str("minute");
	one = reset(&b, r, &ei);
	assert_non_null(one);
	assert_int_equal(b.scripted.reset->n, 1);
	assert_slice(
	    b.scripted.reset->keys[0], "ration:shop:{grant=alice}:charges:minute");
	resetting_release(one);
	assert_int_equal(check_engine_pending(b.f.engine), 1);
	store_fail_reset(&b.scripted.store, b.scripted.reset, FAULT_TIMEOUT, NULL);
	assert_int_equal(metric_get(b.f.cells, METRIC_RESETS_FAILED), 1);
	assert_int_equal(b.done, 1);
	bench_close(&b);
}

static void
test_reset_of_nothing(void **state)
{
	static const struct {
		const char *policy, *counter, *scope;
		int code;
	} rows[] = {
		{ "none", "", "grant=alice", ERR_NOTFOUND },
		{ "shop", "none", "grant=alice", ERR_NOTFOUND },
		{ "shop", "", "session=s", ERR_NOTFOUND },
		{ "shop", "", "alice", ERR_INVALID },
	};
	struct bench b;

	(void)state;
	bench_open(&b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct reset_request r = { .policy = slice_str(rows[i].policy),
			.counter = slice_str(rows[i].counter),
			.scope = slice_str(rows[i].scope) };
		struct errinfo ei;

		assert_null(reset(&b, r, &ei));
		assert_int_equal(ei.code, rows[i].code);
	}
	assert_null(b.scripted.reset);
	assert_int_equal(check_engine_pending(b.f.engine), 0);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_store_is_asked),
		cmocka_unit_test(test_every_answer_is_counted),
		cmocka_unit_test(test_refused_before_the_store),
		cmocka_unit_test(test_released_early),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_reset_of_nothing),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
