/* SPDX-License-Identifier: ISC */
/* Request ids, reservations and peeks: what goes to the store's ledger, and what
 * becomes of what it says. The store here answers as the test wants. */
#include "check_fixture.h"
#include "check/reservation.h"

#define HOLDER_1 "0123456789abcdef0123456789abcdef"

static const char ledger_text[] =
    "{ \"version\": \"1\", \"default\": \"allow\", \"tools\": {"
    "  \"charge\": { \"limits\": ["
    "    { \"counter\": \"n\", \"window\": \"minute\", \"max\": 3 },"
    "    { \"counter\": \"fixed\", \"window\": \"minute\", \"max\": 9, \"cost\": 2 },"
    "    { \"counter\": \"said\", \"window\": \"minute\", \"max\": 9,"
    "      \"cost_from\": \"args.n\", \"mode\": \"shadow\" } ] },"
    "  \"other\": { \"limits\": ["
    "    { \"counter\": \"n\", \"window\": \"minute\", \"max\": 3 } ] } } }";

/* Unlike the fixture's it does not look for an observer: a conflict has none. */
static void
on_any_done(struct check *check, void *arg)
{
	assert_true(check_is_done(check));
	((struct fixture *)arg)->done++;
}

static void
open_patient(struct fixture *f)
{
	struct policy_set *set = set_of(parse("shop", ledger_text), NULL);

	fixture_open(f, &f->patient.store);
	check_engine_set_policies(f->engine, set);
	policy_set_unref(set);
}

static struct check *
start(struct fixture *f, struct check_request r)
{
	struct check *check = check_start(f->engine, &r, on_any_done, f);

	assert_non_null(check);
	return check;
}

static struct check_request
request_with_id(const char *tool, const char *id)
{
	struct check_request r = request_of(tool, "alice", 1);

	r.id = slice_str(id);
	return r;
}

static struct check_request
reserving(const char *tool, const char *id)
{
	struct check_request r = request_with_id(tool, id);

	r.mode = MODE_RESERVE;
	return r;
}

static void
answer_replay(struct patient *p, const char *holder)
{
	struct ledger *ledger = p->waiting->ledger;

	ledger->replayed = true;
	snprintf(
	    ledger->replayed_holder, sizeof(ledger->replayed_holder), "%s", holder);
	answer(p, TAKE_ADMITTED);
}

static void
test_plain_checks_have_none(void **state)
{
	struct fixture f;
	struct check *check;

	(void)state;
	open_patient(&f);
	/* Behind one that had everything, for checks are used again. */
	check = start(&f, reserving("charge", "x"));
	answer(&f.patient, TAKE_ADMITTED);
	check_release(check);
	check = start(&f, request_of("charge", "alice", 1));
	assert_null(f.patient.waiting->ledger);
	assert_false(f.patient.waiting->look);
	answer(&f.patient, TAKE_ADMITTED);
	assert_int_equal(check_decision(check)->reservation.len, 0);
	assert_false(check_decision(check)->replayed);
	check_release(check);
	/* What nothing counts needs no store. */
	check = start(&f, request_of("unlisted", "alice", 1));
	assert_null(f.patient.waiting);
	assert_true(check_is_done(check));
	check_release(check);
	fixture_close(&f);
}

static void
test_request_id(void **state)
{
	struct fixture f;
	struct check *check;
	const struct ledger *ledger;

	(void)state;
	open_patient(&f);
	/* Behind a reservation, of which nothing may be left. */
	check = start(&f, reserving("charge", ""));
	answer(&f.patient, TAKE_ADMITTED);
	check_release(check);
	check = start(&f, request_with_id("charge", "order =7"));
	ledger = f.patient.waiting->ledger;
	assert_non_null(ledger);
	assert_slice(ledger->id_key, "ration:shop:{grant=alice}:#order%20%3D7");
	assert_int_equal(ledger->print.len, LEDGER_PRINT_LEN);
	assert_int_equal(ledger->dedup_ms, 600000);
	assert_int_equal(ledger->held_key.len, 0);
	assert_int_equal(ledger->holder.len, 0);
	assert_false(ledger->replayed);
	answer(&f.patient, TAKE_ADMITTED);
	assert_int_equal(check_decision(check)->verdict, VERDICT_ALLOW);
	assert_int_equal(check_decision(check)->reservation.len, 0);
	assert_false(check_decision(check)->replayed);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_REPLAYED), 0);
	check_release(check);
	fixture_close(&f);
}

/* The print of a request's take. */
static const char *
print_of(struct fixture *f, struct check_request r)
{
	static char print[4][LEDGER_PRINT_LEN + 1];
	static unsigned turn;
	char *out = print[turn++ % ARRAY_LEN(print)];
	struct check *check = start(f, r);

	memcpy(out, f->patient.waiting->ledger->print.ptr, LEDGER_PRINT_LEN);
	answer(&f->patient, TAKE_ADMITTED);
	check_release(check);
	return out;
}

static void
test_print(void **state)
{
	static const char text[] =
	    "{ \"version\": \"1\", \"default\": \"deny\", \"tools\": {"
	    "  \"other\": { \"limits\": ["
	    "    { \"counter\": \"n\", \"window\": \"minute\", \"max\": 4 } ] },"
	    "  \"another\": { \"limits\": ["
	    "    { \"counter\": \"n\", \"window\": \"minute\", \"max\": 4 } ] } } }";
	struct check_request r = request_with_id("other", "1");
	struct policy_set *set = set_of(parse("shop", text), NULL);
	char first[LEDGER_PRINT_LEN + 1];
	struct fixture f;

	(void)state;
	open_patient(&f);
	snprintf(first, sizeof(first), "%s", print_of(&f, r));
	assert_string_equal(print_of(&f, r), first);
	r.id = slice_str("2");
	assert_string_equal(print_of(&f, r), first);
	r.call.cost = 2;
	assert_string_not_equal(print_of(&f, r), first);
	assert_string_not_equal(print_of(&f, reserving("other", "1")), first);
	assert_string_not_equal(print_of(&f, request_with_id("unlisted", "1")), first);
	check_engine_set_policies(f.engine, set);
	policy_set_unref(set);
	/* Another max is no other charge; another tool is, with the same charges. */
	assert_string_equal(print_of(&f, request_with_id("other", "1")), first);
	assert_string_not_equal(print_of(&f, request_with_id("another", "1")), first);
	fixture_close(&f);
}

static void
test_reserve(void **state)
{
	struct check_request r = reserving("charge", "");
	char want[256];
	struct fixture f;
	struct check *check;
	const struct ledger *ledger;

	(void)state;
	open_patient(&f);
	r.call.grant = slice_str("a:b");
	r.ttl_s = 7;
	check = start(&f, r);
	ledger = f.patient.waiting->ledger;
	assert_int_equal(ledger->id_key.len, 0);
	assert_int_equal(ledger->ttl_ms, 7000);
	assert_int_equal(ledger->holder.len, LEDGER_HOLDER_LEN);
	snprintf(want, sizeof(want), "ration:shop:{grant=a%%3Ab}:#=%.*s",
	    SLICE_ARG(ledger->holder));
	assert_slice(ledger->held_key, want);
	snprintf(want, sizeof(want), "shop:a%%3Ab:%.*s", SLICE_ARG(ledger->holder));
	answer(&f.patient, TAKE_ADMITTED);
	assert_slice(check_decision(check)->reservation, want);
	check_release(check);
	/* Another one is another's; and ten minutes unless they say. */
	r.ttl_s = 0;
	check = start(&f, r);
	assert_int_equal(f.patient.waiting->ledger->ttl_ms, 600000);
	answer(&f.patient, TAKE_ADMITTED);
	assert_false(slice_eq_str(check_decision(check)->reservation, want));
	check_release(check);
	fixture_close(&f);
}

static void
test_no_reservation_without_charges(void **state)
{
	static const enum take_status statuses[] = { TAKE_REFUSED, TAKE_FAILED,
		TAKE_CONFLICT };
	struct fixture f;

	(void)state;
	open_patient(&f);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		struct check *check = start(&f, reserving("charge", "x"));

		answer(&f.patient, statuses[i]);
		assert_int_equal(check_decision(check)->reservation.len, 0);
		assert_int_not_equal(check_decision(check)->verdict, VERDICT_ALLOW);
		check_release(check);
	}
	fixture_close(&f);
}

static void
test_replay(void **state)
{
	struct fixture f;
	struct check *check;
	const struct decision *d;

	(void)state;
	open_patient(&f);
	check = start(&f, reserving("charge", "x"));
	answer_replay(&f.patient, HOLDER_1);
	d = check_decision(check);
	assert_true(d->replayed);
	assert_int_equal(d->verdict, VERDICT_ALLOW);
	assert_int_equal(d->limits[0].outcome.used, 1);
	/* The first one's, not the one that was drawn for this retry. */
	assert_slice(d->reservation, "shop:alice:" HOLDER_1);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_REPLAYED), 1);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_ALLOW), 1);
	assert_int_equal(f.observed, 1);
	check_release(check);
	check = start(&f, request_with_id("charge", "x"));
	answer_replay(&f.patient, "");
	assert_true(check_decision(check)->replayed);
	assert_int_equal(check_decision(check)->reservation.len, 0);
	check_release(check);
	fixture_close(&f);
}

static void
test_conflict(void **state)
{
	struct fixture f;
	struct check *check;
	const struct decision *d;

	(void)state;
	open_patient(&f);
	check = start(&f, request_with_id("charge", "x"));
	answer(&f.patient, TAKE_CONFLICT);
	d = check_decision(check);
	assert_int_equal(d->cause, CAUSE_CONFLICT);
	assert_int_equal(d->verdict, VERDICT_DENY);
	assert_non_null(strstr(d->message.ptr, "another tool or other charges"));
	assert_int_equal(d->n_limits, 0);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_CONFLICT), 1);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_DENY_POLICY), 0);
	assert_int_equal(f.observed, 0);
	assert_int_equal(f.done, 1);
	check_release(check);
	fixture_close(&f);
}

static void
test_peek(void **state)
{
	struct check_request r = request_with_id("charge", "");
	struct fixture f;
	struct check *check;

	(void)state;
	open_patient(&f);
	r.mode = MODE_PEEK;
	check = start(&f, r);
	assert_true(f.patient.waiting->look);
	assert_null(f.patient.waiting->ledger);
	answer(&f.patient, TAKE_REFUSED);
	assert_int_equal(check_decision(check)->cause, CAUSE_LIMIT);
	assert_int_equal(check_mode(check), MODE_PEEK);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_PEEKED), 1);
	check_release(check);
	fixture_close(&f);
}

/* A peek asks for the id as it may have been admitted: enforced, then reserved. */
static void
test_peek_with_an_id(void **state)
{
	struct check_request r = request_with_id("charge", "x");
	char enforced[LEDGER_PRINT_LEN + 1], reserved[LEDGER_PRINT_LEN + 1];
	struct fixture f;
	struct check *check;

	(void)state;
	open_patient(&f);
	snprintf(enforced, sizeof(enforced), "%s", print_of(&f, r));
	snprintf(
	    reserved, sizeof(reserved), "%s", print_of(&f, reserving("charge", "x")));
	r.mode = MODE_PEEK;
	for (int i = 0; i < 2; i++) {
		const struct ledger *ledger;

		check = start(&f, r);
		ledger = f.patient.waiting->ledger;
		assert_slice(ledger->print, enforced);
		assert_slice(ledger->id_key, "ration:shop:{grant=alice}:#x");
		assert_int_equal(ledger->held_key.len, 0);
		answer(&f.patient, TAKE_CONFLICT);
		assert_false(check_is_done(check));
		assert_slice(f.patient.waiting->ledger->print, reserved);
		assert_true(f.patient.waiting->look);
		if (i == 0) {
			answer_replay(&f.patient, HOLDER_1);
			assert_true(check_decision(check)->replayed);
			assert_slice(
			    check_decision(check)->reservation, "shop:alice:" HOLDER_1);
		} else {
			answer(&f.patient, TAKE_CONFLICT);
			assert_int_equal(check_decision(check)->cause, CAUSE_CONFLICT);
		}
		check_release(check);
	}
	fixture_close(&f);
}

/* What no limit counts is remembered and reserved all the same, and nothing but the
 * ledger needs the store for it. */
static void
test_without_limits(void **state)
{
	struct fixture f;
	struct check *check;

	(void)state;
	open_patient(&f);
	check = start(&f, reserving("unlisted", "x"));
	assert_int_equal(f.patient.waiting->n, 0);
	answer(&f.patient, TAKE_ADMITTED);
	assert_int_equal(check_decision(check)->verdict, VERDICT_ALLOW);
	assert_int_not_equal(check_decision(check)->reservation.len, 0);
	check_release(check);
	check = start(&f, reserving("unlisted", "x"));
	answer(&f.patient, TAKE_FAILED);
	assert_int_equal(check_decision(check)->verdict, VERDICT_ALLOW);
	assert_true(check_decision(check)->degraded);
	assert_int_equal(check_decision(check)->reservation.len, 0);
	check_release(check);
	fixture_close(&f);
}

static void
test_denied_before_the_ledger(void **state)
{
	struct fixture f;
	struct check *check;

	(void)state;
	fixture_open(&f, &f.patient.store);
	check = start(&f, reserving("stop", "x"));
	assert_null(f.patient.waiting);
	assert_int_equal(check_decision(check)->cause, CAUSE_POLICY);
	assert_int_equal(check_decision(check)->reservation.len, 0);
	check_release(check);
	fixture_close(&f);
}

/* What a commit may correct: the request's own cost and an argument's. */
static void
test_corrects(void **state)
{
	struct check_request r = reserving("charge", "");
	json_t *args = json_pack("{s:i}", "n", 5);
	struct fixture f;
	struct check *check;
	const struct charge *c;

	(void)state;
	open_patient(&f);
	r.call.args = args;
	check = start(&f, r);
	assert_int_equal(f.patient.waiting->n, 3);
	c = f.patient.waiting->charges;
	assert_true(c[0].corrects);
	assert_false(c[1].corrects);
	assert_int_equal(c[1].cost, 2);
	assert_true(c[2].corrects);
	assert_true(c[2].shadow);
	assert_int_equal(c[2].cost, 5);
	answer(&f.patient, TAKE_ADMITTED);
	check_release(check);
	json_decref(args);
	fixture_close(&f);
}

static void
test_explain(void **state)
{
	struct check_request r = request_with_id("other", "x");
	struct fixture f;
	struct check *check;

	(void)state;
	open_patient(&f);
	r.kind = CHECK_EXPLAIN;
	r.mode = MODE_RESERVE;
	check = start(&f, r);
	assert_true(f.patient.waiting->look);
	assert_int_equal(f.patient.waiting->ledger->held_key.len, 0);
	answer_replay(&f.patient, HOLDER_1);
	assert_true(check_explanation(check)->replayed);
	assert_int_equal(check_explanation(check)->decided, STEP_ALLOW);
	assert_true(check_explanation(check)->limits[0].fits);
	assert_int_equal(metric_get(f.cells, METRIC_CHECKS_REPLAYED), 0);
	check_release(check);
	r.id = slice_str("");
	check = start(&f, r);
	assert_null(f.patient.waiting->ledger);
	answer(&f.patient, TAKE_ADMITTED);
	assert_false(check_explanation(check)->replayed);
	check_release(check);
	fixture_close(&f);
}

static void
test_reservation_ids(void **state)
{
	static const char *const bad[] = { "", ":", "::", "a:b:", "a:b:" HOLDER_1 "0",
		"a:b:0123456789ABCDEF0123456789abcdef", ":b:" HOLDER_1, "a::" HOLDER_1,
		"a b:c:" HOLDER_1, "a:b:c:" HOLDER_1, "a:{b}:" HOLDER_1,
		"a:b%2:" HOLDER_1, "a:b%2f:" HOLDER_1, "a:b%62:" HOLDER_1,
		"a:~b:" HOLDER_1, "a:" HOLDER_1,
		"a:b:0123456789abcde\xff"
		"0123456789abcdef" };
	char long_id[200];
	struct reservation r;
	struct errinfo ei;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (reservation_parse(slice_str(bad[i]), &r, &ei) != ERR_INVALID)
			fail_msg("%s was read", bad[i]);
	snprintf(long_id, sizeof(long_id), "%129d:b:" HOLDER_1, 7);
	for (char *at = long_id; *at == ' '; at++)
		*at = 'x';
	assert_int_equal(reservation_parse(slice_str(long_id), &r, &ei), ERR_INVALID);
	assert_int_equal(reservation_parse(slice_str(long_id + 1), &r, &ei), 0);
	assert_int_equal(
	    reservation_parse(slice_str("a%20b:~" HOLDER_1 ":" HOLDER_1), &r, &ei), 0);
	assert_slice(r.policy, "a%20b");
	assert_slice(r.grant, "~" HOLDER_1);
	assert_slice(r.holder, HOLDER_1);
}

/* Names of any length make an id that is read again, and is that grant's alone. */
static void
test_reservation_round_trip(void **state)
{
	struct slice holder = slice_str(HOLDER_1);
	struct reservation r;
	struct errinfo ei;
	char name[CALL_NAME_MAX];
	struct buf id = { 0 };

	(void)state;
	memset(name, ':', sizeof(name));
	for (size_t len = 1; len <= sizeof(name); len *= 2) {
		struct slice raw = slice_make(name, len);

		buf_clear(&id);
		reservation_format(&id, raw, raw, holder);
		assert_int_equal(reservation_parse(buf_slice(&id), &r, &ei), 0);
		assert_true(reservation_is_of(&r, raw));
		assert_false(reservation_is_of(&r, slice_str("b")));
		assert_true(slice_eq(r.holder, holder));
	}
	buf_fini(&id);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_checks_have_none),
		cmocka_unit_test(test_request_id),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_no_reservation_without_charges),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_conflict),
		cmocka_unit_test(test_peek),
		cmocka_unit_test(test_peek_with_an_id),
		cmocka_unit_test(test_without_limits),
		cmocka_unit_test(test_denied_before_the_ledger),
		cmocka_unit_test(test_corrects),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_reservation_ids),
		cmocka_unit_test(test_reservation_round_trip),
	};

	return cmocka_run_group_tests(tests, start_hash, NULL);
}
