/* SPDX-License-Identifier: ISC */
/*
 * What the tests of front/ share: a front on a real socket over a real engine and
 * policy, a client driven by hand, and a store that answers when the test says so.
 */
#ifndef FRONT_FIXTURE_H
#define FRONT_FIXTURE_H

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "front/front.h"

#define LATE_MAX 64
#define TOKEN "0123456789abcdef"
/* Longest wait for what must come; nothing waits that long when all is well. */
#define WATCHDOG_US 5000000

static const char policy_text[] =
    "{ \"version\": \"1\", \"default\": \"deny\", \"tools\": {"
    "  \"free\": {},"
    "  \"stop\": { \"action\": \"deny\", \"reason\": \"no\" },"
    "  \"counted\": { \"limits\": ["
    "    { \"counter\": \"c\", \"window\": \"hour\", \"max\": 3 } ] } } }";

struct late_store {
	struct store store; /* must stay first */
	struct take *takes[LATE_MAX];
	size_t n;
	struct settle *settles[LATE_MAX];
	size_t n_settles;
	struct reset *resets[LATE_MAX];
	size_t n_resets;
};

/* A reservation of the grant g under the policy p. */
#define RESERVATION "p:g:0123456789abcdef0123456789abcdef"

struct house {
	struct loop *loop;
	struct loop_timer *tick;
	int64_t left_us;
	struct metric_cells *cells;
	struct late_store late;
	struct check_engine *engine;
	struct throttler *throttler;
	struct settler *settler;
	struct front_quota quota;
	struct front_options options;
	struct token_set *tokens;
	struct front *front;
	int client;
	struct buf got;
	bool eof;
	size_t want;
	bool (*until)(struct house *h);
};

/* Admits the take as the first charge of its counter. */
static inline void
late_answer(struct take *take)
{
	take->status = TAKE_ADMITTED;
	take->now_us = INT64_C(3600) * 1000000;
	take->charges[0].count.used = 1;
	take->done(take);
}

static inline void
late_take(struct store *store, struct take *take)
{
	struct late_store *late = (struct late_store *)store;

	assert_true(late->n < LATE_MAX);
	late->takes[late->n++] = take;
}

static inline void
late_settle(struct store *store, struct settle *settle)
{
	struct late_store *late = (struct late_store *)store;

	assert_true(late->n_settles < LATE_MAX);
	late->settles[late->n_settles++] = settle;
}

static inline void
late_reset(struct store *store, struct reset *reset)
{
	struct late_store *late = (struct late_store *)store;

	assert_true(late->n_resets < LATE_MAX);
	late->resets[late->n_resets++] = reset;
}

static const struct store_ops late_ops = {
	.name = "late", .take = late_take, .settle = late_settle, .reset = late_reset
};

/* Answers the i-th of the waiting takes. */
static inline void
house_answer(struct house *h, size_t i)
{
	struct take *take = h->late.takes[i];

	assert_non_null(take);
	h->late.takes[i] = NULL;
	late_answer(take);
}

/* Answers the i-th of the waiting settlements; a failed one timed out. */
static inline void
house_answer_settle(struct house *h, size_t i, enum settle_status status)
{
	struct settle *settle = h->late.settles[i];

	assert_non_null(settle);
	h->late.settles[i] = NULL;
	if (status == SETTLE_FAILED) {
		store_fail_settle(&h->late.store, settle, FAULT_TIMEOUT, "slow");
		return;
	}
	settle->status = status;
	settle->done(settle);
}

/* Answers the i-th of the waiting resets: one counter held something. */
static inline void
house_answer_reset(struct house *h, size_t i, enum store_fault fault)
{
	struct reset *reset = h->late.resets[i];

	assert_non_null(reset);
	h->late.resets[i] = NULL;
	if (fault != FAULT_NONE) {
		store_fail_reset(&h->late.store, reset, fault, NULL);
		return;
	}
	reset->held = 1;
	reset->fault = FAULT_NONE;
	reset->done(reset);
}

static inline void
house_look(void *arg)
{
	struct house *h = arg;
	char block[65536];
	ssize_t n;

	while (h->client >= 0 &&
	    (n = recv(h->client, block, sizeof(block), MSG_DONTWAIT)) > 0)
		buf_add(&h->got, block, (size_t)n);
	h->eof = h->client >= 0 && (n == 0 || (n < 0 && errno == ECONNRESET));
	if (h->until ? h->until(h) : h->got.len >= h->want) {
		loop_stop(h->loop);
		return;
	}
	h->left_us -= 1000;
	if (h->left_us <= 0)
		loop_stop(h->loop);
	loop_timer_set(h->tick, 1000);
}

static inline void
house_run(struct house *h, bool (*until)(struct house *h))
{
	h->until = until;
	h->left_us = WATCHDOG_US;
	loop_timer_set(h->tick, 0);
	assert_int_equal(loop_run(h->loop), 0);
	loop_timer_cancel(h->tick);
	assert_true(h->left_us > 0);
}

static inline bool
house_at_eof(struct house *h)
{
	return h->eof;
}

static inline struct policy_set *
house_policies(void)
{
	struct policy_options po = { 0 };
	struct errlist errors;
	struct policy *policy =
	    policy_parse("p", "p", policy_text, strlen(policy_text), &po, &errors);
	struct policy_set *set;

	errlist_fini(&errors);
	assert_non_null(policy);
	set = policy_set_new(&policy, 1, NULL);
	assert_non_null(set);
	return set;
}

static inline int
house_setup(void **state)
{
	struct house *h = calloc(1, sizeof(*h));
	struct policy_set *policies;
	struct check_options co = { 0 };

	assert_int_equal(hash_start(), 0);
	policies = house_policies();
	h->loop = loop_new();
	h->tick = loop_timer_new(h->loop, house_look, h);
	h->cells = calloc(1, sizeof(*h->cells));
	h->late.store = (struct store){ &late_ops, h->cells };
	co.store = &h->late.store;
	co.cells = h->cells;
	co.deadline_ms = 1000;
	h->engine = check_engine_new(&co, policies);
	policy_set_unref(policies);
	h->throttler = throttler_new(&(struct throttler_options){
	    .store = &h->late.store,
	    .cells = h->cells,
	    .key_prefix = "ration",
	    .deadline_ms = 1000,
	});
	assert_non_null(h->throttler);
	h->settler = settler_new(&(struct settler_options){
	    .store = &h->late.store,
	    .cells = h->cells,
	    .key_prefix = "ration",
	    .deadline_ms = 1000,
	    .dedup_ttl_ms = 600000,
	});
	assert_non_null(h->settler);
	h->quota.max = 10;
	h->options = (struct front_options){ .engine = h->engine,
		.throttler = h->throttler,
		.settler = h->settler,
		.cells = h->cells,
		.quota = &h->quota,
		.request_max = 1000,
		.pending_max = 8 };
	h->client = -1;
	*state = h;
	return 0;
}

static inline int
house_teardown(void **state)
{
	struct house *h = *state;

	front_free(h->front);
	for (size_t i = 0; i < h->late.n; i++)
		if (h->late.takes[i])
			house_answer(h, i);
	for (size_t i = 0; i < h->late.n_settles; i++)
		if (h->late.settles[i])
			house_answer_settle(h, i, SETTLE_DONE);
	for (size_t i = 0; i < h->late.n_resets; i++)
		if (h->late.resets[i])
			house_answer_reset(h, i, FAULT_NONE);
	assert_int_equal(check_engine_pending(h->engine), 0);
	assert_int_equal(metric_get(h->cells, METRIC_RESP_CONNECTIONS), 0);
	assert_int_equal(metric_get(h->cells, METRIC_HTTP_CONNECTIONS), 0);
	assert_int_equal(throttler_pending(h->throttler), 0);
	throttler_free(h->throttler);
	assert_int_equal(settler_pending(h->settler), 0);
	settler_free(h->settler);
	check_engine_free(h->engine);
	loop_free(h->loop);
	token_set_unref(h->tokens);
	if (h->client >= 0)
		close(h->client);
	buf_fini(&h->got);
	free(h->cells);
	free(h);
	return 0;
}

static inline void
house_open(struct house *h, const struct front_protocol *protocol, const char *at)
{
	struct address a;
	struct errinfo ei;

	h->front = front_new(h->loop, protocol, &h->options);
	assert_non_null(h->front);
	assert_int_equal(address_parse(at, &a, &ei), 0);
	assert_int_equal(front_listen(h->front, &a, &ei), 0);
}

static inline void
house_use_tokens(struct house *h)
{
	struct errinfo ei;

	h->tokens = token_set_parse(TOKEN "\n", strlen(TOKEN) + 1, &ei);
	assert_non_null(h->tokens);
	h->options.tokens = h->tokens;
}

static inline int
house_connect_to(struct house *h, struct in_addr ip)
{
	const char *at = front_address(h->front, 0);
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = ip };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_port = htons((uint16_t)atoi(strrchr(at, ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static inline void
house_connect(struct house *h)
{
	struct in_addr ip = { htonl(INADDR_LOOPBACK) };

	h->client = house_connect_to(h, ip);
}

static inline void
house_say(struct house *h, const char *text)
{
	assert_int_equal(
	    send(h->client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The client receives just that, from what it got last on. */
static inline void
house_expect(struct house *h, const char *text)
{
	h->want = strlen(text);
	house_run(h, NULL);
	assert_string_equal(buf_cstr(&h->got), text);
	buf_clear(&h->got);
}

/* The client receives this next; what follows is kept. */
static inline void
house_expect_start(struct house *h, const char *text)
{
	h->want = strlen(text);
	house_run(h, NULL);
	if (memcmp(h->got.data, text, h->want) != 0)
		assert_string_equal(buf_cstr(&h->got), text);
}

static inline void
house_expect_eof(struct house *h)
{
	house_run(h, house_at_eof);
}

#define IN_HOUSE(test) \
	cmocka_unit_test_setup_teardown(test, house_setup, house_teardown)

#endif
