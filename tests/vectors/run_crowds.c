/* SPDX-License-Identifier: ISC */
/*
 * run_crowds [--backend redis|cluster] [SEED [STEPS]]
 *
 * Random checks that are under way together, many of them the very same, against Redis,
 * where they are one call; then against the others one by one, in the order in which
 * Redis answered. Every answer must be the same, and so must the counters afterwards.
 * Over a Cluster, where a check's counters may be in several slots and it is no single
 * step, only those that were admitted are asked again then: all of them must be, and the
 * counters must be the same.
 * The same seed does the same steps. Exit 0 when all agreed, 1 at the first difference,
 * 2 when a backend cannot be used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sys/random.h>

#include "asker.h"
#include "base/hash.h"
#include "base/log.h"
#include "property.h"

#define STEPS_DEFAULT 3000
#define ROUND_STEPS 1000 /* with one policy */
#define CROWD_MAX 48
#define KINDS_MAX 10    /* different checks in a crowd */
#define STRANGERS_MAX 4 /* of them, where they do not call the same */
#define DEDUP_MS 600000
#define DUMP (JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)
#define END_US INT64_C(3471292800000000) /* of 2079, and of a round */
#define EDGE_MS_MAX (INT64_C(400) * 86400 * 1000)

static struct {
	struct asker crowd;  /* asked all at once */
	struct asker one[2]; /* asked one by one */
	struct rng rng;
	struct walk walk;
	uint64_t seed;
	size_t steps;
	size_t parted; /* groups of the same of which some were admitted, some not */
	size_t whole;  /* groups that were all admitted */
	size_t loose;  /* checks of crowds in several slots that were admitted */
	bool cluster;
	bool in_parts; /* with the policy at hand checks may be no single step */
	json_t *policy;
	int64_t edge_ms;
} run;

/* A crowd: kind[i] says which of the checks the i-th one is. */
struct crowd {
	size_t n, n_kinds;
	json_t *kinds[KINDS_MAX];
	size_t kind[CROWD_MAX];
	json_t *answers[CROWD_MAX];
	size_t order[CROWD_MAX];
};

static void
tell_crowd(const struct crowd *c)
{
	char *text = json_dumps(run.policy, DUMP);

	printf("policy %s\n", text);
	free(text);
	for (size_t i = 0; i < c->n; i++) {
		size_t at = c->order[i];
		char *answer = json_dumps(c->answers[at], DUMP);

		text = json_dumps(c->kinds[c->kind[at]], DUMP);
		printf("%zu: %s\n   %s\n", i, text, answer);
		free(answer);
		free(text);
	}
}

static bool
same_answer(const struct crowd *c, const struct asker *asker, const char *what,
    json_t *of_crowd, json_t *alone)
{
	bool same;
	char *one, *other;

	json_object_del(of_crowd, "keys");
	json_object_del(alone, "keys");
	same = json_equal(of_crowd, alone);
	if (!same) {
		one = json_dumps(of_crowd, DUMP);
		other = json_dumps(alone, DUMP);
		tell_crowd(c);
		printf("FAIL seed %llu, step %zu, %s\n  redis  %s\n  %-6s %s\n",
		    (unsigned long long)run.seed, run.steps, what, one,
		    asker->ops->name, other);
		free(one);
		free(other);
	}
	json_decref(alone);
	return same;
}

/* Another caller calls the same: its checks are of one run of lua/take.lua. */
static void
adapt(json_t *check, json_t *other)
{
	static const char *const same[] = { "tool", "cost", "args", "mode" };

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		json_object_del(check, same[i]);
		if (json_object_get(other, same[i]))
			json_object_set(
			    check, same[i], json_object_get(other, same[i]));
	}
}

static void
draw_crowd(struct crowd *c)
{
	bool kin = rng_percent(&run.rng, 40);

	*c = (struct crowd){ .n = 2 + rng_below(&run.rng, CROWD_MAX - 1),
		.n_kinds = 1 + rng_below(&run.rng, kin ? KINDS_MAX : STRANGERS_MAX) };
	for (size_t i = 0; i < c->n_kinds; i++) {
		c->kinds[i] = random_check(&run.rng);
		if (kin && i > 0) {
			adapt(c->kinds[i], c->kinds[0]);
			continue;
		}
		/* Mostly one that is not too much at once. */
		if (rng_percent(&run.rng, 80))
			json_object_set_new(c->kinds[i], "cost",
			    json_integer((json_int_t)rng_below(&run.rng, 4)));
		if (rng_percent(&run.rng, 10))
			json_object_set_new(c->kinds[i], "mode", json_string("peek"));
	}
	for (size_t i = 0; i < c->n; i++)
		c->kind[i] = rng_below(&run.rng, c->n_kinds);
}

static void
set_time(struct asker *asker)
{
	asker_set_time(asker, run.walk.now_us);
}

static void
ask_crowd(struct crowd *c)
{
	json_t *checks[CROWD_MAX];

	for (size_t i = 0; i < c->n; i++)
		checks[i] = c->kinds[c->kind[i]];
	set_time(&run.crowd);
	asker_crowd(&run.crowd, checks, c->n, c->answers, c->order);
}

/* Those that were admitted: whatever was taken and given back between them, they fit. */
static bool
ask_admitted(const struct crowd *c, struct asker *asker)
{
	set_time(asker);
	for (size_t i = 0; i < c->n; i++) {
		size_t at = c->order[i];
		json_t *kind = c->kinds[c->kind[at]], *answer;
		const char *one, *other;
		bool same;

		one = json_string_value(json_object_get(c->answers[at], "cause"));
		if (strcmp(one, "allowed") != 0 || json_object_get(kind, "mode"))
			continue;
		answer = asker_check(asker, kind, NULL);
		other = json_string_value(json_object_get(answer, "cause"));
		same = strcmp(one, other) == 0;
		if (!same) {
			tell_crowd(c);
			printf("FAIL seed %llu, step %zu, the %zu-th was admitted, by "
			       "%s it is not\n",
			    (unsigned long long)run.seed, run.steps, i,
			    asker->ops->name);
		}
		json_decref(answer);
		run.loose++;
		if (!same)
			return false;
	}
	return true;
}

static bool
ask_alone(const struct crowd *c, struct asker *asker)
{
	if (run.in_parts)
		return ask_admitted(c, asker);
	set_time(asker);
	for (size_t i = 0; i < c->n; i++) {
		size_t at = c->order[i];

		if (!same_answer(c, asker, "a check", c->answers[at],
			asker_check(asker, c->kinds[c->kind[at]], NULL)))
			return false;
	}
	return true;
}

/* How the counters stand then. */
static bool
compare_counters(const struct crowd *c)
{
	bool fine = true;

	for (size_t k = 0; k < c->n_kinds && fine; k++) {
		json_t *look = json_copy(c->kinds[k]);
		json_t *answer;

		json_object_set_new(look, "mode", json_string("peek"));
		answer = asker_check(&run.crowd, look, NULL);
		for (size_t l = 0; l < ARRAY_LEN(run.one) && fine; l++)
			fine = same_answer(c, &run.one[l], "the counters", answer,
			    asker_check(&run.one[l], look, NULL));
		json_decref(answer);
		json_decref(look);
	}
	return fine;
}

static void
count_groups(const struct crowd *c)
{
	for (size_t k = 0; k < c->n_kinds; k++) {
		size_t admitted = 0, refused = 0;

		for (size_t i = 0; i < c->n; i++) {
			json_t *cause = json_object_get(c->answers[i], "cause");
			const char *word = json_string_value(cause);

			if (c->kind[i] != k ||
			    !json_array_size(json_object_get(c->answers[i], "limits")))
				continue;
			admitted += strcmp(word, "allowed") == 0;
			refused += strcmp(word, "limit") == 0;
		}
		run.parted += admitted > 0 && refused > 0;
		run.whole += admitted > 1 && refused == 0;
	}
}

/* The clock often goes where a limit ends. */
static void
note_edge(const struct crowd *c)
{
	json_t *limits = json_object_get(c->answers[c->n - 1], "limits");
	json_t *limit = json_array_get(limits, 0);

	run.edge_ms = json_integer_value(json_object_get(limit, "reset_ms"));
	if (run.edge_ms > EDGE_MS_MAX)
		run.edge_ms = 0;
}

static bool
audit(void)
{
	char why[512];
	bool fine = asker_audit(&run.crowd, why, sizeof(why));

	if (!fine)
		printf("FAIL seed %llu, step %zu, %s\n", (unsigned long long)run.seed,
		    run.steps, why);
	return fine;
}

static bool
crowd_step(void)
{
	struct crowd c;
	bool fine = true;

	walk_step(&run.walk, &run.rng, run.edge_ms);
	draw_crowd(&c);
	ask_crowd(&c);
	for (size_t l = 0; l < ARRAY_LEN(run.one) && fine; l++)
		fine = ask_alone(&c, &run.one[l]);
	fine = fine && compare_counters(&c) && audit();
	count_groups(&c);
	note_edge(&c);
	for (size_t i = 0; i < c.n; i++)
		json_decref(c.answers[i]);
	for (size_t k = 0; k < c.n_kinds; k++)
		json_decref(c.kinds[k]);
	run.steps += c.n;
	return fine;
}

static bool
start(struct asker *asker, struct policy_set *set)
{
	set_time(asker);
	return asker_start(asker, set, DEDUP_MS);
}

static struct policy_set *
read_policy(void)
{
	char *text = json_dumps(run.policy, 0);
	struct policy_options options = { 0 };
	struct errlist errors;
	struct errinfo ei;
	struct policy *policy =
	    policy_parse("test", "test", text, strlen(text), &options, &errors);

	errlist_fini(&errors);
	free(text);
	return policy ? policy_set_new(&policy, 1, &ei) : NULL;
}

static bool
run_round(size_t until)
{
	struct policy_set *set;
	bool moments = rng_percent(&run.rng, 80);
	bool fine;

	run.policy = random_policy(&run.rng, moments);
	if (rng_percent(&run.rng, 30))
		policy_plain(run.policy);
	run.in_parts = run.cluster && !policy_suit_cluster(&run.rng, run.policy);
	if (run.in_parts)
		policy_level(run.policy);
	run.edge_ms = 0;
	walk_start(&run.walk, &run.rng, !moments);
	set = read_policy();
	fine = set && start(&run.crowd, set) && start(&run.one[0], set) &&
	    start(&run.one[1], set);
	while (fine && run.steps < until && run.walk.now_us < END_US)
		fine = crowd_step();
	if (set) {
		asker_stop(&run.crowd);
		asker_stop(&run.one[0]);
		asker_stop(&run.one[1]);
	}
	policy_set_unref(set);
	json_decref(run.policy);
	return fine;
}

static void
close_all(void)
{
	asker_close(&run.crowd);
	asker_close(&run.one[0]);
	asker_close(&run.one[1]);
}

int
main(int argc, char **argv)
{
	const struct backend_ops *redis = backend_option(&argc, &argv);
	size_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : STEPS_DEFAULT;
	bool fine = true;

	if (!redis || argc > 3 || steps == 0) {
		fprintf(
		    stderr, "run_crowds [--backend redis|cluster] [SEED [STEPS]]\n");
		return 2;
	}
	run.cluster = redis == &backend_cluster;
	if (argc > 1)
		run.seed = strtoull(argv[1], NULL, 10);
	else if (getrandom(&run.seed, 4, 0) != 4)
		return 2;
	printf("seed %llu, %zu steps\n", (unsigned long long)run.seed, steps);
	fflush(stdout);
	run.rng.state = run.seed;
	log_start(LOG_WARN, LOG_AUTO);
	if (hash_start() < 0 || !asker_open(&run.crowd, redis) ||
	    !asker_open(&run.one[0], &backend_memory) ||
	    !asker_open(&run.one[1], &backend_limit))
		return 2;
	while (fine && run.steps < steps) {
		size_t until = run.steps + ROUND_STEPS;

		fine = run_round(until < steps ? until : steps);
	}
	close_all();
	printf("%zu steps; of groups of the same %zu were granted in part, %zu whole; "
	       "%zu were admitted in parts\n",
	    run.steps, run.parted, run.whole, run.loose);
	/* Only many steps say something of the mixture. */
	if (fine && steps >= 20000 &&
	    (run.parted < steps / 1000 || run.whole < steps / 1000)) {
		printf("FAIL seed %llu: too one-sided\n", (unsigned long long)run.seed);
		fine = false;
	}
	printf("%d passed, %d failed\n", fine, !fine);
	return fine ? 0 : 1;
}
