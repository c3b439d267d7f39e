/* SPDX-License-Identifier: ISC */
#include "asker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "check/resetting.h"

#define DEADLINE_MS 10000
#define TOGETHER_MAX ASKER_CROWD_MAX
#define KEY_PREFIX "ration"

/* --- what stands before the store -------------------------------------------------- */

static void
record_take(struct store *store, struct take *take)
{
	struct asker *asker = CONTAINER_OF(store, struct asker, recorder);

	for (size_t i = 0; i < take->n; i++)
		json_array_append_new(asker->keys, json_of_slice(take->charges[i].key));
	if (asker->ops->keys)
		audit_note(&asker->audit, take, asker->now_us);
	store_take(asker->store, take);
}

static void
record_settle(struct store *store, struct settle *settle)
{
	store_settle(CONTAINER_OF(store, struct asker, recorder)->store, settle);
}

static void
record_reset(struct store *store, struct reset *reset)
{
	struct asker *asker = CONTAINER_OF(store, struct asker, recorder);

	for (size_t i = 0; i < reset->n; i++)
		json_array_append_new(asker->keys, json_of_slice(reset->keys[i]));
	store_reset(asker->store, reset);
}

bool
asker_open(struct asker *asker, const struct backend_ops *ops)
{
	static const struct store_ops recorder = { .name = "recorder",
		.take = record_take,
		.settle = record_settle,
		.reset = record_reset };
	struct metric_cells *cells = calloc(1, sizeof(*cells));

	*asker = (struct asker){ .ops = ops, .recorder = { &recorder, cells } };
	asker->store = cells ? ops->open(cells) : NULL;
	return asker->store != NULL;
}

void
asker_close(struct asker *asker)
{
	if (asker->store)
		asker->ops->close();
	free(asker->recorder.cells);
}

bool
asker_start(struct asker *asker, struct policy_set *policies, int64_t dedup_ms)
{
	struct check_options checks = { .store = &asker->recorder,
		.cells = asker->recorder.cells,
		.deadline_ms = DEADLINE_MS,
		.key_prefix = KEY_PREFIX,
		.dedup_ttl_ms = dedup_ms };
	struct settler_options settlements = { .store = &asker->recorder,
		.cells = asker->recorder.cells,
		.key_prefix = KEY_PREFIX,
		.deadline_ms = DEADLINE_MS,
		.dedup_ttl_ms = dedup_ms };

	asker->keys = json_array();
	asker->reservations = json_object();
	audit_init(&asker->audit);
	asker->engine = check_engine_new(&checks, policies);
	asker->settler = settler_new(&settlements);
	return asker->ops->clear() && asker->engine && asker->settler;
}

void
asker_stop(struct asker *asker)
{
	check_engine_free(asker->engine);
	settler_free(asker->settler);
	json_decref(asker->keys);
	json_decref(asker->reservations);
	audit_fini(&asker->audit);
}

void
asker_set_time(struct asker *asker, int64_t now_us)
{
	asker->now_us = now_us;
	asker->ops->set_time(now_us);
}

bool
asker_audit(struct asker *asker, char *why, size_t size)
{
	json_t *keys = asker->ops->keys ? asker->ops->keys() : NULL;
	bool fine = true;

	if (keys)
		fine = audit_keys(&asker->audit, keys, asker->now_us, why, size);
	else if (asker->ops->keys) {
		snprintf(why, size, "what there is could not be read");
		fine = false;
	}
	json_decref(keys);
	return fine;
}

static void
wake(struct asker *asker)
{
	if (asker->ops->wake)
		asker->ops->wake();
}

static void
wait_for(struct asker *asker, bool (*done)(void *arg), void *arg)
{
	if (asker->ops->wait)
		asker->ops->wait(done, arg);
}

/* --- checks ------------------------------------------------------------------------ */

static void
on_checked(struct check *check, void *arg)
{
	(void)check;
	wake(arg);
}

static bool
is_checked(void *arg)
{
	return check_is_done(arg);
}

static struct check *
start(struct asker *asker, const struct check_request *request)
{
	struct check *check = check_start(asker->engine, request, on_checked, asker);

	if (!check)
		abort();
	return check;
}

/* `keys` is taken. */
static json_t *
answer_of(struct asker *asker, struct check *check, json_t *keys)
{
	json_t *answer;

	wait_for(asker, is_checked, check);
	answer = decision_json(check_decision(check), keys);
	json_decref(keys);
	return answer;
}

json_t *
asker_check(struct asker *asker, json_t *from, const char *as)
{
	struct call_attribute attributes[CALL_ATTRIBUTES_MAX];
	struct check_request request;
	struct check *check;
	struct slice id;
	json_t *answer;

	json_array_clear(asker->keys);
	request_read(from, &request, attributes);
	check = start(asker, &request);
	wait_for(asker, is_checked, check);
	answer = answer_of(asker, check, json_copy(asker->keys));
	id = check_decision(check)->reservation;
	if (as && id.len > 0)
		json_object_set_new(asker->reservations, as, json_of_slice(id));
	check_release(check);
	return answer;
}

void
asker_checks(struct asker *asker, json_t *from, size_t n, json_t **answers)
{
	struct call_attribute attributes[CALL_ATTRIBUTES_MAX];
	struct check *checks[TOGETHER_MAX];
	struct check_request request;

	json_array_clear(asker->keys);
	request_read(from, &request, attributes);
	for (size_t i = 0; i < n && i < TOGETHER_MAX; i++)
		checks[i] = start(asker, &request);
	for (size_t i = 0; i < n && i < TOGETHER_MAX; i++) {
		answers[i] = answer_of(asker, checks[i], json_null());
		check_release(checks[i]);
	}
}

/* One of a crowd. */
struct one {
	struct asker *asker;
	struct check *check;
	size_t **next; /* where the next one that is answered puts its number */
	size_t number;
};

static void
on_one(struct check *check, void *arg)
{
	struct one *one = arg;

	(void)check;
	*(*one->next)++ = one->number;
	wake(one->asker);
}

void
asker_crowd(struct asker *asker, json_t *const *checks, size_t n, json_t **answers,
    size_t *order)
{
	struct call_attribute attributes[CALL_ATTRIBUTES_MAX];
	struct one crowd[ASKER_CROWD_MAX];
	struct check_request request;
	size_t *next = order;

	json_array_clear(asker->keys);
	for (size_t i = 0; i < n; i++) {
		crowd[i] = (struct one){ .asker = asker, .next = &next, .number = i };
		request_read(checks[i], &request, attributes);
		crowd[i].check =
		    check_start(asker->engine, &request, on_one, &crowd[i]);
		if (!crowd[i].check)
			abort();
	}
	for (size_t i = 0; i < n; i++) {
		answers[i] = answer_of(asker, crowd[i].check, json_null());
		check_release(crowd[i].check);
	}
}

json_t *
asker_used(struct asker *asker, json_t *grant, json_t *policy)
{
	json_t *from = json_pack("{s:O*, s:O*}", "grant", grant, "policy", policy);
	struct call_attribute attributes[CALL_ATTRIBUTES_MAX];
	json_t *answer = json_object();
	struct check_request request;
	const struct usage *usage;
	struct check *check;

	request_read(from, &request, attributes);
	request.kind = CHECK_USAGE;
	check = start(asker, &request);
	wait_for(asker, is_checked, check);
	usage = check_usage(check);
	for (size_t i = 0; usage && i < usage->n; i++)
		json_object_set_new(answer, usage->counters[i].limit->counter,
		    json_integer(usage->counters[i].outcome.used));
	check_release(check);
	json_decref(from);
	return answer;
}

/* --- settlements ------------------------------------------------------------------- */

static void
on_settled(struct settlement *settlement, void *arg)
{
	(void)settlement;
	wake(arg);
}

static bool
is_settled(void *arg)
{
	return settlement_is_done(arg);
}

json_t *
asker_settle(struct asker *asker, enum settle_action action, json_t *from)
{
	static const char *const words[] = {
		[SETTLE_DONE] = "done",
		[SETTLE_ALREADY] = "already",
		[SETTLE_UNKNOWN] = "unknown",
		[SETTLE_FAILED] = "failed",
	};
	struct settlement_request request;
	struct settlement *settlement;
	struct errinfo ei = { 0 };
	json_t *answer;

	json_array_clear(asker->keys);
	settlement_read(from, asker->reservations, &request);
	request.action = action;
	settlement = settlement_start(asker->settler, &request, on_settled, asker, &ei);
	if (!settlement)
		return json_pack("{s:s}", "settled",
		    ei.code == ERR_INUSE ? "other_grant" : "malformed");
	wait_for(asker, is_settled, settlement);
	answer =
	    json_pack("{s:s}", "settled", words[settlement_result(settlement)->status]);
	settlement_release(settlement);
	return answer;
}

/* --- resets ------------------------------------------------------------------------ */

static void
on_reset(struct resetting *resetting, void *arg)
{
	(void)resetting;
	wake(arg);
}

static bool
is_reset(void *arg)
{
	return resetting_is_done(arg);
}

json_t *
asker_reset(struct asker *asker, json_t *from)
{
	struct reset_request request;
	struct resetting *resetting;
	const struct reset *result;
	struct errinfo ei = { 0 };
	json_t *answer;

	json_array_clear(asker->keys);
	reset_read(from, &request);
	resetting = resetting_start(asker->engine, &request, on_reset, asker, &ei);
	if (!resetting)
		return json_pack("{s:s}", "reset",
		    ei.code == ERR_NOTFOUND ? "unknown" : "malformed");
	wait_for(asker, is_reset, resetting);
	result = resetting_result(resetting);
	if (result->fault == FAULT_NONE)
		answer = json_pack("{s:I, s:I, s:o}", "reset", (json_int_t)result->n,
		    "held", (json_int_t)result->held, "keys", json_copy(asker->keys));
	else
		answer = json_pack("{s:s}", "reset", "failed");
	resetting_release(resetting);
	return answer;
}
