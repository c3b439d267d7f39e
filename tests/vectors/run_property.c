/* SPDX-License-Identifier: ISC */
/*
 * run_property [SEED [STEPS]]
 *
 * Random policies and random sequences of checks, while time moves: every backend must
 * give the same answers, to the last member. The same seed does the same steps; it is
 * printed first. Exit 0 when all agreed, 1 at the first difference (which is printed as
 * a case for run_vectors: policy and steps), 2 when a backend cannot be used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <jansson.h>

#include "backend.h"
#include "base/hash.h"
#include "base/log.h"
#include "case.h"
#include "check/check.h"
#include "property.h"

#define DEADLINE_MS 10000
#define STEPS_DEFAULT 3000
#define ROUND_STEPS 300 /* with one policy */
#define BATCH_MAX 8     /* checks under way at once */
#define TOLD_MAX 30     /* steps that are printed */
#define DUMP (JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)
#define END_US INT64_C(3471292800000000)          /* of 2079, and of a round */
#define EDGE_MS_MAX (INT64_C(400) * 86400 * 1000) /* farther ones are not waited for */

/* One backend and what it answered. */
struct lane {
	const struct backend_ops *ops;
	struct metric_cells *cells;
	struct store *store;
	struct store recorder; /* between the engine and the store, notes the keys */
	struct check_engine *engine;
	json_t *keys;
	char *answers[BATCH_MAX];
};

static struct lane lanes[] = { { .ops = &backend_limit }, { .ops = &backend_memory },
	{ .ops = &backend_redis } };

static struct {
	uint64_t seed;
	struct rng rng;
	struct walk walk;
	size_t steps; /* checks that were compared */
	size_t rounds;
	json_t *policy;
	json_t *history; /* of the round: at, times, check, keys */
	int64_t edge_ms; /* an edge that the last answer told of */
	size_t causes[CAUSE_STORE + 1];
	size_t never; /* refused for ever, the cost being too large */
} run;

static void
record_take(struct store *store, struct take *take)
{
	struct lane *lane = CONTAINER_OF(store, struct lane, recorder);

	for (size_t i = 0; i < take->n; i++)
		json_array_append_new(lane->keys, json_of_slice(take->charges[i].key));
	store_take(lane->store, take);
}

static bool
open_lanes(void)
{
	static const struct store_ops recorder = { .name = "recorder",
		.take = record_take };

	for (size_t i = 0; i < ARRAY_LEN(lanes); i++) {
		struct lane *lane = &lanes[i];

		lane->cells = calloc(1, sizeof(*lane->cells));
		lane->store = lane->cells ? lane->ops->open(lane->cells) : NULL;
		if (!lane->store)
			return false;
		lane->recorder = (struct store){ &recorder, lane->cells };
		lane->keys = json_array();
	}
	return true;
}

static void
close_lanes(void)
{
	for (size_t i = 0; i < ARRAY_LEN(lanes); i++) {
		if (lanes[i].store)
			lanes[i].ops->close();
		json_decref(lanes[i].keys);
		free(lanes[i].cells);
	}
}

/* Whether a step charged one of these counters. */
static bool
shares_key(json_t *step, json_t *keys)
{
	json_t *one, *other;
	size_t i, j;

	json_array_foreach(json_object_get(step, "keys"), i, one)
	    json_array_foreach(keys, j, other) if (json_equal(one, other)) return true;
	return false;
}

/* The last step is there in any case: it is the one that failed. */
static void
print_history(json_t *keys)
{
	size_t n = json_array_size(run.history);
	json_t *told = json_array();

	for (size_t i = n; i-- > 0 && json_array_size(told) < TOLD_MAX;)
		if (i == n - 1 || shares_key(json_array_get(run.history, i), keys))
			json_array_insert(told, 0, json_array_get(run.history, i));
	for (size_t i = 0; i < json_array_size(told); i++) {
		char *text = json_dumps(json_array_get(told, i), DUMP);

		printf("  %s\n", text);
		free(text);
	}
	json_decref(told);
}

static void
tell_difference(
    const char *what, const struct lane *lane, const char *one, const char *other)
{
	char *policy = json_dumps(run.policy, DUMP);

	printf("FAIL seed %llu, step %zu: other %s\n  %-6s %s\n  %-6s %s\n"
	       "policy %s\nlast steps of these counters:\n",
	    (unsigned long long)run.seed, run.steps, what, lanes[0].ops->name, one,
	    lane->ops->name, other, policy);
	print_history(lanes[0].keys);
	free(policy);
}

static void
on_done(struct check *check, void *arg)
{
	struct lane *lane = arg;

	(void)check;
	if (lane->ops->wake)
		lane->ops->wake();
}

static bool
is_done(void *arg)
{
	return check_is_done(arg);
}

/* What the walk and the summary need to know of an answer. */
static void
look_at(const struct decision *d)
{
	const struct decision_limit *l;

	run.causes[d->cause]++;
	for (size_t i = 0; i < d->n_limits; i++)
		run.never += d->limits[i].outcome.retry_after_ms < 0;
	if (d->n_limits == 0)
		return;
	l = &d->limits[rng_below(&run.rng, d->n_limits)];
	run.edge_ms = l->outcome.retry_after_ms > 0 ? l->outcome.retry_after_ms
						    : l->outcome.reset_ms;
	if (run.edge_ms > EDGE_MS_MAX)
		run.edge_ms = 0;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * Checks that are under way together. They are the same, so that it does not matter
 * which of them came first: Redis may see them in another order, when it had to be asked
 * again with other dates.
 */
static void
ask(struct lane *lane, const struct check_request *request, size_t n)
{
	struct check *checks[BATCH_MAX];

	json_array_clear(lane->keys);
	for (size_t i = 0; i < n; i++) {
		checks[i] = check_start(lane->engine, request, on_done, lane);
		if (!checks[i])
			abort();
	}
	for (size_t i = 0; i < n; i++) {
		json_t *answer;

		if (lane->ops->wait)
			lane->ops->wait(is_done, checks[i]);
		answer = decision_json(check_decision(checks[i]), json_null());
		lane->answers[i] = json_dumps(answer, DUMP);
		json_decref(answer);
		if (lane == lanes)
			look_at(check_decision(checks[i]));
		check_release(checks[i]);
	}
	qsort(lane->answers, n, sizeof(lane->answers[0]), by_text);
}

/* The keys of one of `n` equal checks. */
static json_t *
keys_of_one(const struct lane *lane, size_t n)
{
	json_t *keys = json_array();

	for (size_t i = 0; i < json_array_size(lane->keys) / n; i++)
		json_array_append(keys, json_array_get(lane->keys, i));
	return keys;
}

/* Every lane's answers, and the keys that it charged, against the first one's. */
static bool
agree(size_t n)
{
	for (size_t l = 1; l < ARRAY_LEN(lanes); l++) {
		for (size_t i = 0; i < n; i++) {
			const char *one = lanes[0].answers[i];
			const char *other = lanes[l].answers[i];

			if (strcmp(one, other) == 0)
				continue;
			tell_difference("answers", &lanes[l], one, other);
			return false;
		}
		if (!json_equal(lanes[0].keys, lanes[l].keys)) {
			tell_difference("keys", &lanes[l], "", "");
			return false;
		}
	}
	return true;
}

static bool
compare_step(json_t *check, size_t n)
{
	struct call_attribute attributes[CALL_ATTRIBUTES_MAX];
	struct check_request request;
	bool fine;

	request_read(check, &request, attributes);
	for (size_t l = 0; l < ARRAY_LEN(lanes); l++) {
		lanes[l].ops->set_time(run.walk.now_us);
		ask(&lanes[l], &request, n);
	}
	json_array_append_new(run.history,
	    json_pack("{s:I, s:I, s:O, s:o}", "at", (json_int_t)run.walk.now_us,
		"times", (json_int_t)n, "check", check, "keys",
		keys_of_one(&lanes[0], n)));
	fine = agree(n);
	for (size_t l = 0; l < ARRAY_LEN(lanes); l++)
		for (size_t i = 0; i < n; i++)
			free(lanes[l].answers[i]);
	run.steps += n;
	return fine;
}

static bool
random_step(void)
{
	json_t *check = random_check(&run.rng);
	size_t n =
	    rng_percent(&run.rng, 15) ? 2 + rng_below(&run.rng, BATCH_MAX - 1) : 1;
	bool fine;

	walk_step(&run.walk, &run.rng, run.edge_ms);
	fine = compare_step(check, n);
	json_decref(check);
	return fine;
}

static struct policy_set *
read_policy(void)
{
	char *text = json_dumps(run.policy, 0);
	struct policy_options options = { 0 };
	struct policy_set *set = NULL;
	struct errlist errors;
	struct errinfo ei = { 0 };
	struct policy *policy =
	    policy_parse("test", "test", text, strlen(text), &options, &errors);

	for (size_t i = 0; !policy && i < errors.n; i++)
		printf("FAIL seed %llu: no policy: %s: %s\n%s\n",
		    (unsigned long long)run.seed, errors.items[i].pointer,
		    errors.items[i].text, text);
	if (policy)
		set = policy_set_new(&policy, 1, &ei);
	errlist_fini(&errors);
	free(text);
	return set;
}

static bool
start_engines(struct policy_set *set)
{
	bool fine = true;

	for (size_t i = 0; i < ARRAY_LEN(lanes); i++) {
		struct check_options options = { .store = &lanes[i].recorder,
			.cells = lanes[i].cells,
			.deadline_ms = DEADLINE_MS };

		lanes[i].ops->set_time(run.walk.now_us);
		fine = lanes[i].ops->clear() && fine;
		lanes[i].engine = check_engine_new(&options, set);
		fine = lanes[i].engine && fine;
	}
	return fine;
}

/* One policy, from empty counters on. */
static bool
run_round(size_t until)
{
	bool buckets = rng_percent(&run.rng, 70);
	struct policy_set *set;
	bool fine;

	run.policy = random_policy(&run.rng, buckets);
	run.history = json_array();
	run.edge_ms = 0;
	run.rounds++;
	walk_start(&run.walk, &run.rng, !buckets);
	set = read_policy();
	fine = set && start_engines(set);
	while (fine && run.steps < until && run.walk.now_us < END_US)
		fine = random_step();
	for (size_t i = 0; set && i < ARRAY_LEN(lanes); i++)
		check_engine_free(lanes[i].engine);
	policy_set_unref(set);
	json_decref(run.policy);
	json_decref(run.history);
	return fine;
}

/* A run that never gets as far as the limits shows nothing. */
static bool
saw_enough(void)
{
	bool fine = run.causes[CAUSE_STORE] == 0;

	printf("seed %llu: %zu steps, %zu policies: %zu allowed, %zu denied by policy, "
	       "%zu by limits; %zu costs that never fit; %zu not "
	       "answered by a store\n",
	    (unsigned long long)run.seed, run.steps, run.rounds,
	    run.causes[CAUSE_ALLOWED], run.causes[CAUSE_POLICY],
	    run.causes[CAUSE_LIMIT], run.never, run.causes[CAUSE_STORE]);
	if (run.steps >= STEPS_DEFAULT)
		for (size_t i = CAUSE_ALLOWED; i <= CAUSE_LIMIT; i++)
			fine = run.causes[i] >= run.steps / 20 && fine;
	if (!fine)
		printf("FAIL seed %llu: too one-sided, or a store did not answer\n",
		    (unsigned long long)run.seed);
	return fine;
}

int
main(int argc, char **argv)
{
	size_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : STEPS_DEFAULT;
	bool fine = true;

	if (argc > 3 || steps == 0) {
		fprintf(stderr, "run_property [SEED [STEPS]]\n");
		return 2;
	}
	if (argc > 1)
		run.seed = strtoull(argv[1], NULL, 10);
	else if (getrandom(&run.seed, 4, 0) != 4)
		return 2;
	printf("seed %llu, %zu steps\n", (unsigned long long)run.seed, steps);
	fflush(stdout);
	run.rng.state = run.seed;
	log_start(LOG_WARN, LOG_AUTO);
	if (hash_start() < 0 || !open_lanes()) {
		close_lanes();
		return 2;
	}
	while (fine && run.steps < steps) {
		size_t until = run.steps + ROUND_STEPS;

		fine = run_round(until < steps ? until : steps);
	}
	fine = fine && saw_enough();
	close_lanes();
	printf("%d passed, %d failed\n", fine, !fine);
	return fine ? 0 : 1;
}
