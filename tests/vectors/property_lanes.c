/* SPDX-License-Identifier: ISC */
#include "property_lanes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/slots.h"

#define DUMP (JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)
#define LANES 3

/* One backend and what it answered. */
struct lane {
	struct asker asker;
	char *answers[LANES_TOGETHER_MAX];
};

static struct lane lanes[LANES];

bool
lanes_open(const struct backend_ops *redis)
{
	const struct backend_ops *const ops[LANES] = { &backend_limit, &backend_memory,
		redis };

	for (size_t l = 0; l < LANES; l++)
		if (!asker_open(&lanes[l].asker, ops[l]))
			return false;
	return true;
}

void
lanes_close(void)
{
	for (size_t l = 0; l < LANES; l++)
		if (lanes[l].asker.ops)
			asker_close(&lanes[l].asker);
}

bool
lanes_start(struct policy_set *set, int64_t now_us, int64_t dedup_ms)
{
	bool fine = true;

	for (size_t l = 0; l < LANES; l++) {
		asker_set_time(&lanes[l].asker, now_us);
		fine = asker_start(&lanes[l].asker, set, dedup_ms) && fine;
	}
	return fine;
}

void
lanes_stop(void)
{
	for (size_t l = 0; l < LANES; l++)
		asker_stop(&lanes[l].asker);
}

json_t *
lanes_keys(void)
{
	return lanes[0].asker.keys;
}

static json_t *
ask_one(struct asker *asker, json_t *step)
{
	json_t *answer;

	if (json_object_get(step, "check"))
		return asker_check(asker, json_object_get(step, "check"),
		    json_string_value(json_object_get(step, "as")));
	if (json_object_get(step, "commit"))
		return asker_settle(
		    asker, SETTLE_COMMIT, json_object_get(step, "commit"));
	if (json_object_get(step, "rollback"))
		return asker_settle(
		    asker, SETTLE_ROLLBACK, json_object_get(step, "rollback"));
	if (json_object_get(step, "renew"))
		return asker_settle(
		    asker, SETTLE_RENEW, json_object_get(step, "renew"));
	answer = asker_reset(asker, json_object_get(step, "reset"));
	/* What is over may be there still. */
	json_object_del(answer, "held");
	return answer;
}

/* Whether to this lane the charges of the step are no single one, being in several slots. */
static bool
in_parts(const struct lane *lane, json_t *step)
{
	json_t *check = json_object_get(step, "check");
	bool ledger =
	    json_object_get(check, "request_id") || json_object_get(check, "mode");
	const char *first = json_string_value(json_array_get(lanes_keys(), 0));
	json_t *key;
	size_t i;

	if (lane->asker.ops != &backend_cluster || !first)
		return false;
	/* The records stand with the grant. */
	if (ledger && (!strstr(first, ":{grant=") || strstr(first, "&")))
		return true;
	json_array_foreach(
	    lanes_keys(), i, key) if (slot_of(slice_str(json_string_value(key))) !=
	    slot_of(slice_str(first))) return true;
	return false;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * Checks that are under way together are the same, so that it does not matter which of
 * them came first: Redis may see them in another order, when it had to be asked again
 * with other dates.
 */
static void
ask(struct lane *lane, json_t *step, size_t n, int64_t now_us, json_t **answers)
{
	asker_set_time(&lane->asker, now_us);
	/* Of several at once one may be refused for what another gives back. */
	if (n > 1 && !in_parts(lane, step))
		asker_checks(&lane->asker, json_object_get(step, "check"), n, answers);
	else
		for (size_t i = 0; i < n; i++)
			answers[i] = ask_one(&lane->asker, step);
	for (size_t i = 0; i < n; i++) {
		if (n > 1)
			json_object_set_new(answers[i], "keys", json_null());
		lane->answers[i] = json_dumps(answers[i], DUMP);
	}
	qsort(lane->answers, n, sizeof(lane->answers[0]), by_text);
}

/* A part may be refused before the one is asked that knows the request id. */
static bool
refused_early(
    const struct lane *lane, json_t *step, const char *first, const char *other)
{
	return in_parts(lane, step) && strstr(first, "\"cause\":\"conflict\"") &&
	    strstr(other, "\"cause\":\"limit\"");
}

static char *
fault_of(struct lane *lane, json_t *step, size_t n)
{
	const char *name = lane->asker.ops->name, *other = lanes[0].asker.ops->name;
	char *text = NULL, why[512];

	for (size_t i = 0; i < n && !text; i++)
		if (strcmp(lanes[0].answers[i], lane->answers[i]) != 0 &&
		    !refused_early(lane, step, lanes[0].answers[i], lane->answers[i]) &&
		    asprintf(&text, "other answers\n  %-7s %s\n  %-7s %s", other,
			lanes[0].answers[i], name, lane->answers[i]) < 0)
			abort();
	if (!text && !asker_audit(&lane->asker, why, sizeof(why)) &&
	    asprintf(&text, "%s: %s", name, why) < 0)
		abort();
	return text;
}

char *
lanes_ask(json_t *step, size_t n, int64_t now_us, json_t **answers)
{
	json_t *others[LANES_TOGETHER_MAX];
	char *fault = NULL;

	ask(&lanes[0], step, n, now_us, answers);
	for (size_t l = 1; l < LANES; l++) {
		ask(&lanes[l], step, n, now_us, others);
		for (size_t i = 0; i < n; i++)
			json_decref(others[i]);
		if (!fault)
			fault = fault_of(&lanes[l], step, n);
	}
	for (size_t l = 0; l < LANES; l++)
		for (size_t i = 0; i < n; i++)
			free(lanes[l].answers[i]);
	return fault;
}
