/* SPDX-License-Identifier: ISC */
/*
 * What the tests of check/ share: an engine over a real policy, with the embedded store
 * on a clock of the test's, or with a store that answers when the test says so.
 */
#ifndef CHECK_FIXTURE_H
#define CHECK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "check/check.h"
#include "hash_fixture.h"
#include "store/failing.h"
#include "store/memory.h"

#define MINUTE_US INT64_C(60000000)
#define T0 (INT64_C(29453760) * MINUTE_US)

/* A store that keeps its takes until the test answers. */
struct patient {
	struct store store;
	struct take *waiting;
};

static inline void
patient_take(struct store *store, struct take *take)
{
	CONTAINER_OF(store, struct patient, store)->waiting = take;
}

static const struct store_ops patient_ops = { .name = "patient", .take = patient_take };

static const char policy_text[] =
    "{ \"version\": \"1\", \"default\": \"deny\", \"hide\": [\"secret\"],"
    "  \"all_tools\": { \"limits\": ["
    "    { \"counter\": \"calls\", \"window\": \"hour\", \"max\": 5 } ] },"
    "  \"tools\": {"
    "    \"charge\": { \"limits\": ["
    "      { \"counter\": \"charges\", \"window\": \"minute\", \"max\": 3,"
    "        \"on_deny\": \"slow down\" } ] },"
    "    \"big\": { \"limits\": ["
    "      { \"counter\": \"bytes\", \"window\": \"minute\", \"max\": 5 } ] },"
    "    \"team\": { \"limits\": ["
    "      { \"counter\": \"t\", \"window\": \"minute\", \"max\": 3,"
    "        \"scope\": \"team\" } ] },"
    "    \"stop\": { \"action\": \"deny\", \"reason\": \"not by an agent\" } } }";
static const char open_text[] = "{ \"version\": \"1\", \"default\": \"allow\" }";

struct fixture {
	int64_t now_us;
	struct metric_cells *cells;
	struct memory *memory;
	struct store *store;
	struct patient patient;
	struct policy_set *policies;
	struct check_engine *engine;
	int done;
	int observed;
};

static inline int64_t
fixture_now_us(void *arg)
{
	return ((struct fixture *)arg)->now_us;
}

static inline struct policy *
parse(const char *name, const char *text)
{
	struct policy_options options = { 0 };
	struct errlist errors;
	struct policy *policy =
	    policy_parse(name, name, text, strlen(text), &options, &errors);

	if (!policy)
		print_message(
		    "%s: %s\n", errors.items[0].pointer, errors.items[0].text);
	assert_non_null(policy);
	errlist_fini(&errors);
	return policy;
}

static inline struct policy_set *
set_of(struct policy *one, struct policy *two)
{
	struct policy *policies[] = { one, two };
	struct policy_set *set = policy_set_new(policies, two ? 2 : 1, NULL);

	assert_non_null(set);
	return set;
}

static inline void
on_observe(void *arg, const struct check *check)
{
	struct fixture *f = arg;

	assert_non_null(check_decision(check)->tool.ptr);
	/* What was kept of this very request, and the policy that decided. */
	assert_true(slice_eq(check_kept(check), check_decision(check)->tool));
	if (check_policy(check))
		assert_true(slice_eq_str(
		    check_decision(check)->policy, policy_name(check_policy(check))));
	/* Before the owner. */
	assert_int_equal(f->observed, f->done);
	f->observed++;
}

static inline void
on_keep(void *arg, const struct check_request *request, struct buf *kept)
{
	assert_non_null(arg);
	assert_int_equal(kept->len, 0);
	buf_add_slice(kept, request->call.tool);
}

static inline void
on_done(struct check *check, void *arg)
{
	struct fixture *f = arg;

	assert_true(check_is_done(check));
	f->done++;
	assert_int_equal(f->observed, f->done);
}

/* `store` NULL: the embedded one. */
static inline void
fixture_open(struct fixture *f, struct store *store)
{
	struct memory_options mo = { 0, fixture_now_us, f };
	struct check_options co = {
		.deadline_ms = 50,
		.observe = on_observe,
		.observe_arg = f,
		.keep = on_keep,
	};

	memset(f, 0, sizeof(*f));
	f->now_us = T0;
	f->cells = calloc(1, sizeof(*f->cells));
	f->memory = memory_new(&mo);
	f->store = memory_store_new(f->memory, f->cells);
	f->patient.store = (struct store){ &patient_ops, f->cells };
	f->policies = set_of(parse("shop", policy_text), NULL);
	co.store = store ? store : f->store;
	co.cells = f->cells;
	if (store)
		store->cells = f->cells;
	f->engine = check_engine_new(&co, f->policies);
	assert_non_null(f->engine);
	policy_set_unref(f->policies);
}

static inline void
fixture_close(struct fixture *f)
{
	assert_int_equal(check_engine_pending(f->engine), 0);
	check_engine_free(f->engine);
	store_close(f->store);
	memory_free(f->memory);
	free(f->cells);
}

static inline struct check_request
request_of(const char *tool, const char *grant, int64_t cost)
{
	struct check_request r = { 0 };

	r.call.tool = slice_str(tool);
	r.call.grant = slice_str(grant);
	r.call.cost = cost;
	return r;
}

static inline struct check *
start_check(struct fixture *f, const char *tool, const char *grant, int64_t cost)
{
	struct check_request r = request_of(tool, grant, cost);
	struct check *check = check_start(f->engine, &r, on_done, f);

	assert_non_null(check);
	return check;
}

static inline void
assert_slice(struct slice got, const char *want)
{
	if (!slice_eq_str(got, want))
		print_message("got %.*s, not %s\n", SLICE_ARG(got), want ? want : "");
	assert_true(slice_eq_str(got, want));
}

static inline void
answer(struct patient *p, enum take_status status)
{
	struct take *take = p->waiting;

	p->waiting = NULL;
	for (size_t i = 0; i < take->n; i++)
		take->charges[i].count.used = 1;
	take->status = status;
	take->refused = 0;
	take->now_us = T0;
	take->fault = FAULT_NONE;
	if (status == TAKE_FAILED)
		store_fail(&p->store, take, FAULT_OTHER, "ERR it broke");
	else
		take->done(take);
}

#endif
