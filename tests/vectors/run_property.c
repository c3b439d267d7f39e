/* SPDX-License-Identifier: ISC */
/*
 * run_property [--backend redis|cluster] [SEED [STEPS]]
 *
 * Random policies and random sequences of checks, looks, reservations, settlements and
 * resets, while time moves: every backend must give the same answers, to the last
 * member. The same seed does the same steps; it is printed first. Exit 0 when all agreed,
 * 1 at the first difference (which is printed as a case for run_vectors: policy and
 * steps), 2 when a backend cannot be used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <jansson.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/percent.h"
#include "property.h"
#include "property_lanes.h"

#define STEPS_DEFAULT 3000
#define ROUND_STEPS 300 /* with one policy */
#define KNOWN_MAX 24    /* reservations, or checks with ids, that are asked for again */
#define DUMP (JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)
#define END_US INT64_C(3471292800000000)          /* of 2079, and of a round */
#define EDGE_MS_MAX (INT64_C(400) * 86400 * 1000) /* farther ones are not waited for */

static struct {
	struct rng rng;
	struct walk walk;
	size_t steps; /* answers that were compared */
	size_t rounds;
	size_t named;         /* reservations */
	struct story story;   /* of the round */
	json_t *reservations; /* that may be asked for: {as, check, keys} */
	json_t *repeatable;   /* checks with ids */
	int64_t edge_ms;      /* an edge that the last answer told of */
	json_t *seen;         /* how often what was answered */
	size_t never;         /* refused for ever, the cost being too large */
} run;

/* --- a step ------------------------------------------------------------------------ */

static void
count(const char *what)
{
	json_t *n = json_object_get(run.seen, what);

	json_object_set_new(run.seen, what, json_integer(json_integer_value(n) + 1));
}

static size_t
counted(const char *what)
{
	return (size_t)json_integer_value(json_object_get(run.seen, what));
}

/* What the walk and the summary need to know of an answer. */
static void
look_at(json_t *answer)
{
	json_t *limits = json_object_get(answer, "limits");
	const char *word = json_string_value(json_object_get(answer, "cause"));
	json_t *settled = json_object_get(answer, "settled");
	json_int_t retry_ms;
	json_t *limit;
	size_t i;

	count(word ? word : settled ? json_string_value(settled) : "reset");
	if (json_is_true(json_object_get(answer, "replayed")))
		count("replayed");
	json_array_foreach(limits, i, limit) run.never +=
	    json_integer_value(json_object_get(limit, "retry_after_ms")) < 0;
	if (json_array_size(limits) == 0)
		return;
	limit = json_array_get(limits, rng_below(&run.rng, json_array_size(limits)));
	retry_ms = json_integer_value(json_object_get(limit, "retry_after_ms"));
	run.edge_ms = retry_ms > 0
	    ? retry_ms
	    : json_integer_value(json_object_get(limit, "reset_ms"));
	if (run.edge_ms > EDGE_MS_MAX)
		run.edge_ms = 0;
}

/* Keeps the step as one of the case that would be printed. `keys` is what it is about,
 * beside what the answer says. */
static void
remember(json_t *step, size_t n, json_t *answer, json_t *keys)
{
	json_t *about = json_array();

	json_object_set_new(step, "at", json_integer(run.walk.now_us));
	json_object_set_new(step, "expect", n > 1 ? json_object() : json_copy(answer));
	if (n > 1)
		json_object_set_new(step, "times", json_integer((json_int_t)n));
	json_array_extend(about, keys);
	json_array_extend(about, json_object_get(answer, "keys"));
	json_array_append(
	    about, json_object_get(json_object_get(step, "check"), "request_id"));
	json_array_append(run.story.steps, step);
	json_array_append_new(run.story.keys, about);
}

/* Asks all; the last of the first one's answers is left in *first, owned. */
static bool
compare_step(json_t *step, size_t n, json_t *keys, json_t **first)
{
	json_t *answers[LANES_TOGETHER_MAX];
	char *fault = lanes_ask(step, n, run.walk.now_us, answers);

	for (size_t i = 0; i < n; i++) {
		look_at(answers[i]);
		if (i < n - 1)
			json_decref(answers[i]);
	}
	*first = answers[n - 1];
	/* Which of them is whose nobody knows; but these they all charge. */
	if (n > 1)
		json_object_set_new(*first, "keys", json_copy(lanes_keys()));
	remember(step, n, *first, keys);
	if (fault) {
		printf("FAIL seed %llu, step %zu: %s\n",
		    (unsigned long long)run.story.seed, run.steps, fault);
		story_tell(&run.story);
	}
	run.steps += n;
	free(fault);
	return !fault;
}

/* --- random steps ------------------------------------------------------------------ */

/* Something ends then, and the clock may go there. */
static void
expect_end(int64_t after_ms)
{
	if (run.walk.moment_us <= run.walk.now_us || rng_percent(&run.rng, 50))
		run.walk.moment_us = (run.walk.now_us / 1000 + after_ms) * 1000;
}

static void
keep_known(json_t *list, json_t *one)
{
	json_array_append_new(list, one);
	if (json_array_size(list) > KNOWN_MAX)
		json_array_remove(list, 0);
}

static json_t *
pick(json_t *list)
{
	return json_array_size(list) == 0
	    ? NULL
	    : json_array_get(list, rng_below(&run.rng, json_array_size(list)));
}

/* Mostly one of the last. */
static json_t *
pick_late(json_t *list)
{
	size_t n = json_array_size(list);

	return n > 3 && rng_percent(&run.rng, 75)
	    ? json_array_get(list, n - 1 - rng_below(&run.rng, 3))
	    : pick(list);
}

static void
note_check(json_t *check, const char *as, json_t *answer)
{
	int64_t ttl_s = json_integer_value(json_object_get(check, "ttl"));

	if (json_is_true(json_object_get(answer, "reservation"))) {
		keep_known(run.reservations,
		    json_pack("{s:s, s:O, s:O}", "as", as, "check", check, "keys",
			json_object_get(answer, "keys")));
		expect_end((ttl_s ? ttl_s : REQUEST_TTL_DEFAULT_S) * 1000);
	}
	if (json_object_get(check, "request_id")) {
		keep_known(run.repeatable, json_incref(check));
		expect_end(run.story.dedup_ms);
	}
}

static bool
compare_check(json_t *check, size_t n)
{
	json_t *step = json_pack("{s:O}", "check", check);
	json_t *answer = NULL;
	char as[24];
	bool fine;

	snprintf(as, sizeof(as), "r%zu", ++run.named);
	if (n == 1 && !run.walk.goes_back)
		json_object_set_new(step, "as", json_string(as));
	fine = compare_step(step, n, NULL, &answer);
	if (n == 1)
		note_check(check, as, answer);
	json_decref(answer);
	json_decref(step);
	return fine;
}

static bool
random_check_step(void)
{
	size_t n = rng_percent(&run.rng, 8)
	    ? 2 + rng_below(&run.rng, LANES_TOGETHER_MAX - 1)
	    : 1;
	bool again = json_array_size(run.repeatable) > 0 && rng_percent(&run.rng, 20);
	json_t *check =
	    again ? json_copy(pick_late(run.repeatable)) : random_check(&run.rng);
	bool fine;

	if (!again && !run.walk.goes_back && rng_percent(&run.rng, 75))
		random_ledger(&run.rng, check);
	if (again && rng_percent(&run.rng, 10)) {
		json_object_set_new(check, "mode", json_string("peek"));
		json_object_del(check, "ttl");
	}
	if (again && rng_percent(&run.rng, 10))
		json_object_set_new(check, "cost", json_integer(random_cost(&run.rng)));
	fine = compare_check(check, n);
	json_decref(check);
	return fine;
}

/* How it all stands for the check that reserved: a look. */
static bool
look_again(json_t *reservation)
{
	json_t *check = json_copy(json_object_get(reservation, "check"));
	bool fine;

	json_object_set_new(check, "mode", json_string("peek"));
	json_object_del(check, "ttl");
	json_object_del(check, "request_id");
	fine = compare_check(check, 1);
	json_decref(check);
	return fine;
}

static bool
random_settlement(void)
{
	static const char *const actions[] = { "commit", "commit", "commit", "rollback",
		"rollback", "renew" };
	const char *action = actions[rng_below(&run.rng, ARRAY_LEN(actions))];
	json_t *known = json_incref(pick_late(run.reservations));
	json_t *from = json_pack("{s:O}", "reservation", json_object_get(known, "as"));
	json_t *step = json_pack("{s:O}", action, from);
	int64_t ttl = random_ttl(&run.rng);
	json_t *answer = NULL;
	bool fine;

	if (action[0] == 'c' && rng_percent(&run.rng, 75))
		json_object_set_new(from, "cost", json_integer(random_cost(&run.rng)));
	if (action[1] == 'e' && ttl > 0)
		json_object_set_new(from, "ttl", json_integer(ttl));
	if (rng_percent(&run.rng, 10))
		json_object_set_new(
		    from, "grant", json_string(rng_percent(&run.rng, 50) ? "a" : "b"));
	fine = compare_step(step, 1, json_object_get(known, "keys"), &answer);
	expect_end(action[1] == 'e' && ttl > 0 ? ttl * 1000 : run.story.dedup_ms);
	fine = fine && look_again(known);
	json_decref(answer);
	json_decref(known);
	json_decref(from);
	json_decref(step);
	return fine;
}

/* What stands between the n-th and the next colon of a key, decoded where wanted. */
static json_t *
part_of(const char *key, int n, bool decoded)
{
	char text[1024];
	ptrdiff_t len;
	const char *end;

	while (n-- > 0)
		key = strchr(key, ':') + 1;
	end = strchr(key, ':');
	if (!end)
		end = key + strlen(key);
	if (!decoded)
		return json_stringn(key, (size_t)(end - key));
	len = percent_decode(slice_make(key, (size_t)(end - key)), text, sizeof(text));
	return json_stringn(text, (size_t)len);
}

/* A counter's key of a step before, or NULL. */
static const char *
key_at_hand(void)
{
	json_t *keys = pick(run.story.keys);
	const char *key = json_string_value(json_array_get(keys, 0));

	if (json_array_size(keys) > 1 && rng_percent(&run.rng, 70))
		key = json_string_value(json_array_get(keys, 1));
	return key && strncmp(key, "ration:", 7) == 0 ? key : NULL;
}

/* Of a counter that was charged lately, or of all of its scope value. */
static bool
random_reset(void)
{
	const char *key = key_at_hand();
	json_t *from, *step, *scope, *answer = NULL;
	const char *text;
	bool fine;

	if (!key)
		return random_check_step();
	scope = part_of(key, 2, false);
	text = json_string_value(scope);
	from = json_pack(
	    "{s:o}", "scope", json_stringn(text + 1, json_string_length(scope) - 2));
	if (rng_percent(&run.rng, 70)) {
		json_object_set_new(from, "counter", part_of(key, 3, true));
		json_object_set_new(from, "window", part_of(key, 4, false));
	}
	step = json_pack("{s:O}", "reset", from);
	fine = compare_step(step, 1, NULL, &answer);
	json_decref(scope);
	json_decref(answer);
	json_decref(from);
	json_decref(step);
	return fine;
}

static bool
random_step(void)
{
	size_t what = rng_below(&run.rng, 100);

	walk_step(&run.walk, &run.rng, run.edge_ms);
	if (what < 30 && json_array_size(run.reservations) > 0)
		return random_settlement();
	if (what >= 30 && what < 33 && json_array_size(run.story.keys) > 0)
		return random_reset();
	return random_check_step();
}

static struct policy_set *
read_policy(void)
{
	char *text = json_dumps(run.story.policy, 0);
	struct policy_options options = { 0 };
	struct policy_set *set = NULL;
	struct errlist errors;
	struct errinfo ei = { 0 };
	struct policy *policy =
	    policy_parse("test", "test", text, strlen(text), &options, &errors);

	for (size_t i = 0; !policy && i < errors.n; i++)
		printf("FAIL seed %llu: no policy: %s: %s\n%s\n",
		    (unsigned long long)run.story.seed, errors.items[i].pointer,
		    errors.items[i].text, text);
	if (policy)
		set = policy_set_new(&policy, 1, &ei);
	errlist_fini(&errors);
	free(text);
	return set;
}

static void
start_round(bool moments)
{
	static const int64_t dedup_ms[] = { 1000, 60000, 600000, 600000, 3600000 };

	run.story.policy = random_policy(&run.rng, moments);
	run.story.steps = json_array();
	run.story.keys = json_array();
	run.reservations = json_array();
	run.repeatable = json_array();
	run.story.dedup_ms = dedup_ms[rng_below(&run.rng, ARRAY_LEN(dedup_ms))];
	run.edge_ms = 0;
	run.rounds++;
	walk_start(&run.walk, &run.rng, !moments);
	run.walk.calm = moments && rng_percent(&run.rng, 80);
}

static void
end_round(void)
{
	json_decref(run.story.policy);
	json_decref(run.story.steps);
	json_decref(run.story.keys);
	json_decref(run.reservations);
	json_decref(run.repeatable);
}

/* One policy, from empty counters on. */
static bool
run_round(size_t until)
{
	struct policy_set *set;
	bool fine;

	start_round(rng_percent(&run.rng, 80));
	set = read_policy();
	fine = set && lanes_start(set, run.walk.now_us, run.story.dedup_ms);
	while (fine && run.steps < until && run.walk.now_us < END_US)
		fine = random_step();
	if (set)
		lanes_stop();
	policy_set_unref(set);
	end_round();
	return fine;
}

/* A run that never gets as far as the limits shows nothing. */
static bool
saw_enough(void)
{
	static const struct {
		const char *what;
		size_t share; /* at least one in so many */
	} wanted[] = { { "allowed", 20 }, { "policy", 20 }, { "limit", 20 },
		{ "replayed", 200 }, { "conflict", 3000 }, { "reset", 300 },
		{ "done", 150 }, { "already", 300 }, { "unknown", 300 },
		{ "other_grant", 600 } };
	char *seen = json_dumps(run.seen, DUMP);
	bool fine = counted("store") == 0 && counted("failed") == 0;

	printf("seed %llu: %zu steps, %zu policies, %zu costs that never fit; %s\n",
	    (unsigned long long)run.story.seed, run.steps, run.rounds, run.never, seen);
	free(seen);
	for (size_t i = 0; run.steps >= STEPS_DEFAULT && i < ARRAY_LEN(wanted); i++)
		if (counted(wanted[i].what) < run.steps / wanted[i].share) {
			printf("too little \"%s\"\n", wanted[i].what);
			fine = false;
		}
	if (!fine)
		printf("FAIL seed %llu: too one-sided, or a store did not answer\n",
		    (unsigned long long)run.story.seed);
	return fine;
}

int
main(int argc, char **argv)
{
	const struct backend_ops *redis = backend_option(&argc, &argv);
	size_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : STEPS_DEFAULT;
	bool fine = true;

	if (!redis || argc > 3 || steps == 0) {
		fprintf(
		    stderr, "run_property [--backend redis|cluster] [SEED [STEPS]]\n");
		return 2;
	}
	if (argc > 1)
		run.story.seed = strtoull(argv[1], NULL, 10);
	else if (getrandom(&run.story.seed, 4, 0) != 4)
		return 2;
	printf("seed %llu, %zu steps\n", (unsigned long long)run.story.seed, steps);
	fflush(stdout);
	run.rng.state = run.story.seed;
	run.seen = json_object();
	log_start(LOG_WARN, LOG_AUTO);
	if (hash_start() < 0 || !lanes_open(redis)) {
		lanes_close();
		json_decref(run.seen);
		return 2;
	}
	while (fine && run.steps < steps) {
		size_t until = run.steps + ROUND_STEPS;

		fine = run_round(until < steps ? until : steps);
	}
	fine = fine && saw_enough();
	lanes_close();
	json_decref(run.seen);
	printf("%d passed, %d failed\n", fine, !fine);
	return fine ? 0 : 1;
}
