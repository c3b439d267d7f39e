/* SPDX-License-Identifier: ISC */
#include "check/resetting.h"

#include <stdlib.h>

#include "base/clock.h"
#include "policy/quote.h"
#include "policy/reset_keys.h"

enum resetting_state {
	RESETTING_PENDING, /* with the store */
	RESETTING_DONE,    /* answered; its owner's until the release */
	RESETTING_DETACHED /* released while the store had it */
};

struct resetting {
	struct check_engine *engine;
	enum resetting_state state;
	void (*done)(struct resetting *resetting, void *arg);
	void *arg;
	struct reset_keys keys;
	struct reset reset;
};

static void
resetting_free(struct resetting *resetting)
{
	reset_keys_fini(&resetting->keys);
	free(resetting);
}

static void
on_reset(struct reset *reset)
{
	struct resetting *resetting = CONTAINER_OF(reset, struct resetting, reset);
	struct check_engine *engine = resetting->engine;

	metric_add(check_engine_options(engine)->cells,
	    reset->fault == FAULT_NONE ? METRIC_RESETS_DONE : METRIC_RESETS_FAILED, 1);
	check_engine_let_go(engine);
	if (resetting->state == RESETTING_DETACHED) {
		resetting_free(resetting);
		return;
	}
	resetting->state = RESETTING_DONE;
	resetting->done(resetting, resetting->arg);
}

static int
find_keys(struct resetting *resetting, const struct reset_request *request,
    struct errinfo *ei)
{
	const struct policy_set *policies = check_engine_policies(resetting->engine);
	const struct policy *policy = policy_set_find(policies, request->policy);
	const struct reset_wanted wanted = { request->counter, request->window,
		request->scope };
	char quoted[QUOTE_MAX];

	if (policy)
		return reset_keys_find(
		    policy, &wanted, RESET_KEYS_MAX, &resetting->keys, ei);
	if (request->policy.len == 0)
		return err_set(ei, ERR_NOTFOUND,
		    "the request names no policy, and none is called \"default\"");
	return err_set(ei, ERR_NOTFOUND, "there is no policy named %s",
	    quote_name(quoted, request->policy));
}

static void
on_local(struct reset *reset)
{
	(void)reset; /* nobody asks how many counters this process's own store had */
}

static void
ask_store(struct resetting *resetting)
{
	const struct check_options *o = check_engine_options(resetting->engine);

	resetting->reset = (struct reset){
		.keys = resetting->keys.items,
		.n = resetting->keys.n,
		.deadline_us = clock_mono_us() + o->deadline_ms * 1000,
		.done = on_reset,
	};
	resetting->state = RESETTING_PENDING;
	check_engine_hold(resetting->engine);
	if (o->local) {
		struct reset local = resetting->reset;

		local.done = on_local;
		store_reset(o->local, &local);
	}
	store_reset(o->store, &resetting->reset);
}

struct resetting *
resetting_start(struct check_engine *engine, const struct reset_request *request,
    void (*done)(struct resetting *resetting, void *arg), void *arg, struct errinfo *ei)
{
	struct resetting *resetting = calloc(1, sizeof(*resetting));

	if (!resetting) {
		err_set(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	resetting->engine = engine;
	resetting->done = done;
	resetting->arg = arg;
	if (find_keys(resetting, request, ei) < 0) {
		resetting_free(resetting);
		return NULL;
	}
	ask_store(resetting);
	return resetting;
}

bool
resetting_is_done(const struct resetting *resetting)
{
	return resetting->state == RESETTING_DONE;
}

const struct reset *
resetting_result(const struct resetting *resetting)
{
	return &resetting->reset;
}

void
resetting_release(struct resetting *resetting)
{
	if (resetting->state == RESETTING_PENDING)
		resetting->state = RESETTING_DETACHED;
	else
		resetting_free(resetting);
}
