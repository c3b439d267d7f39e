/* SPDX-License-Identifier: ISC */
/* The pace of calls, against a Redis that is made of arithmetic: it works on one call
 * after another, and is a trip away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/pace.h"

#define SERVER_AHEAD_US INT64_C(1767225600000000) /* its clock is another one */
#define UNDER_WAY_MAX 4096
#define S INT64_C(1000000)

struct model {
	struct pace pace;
	int64_t trip_us, key_ns; /* of the server */
	int64_t now_us;
	int64_t free_us;   /* when it will have done all */
	int64_t worked_us; /* on all so far */
	size_t first, n;
	size_t most; /* that were ever under way */
	struct {
		struct pace_call call;
		int64_t began_us, reply_us;
	} ring[UNDER_WAY_MAX];
};

static struct model *
model(int64_t trip_us, int64_t key_ns)
{
	static struct model m;

	m = (struct model){ .trip_us = trip_us, .key_ns = key_ns, .now_us = S };
	pace_init(&m.pace);
	return &m;
}

static void
send(struct model *m, size_t keys)
{
	int64_t arrival_us = m->now_us + m->trip_us / 2;
	int64_t work_us = (int64_t)(keys + PACE_CALL_KEYS) * m->key_ns / 1000;
	int64_t began_us = arrival_us > m->free_us ? arrival_us : m->free_us;
	size_t at = (m->first + m->n++) % UNDER_WAY_MAX;

	assert_in_range(m->n, 1, UNDER_WAY_MAX);
	if (m->n > m->most)
		m->most = m->n;
	m->free_us = began_us + work_us;
	m->worked_us += work_us;
	m->ring[at].began_us = began_us + SERVER_AHEAD_US;
	m->ring[at].reply_us = m->free_us + m->trip_us / 2;
	pace_on_send(&m->pace, &m->ring[at].call, keys, m->now_us);
}

static void
receive(struct model *m)
{
	size_t at = m->first;

	m->first = (m->first + 1) % UNDER_WAY_MAX;
	m->n--;
	m->now_us = m->ring[at].reply_us;
	pace_on_reply(&m->pace, &m->ring[at].call, m->ring[at].began_us, m->now_us);
}

/* One at a time, with pauses. */
static void
run_alone(struct model *m, size_t keys, int64_t for_us)
{
	int64_t end_us = m->now_us + for_us;

	while (m->now_us < end_us) {
		send(m, keys);
		receive(m);
		m->now_us += 1000;
	}
}

/* There are always more checks, and calls carry that many. Returns which part of the time
 * Redis worked, in percent. */
static int
run_full(struct model *m, size_t keys, int64_t for_us)
{
	int64_t begin_us = m->now_us;
	int64_t worked_us = m->worked_us;

	while (m->now_us < begin_us + for_us) {
		while (pace_allows(&m->pace, keys))
			send(m, keys);
		receive(m);
	}
	while (m->n > 0)
		receive(m);
	return (int)((m->worked_us - worked_us) * 100 / (m->now_us - begin_us));
}

static void
test_one_is_sent_at_once(void **state)
{
	struct model *m = model(30, 1000);

	(void)state;
	assert_true(pace_allows(&m->pace, 1));
	run_alone(m, 1, S);
	assert_true(pace_allows(&m->pace, 1));
	assert_int_equal(m->most, 1);
}

/* On the same machine: a small second call would only cost more. */
static void
test_near(void **state)
{
	struct model *m = model(20, 1000);

	(void)state;
	run_alone(m, 10, S);
	send(m, 10);
	assert_false(pace_allows(&m->pace, 10));
	assert_true(pace_allows(&m->pace, PACE_SECOND_KEYS));
	send(m, PACE_SECOND_KEYS);
	assert_false(pace_allows(&m->pace, 512));
	receive(m);
	receive(m);
	run_full(m, 512, S);
	assert_int_equal(m->most, 2);
}

/* A single slow answer is no far Redis. */
static void
test_the_first_replies(void **state)
{
	struct model *m = model(5000, 1000);

	(void)state;
	for (int i = 0; i < PACE_REPLIES_MIN; i++) {
		send(m, 1);
		assert_false(pace_allows(&m->pace, 1));
		receive(m);
	}
	send(m, 1);
	assert_true(pace_allows(&m->pace, 1));
}

static void
test_far(void **state)
{
	static const size_t sizes[] = { 1, 64, 512 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct model *m = model(5000, 1000);

		run_alone(m, 1, S);
		assert_in_range(run_full(m, sizes[i], 10 * S), 95, 100);
		/* No more than the trip holds, a quarter and one. */
		assert_in_range(m->most, 2, 6250 / (sizes[i] + PACE_CALL_KEYS) + 2);
	}
}

/* It is learnt under load, too, within three spans. */
static void
test_the_trip_grows(void **state)
{
	struct model *m = model(20, 1000);

	(void)state;
	run_full(m, 256, S);
	m->trip_us = 5000;
	run_full(m, 256, 3 * PACE_SPAN_US);
	assert_in_range(run_full(m, 256, S), 95, 100);
	m->trip_us = 20;
	run_full(m, 256, 3 * PACE_SPAN_US);
	m->most = 0;
	run_full(m, 256, S);
	assert_int_equal(m->most, 2);
}

static void
test_slow_redis(void **state)
{
	struct model *m = model(20, 1000);
	size_t quick;

	(void)state;
	run_full(m, 512, S);
	quick = pace_keys_max(&m->pace);
	assert_in_range(quick, 1900, 2000);
	m->key_ns = 20000;
	run_full(m, 512, 3 * PACE_SPAN_US);
	assert_int_equal(pace_keys_max(&m->pace), 68);
	m->key_ns = 1000;
	run_full(m, 512, S);
	assert_in_range(pace_keys_max(&m->pace), quick * 19 / 20, quick);
	m->key_ns = 1000000;
	run_full(m, 512, 4 * PACE_SPAN_US);
	assert_int_equal(pace_keys_max(&m->pace), PACE_SECOND_KEYS);
}

/* A Redis with nothing to do is not a slow one. */
static void
test_pauses_teach_nothing(void **state)
{
	struct model *m = model(20, 1000);
	int64_t key_ns;

	(void)state;
	run_full(m, 512, S);
	key_ns = m->pace.key_ns;
	run_alone(m, 1, 20 * S);
	assert_in_range(m->pace.key_ns, 1, key_ns);
}

/* A reply that is an error says nothing, neither by itself nor to the next. */
static void
test_a_reply_without_a_time(void **state)
{
	struct model *m = model(20, 1000);
	struct pace before;

	(void)state;
	run_full(m, 512, S);
	before = m->pace;
	for (int i = 0; i < 3; i++) {
		send(m, 512);
		m->ring[m->first].began_us = 0;
		receive(m);
	}
	send(m, 512);
	receive(m);
	assert_int_equal(m->pace.key_ns, before.key_ns);
	assert_int_equal(m->pace.span.key_ns, before.span.key_ns);
	assert_int_equal(m->pace.calls, 0);
	assert_int_equal(m->pace.keys, 0);
}

/* Redis's clock was set back. */
static void
test_time_goes_back(void **state)
{
	struct model *m = model(20, 1000);
	size_t keys;

	(void)state;
	run_full(m, 512, S);
	keys = pace_keys_max(&m->pace);
	send(m, 512);
	m->ring[m->first].began_us -= 3600 * S;
	receive(m);
	run_full(m, 512, S);
	assert_in_range(pace_keys_max(&m->pace), keys - 10, keys + 10);
}

/* It was wrong by decades, or by a second, while the only call was under way that stood
 * behind another for a long time. */
static void
test_time_leaps(void **state)
{
	static const int64_t leaps_us[] = { S, 56 * INT64_C(31556952) * S };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct model *m = model(20, 1000);
		size_t keys;

		run_full(m, 512, S);
		run_alone(m, 1, 6 * S);
		keys = pace_keys_max(&m->pace);
		send(m, 1);
		send(m, PACE_SECOND_KEYS);
		m->ring[(m->first + 1) % UNDER_WAY_MAX].began_us += leaps_us[i];
		receive(m);
		receive(m);
		run_alone(m, 1, 6 * S);
		assert_in_range(pace_keys_max(&m->pace), keys - 10, keys + 10);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_is_sent_at_once),
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_the_first_replies),
		cmocka_unit_test(test_far),
		cmocka_unit_test(test_the_trip_grows),
		cmocka_unit_test(test_slow_redis),
		cmocka_unit_test(test_pauses_teach_nothing),
		cmocka_unit_test(test_a_reply_without_a_time),
		cmocka_unit_test(test_time_goes_back),
		cmocka_unit_test(test_time_leaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
