/* SPDX-License-Identifier: ISC */
/*
 * run_vectors [--backend limit|memory|redis|cluster|all] FILE...
 *
 * Runs every case of the files against the backends, through the check engine, and
 * compares. README.md beside this file describes the format. Exit 0 when all passed,
 * 1 when some failed, 2 when a file or a backend cannot be used.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "asker.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "case.h"

#define TIMES_MAX 100000
#define START_TIME "2026-01-01T00:00:00.000Z"

static const struct backend_ops *const backends[] = { &backend_limit, &backend_memory,
	&backend_redis, &backend_cluster };

static int n_passed;
static int n_failed;

/* One case on one backend. */
struct run {
	const char *file;
	const char *name;
	size_t step;
	struct asker *asker;
	bool failed;
};

static void PRINTF_LIKE(2, 3) fail(struct run *r, const char *fmt, ...)
{
	va_list ap;

	printf("FAIL %s: %s, step %zu [%s]: ", r->file, r->name, r->step + 1,
	    r->asker->ops->name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	r->failed = true;
}

/* A misspelt key must not turn a check of something into a check of nothing. */
static bool
known_keys(struct run *r, json_t *object, const char *what, const char *const *known)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object)) {
		fail(r, "%s is not an object", what);
		return false;
	}
	json_object_foreach(object, key, value)
	{
		size_t i = 0;

		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i]) {
			fail(r, "%s has an unknown key \"%s\"", what, key);
			return false;
		}
	}
	return true;
}

/* "2026-01-01T00:00:59.999Z", the fraction in 3 or 6 digits or absent; or µs. */
static bool
parse_time(const json_t *value, int64_t *out)
{
	const char *text = json_string_value(value);
	struct tm tm = { 0 };
	int64_t fraction = 0;
	const char *rest;
	char *end;

	if (json_is_integer(value)) {
		*out = json_integer_value(value);
		return true;
	}
	rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (rest && *rest == '.') {
		fraction = strtoll(rest + 1, &end, 10);
		if (end - rest == 4)
			fraction *= 1000;
		else if (end - rest != 7)
			return false;
		rest = end;
	}
	*out = (int64_t)timegm(&tm) * 1000000 + fraction;
	return rest && strcmp(rest, "Z") == 0;
}

static struct policy *
read_policy(struct run *r, const char *name, json_t *document)
{
	char *text = json_dumps(document, 0);
	struct policy_options options = { 0 };
	struct errlist errors;
	struct policy *policy =
	    policy_parse(name, name, text, strlen(text), &options, &errors);

	for (size_t i = 0; !policy && i < errors.n; i++)
		fail(r, "policy \"%s\": %s: %s", name, errors.items[i].pointer,
		    errors.items[i].text);
	errlist_fini(&errors);
	free(text);
	return policy;
}

/* "policies" is an object of documents by name; "policy" is one, named "test". */
static struct policy_set *
read_policies(struct run *r, json_t *from)
{
	struct policy *policies[16];
	struct policy_set *set = NULL;
	json_t *many = json_object_get(from, "policies");
	json_t *one = json_object_get(from, "policy");
	struct errinfo ei = { 0 };
	const char *name;
	json_t *document;
	size_t n = 0;

	if (one)
		policies[n++] = read_policy(r, "test", one);
	json_object_foreach(many, name, document) if (n < ARRAY_LEN(policies))
	    policies[n++] = read_policy(r, name, document);
	for (size_t i = 0; i < n && !r->failed; i++)
		if (i == n - 1)
			set = policy_set_new(policies, n, &ei);
	if (!set) {
		for (size_t i = 0; i < n && r->failed; i++)
			policy_free(policies[i]);
		fail(r, "no policies: %s", ei.text);
	}
	return set;
}

/* Whether a "check" is one. */
static bool
valid_check(struct run *r, json_t *from)
{
	static const char *const known[] = { "tool", "grant", "session", "policy",
		"cost", "attributes", "args", "mode", "request_id", "ttl", NULL };
	struct call_attribute attributes[CALL_ATTRIBUTES_MAX];
	struct check_request request;
	struct errinfo ei = { 0 };

	if (!known_keys(r, from, "check", known))
		return false;
	request_read(from, &request, attributes);
	if (call_validate(&request.call, &ei) < 0)
		fail(r, "check: %s", ei.text);
	return !r->failed;
}

/* Whether `got` says all that is wanted. Objects may say more, lists may not. */
static bool
says(json_t *got, json_t *want)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_object(want) && json_is_object(got)) {
		json_object_foreach(want, key,
		    value) if (!says(json_object_get(got, key), value)) return false;
		return true;
	}
	if (json_is_array(want) && json_is_array(got)) {
		json_array_foreach(want, i,
		    value) if (!says(json_array_get(got, i), value)) return false;
		return json_array_size(got) == json_array_size(want);
	}
	return json_equal(got, want);
}

/* `got` is taken. */
static void
compare(struct run *r, json_t *got, json_t *want)
{
	if (!says(got, want)) {
		char *want_text = json_dumps(want, JSON_SORT_KEYS);
		char *got_text = json_dumps(got, JSON_SORT_KEYS);

		fail(r, "\n  expected %s\n  got      %s", want_text, got_text);
		free(want_text);
		free(got_text);
	}
	json_decref(got);
}

static json_t *
ask_check(struct run *r, json_t *step, json_t *from)
{
	if (!valid_check(r, from))
		return NULL;
	return asker_check(
	    r->asker, from, json_string_value(json_object_get(step, "as")));
}

static json_t *
ask_settle(struct run *r, enum settle_action action, json_t *from)
{
	static const char *const known[] = { "reservation", "grant", "cost", "ttl",
		NULL };

	if (!known_keys(r, from, "settlement", known))
		return NULL;
	return asker_settle(r->asker, action, from);
}

static json_t *
ask_commit(struct run *r, json_t *step, json_t *from)
{
	(void)step;
	return ask_settle(r, SETTLE_COMMIT, from);
}

static json_t *
ask_rollback(struct run *r, json_t *step, json_t *from)
{
	(void)step;
	return ask_settle(r, SETTLE_ROLLBACK, from);
}

static json_t *
ask_renew(struct run *r, json_t *step, json_t *from)
{
	(void)step;
	return ask_settle(r, SETTLE_RENEW, from);
}

static json_t *
ask_reset(struct run *r, json_t *step, json_t *from)
{
	static const char *const known[] = { "policy", "counter", "window", "scope",
		NULL };

	(void)step;
	if (!known_keys(r, from, "reset", known))
		return NULL;
	return asker_reset(r->asker, from);
}

static json_t *
ask_used(struct run *r, json_t *step, json_t *from)
{
	static const char *const known[] = { "grant", "policy", NULL };

	(void)step;
	if (!known_keys(r, from, "used", known))
		return NULL;
	return json_pack("{s:o}", "used",
	    asker_used(r->asker, json_object_get(from, "grant"),
		json_object_get(from, "policy")));
}

/* What a step may ask, each the name of its key. NULL when it cannot be asked. */
static const struct question {
	const char *key;
	json_t *(*ask)(struct run *r, json_t *step, json_t *from);
} questions[] = {
	{ "check", ask_check },
	{ "commit", ask_commit },
	{ "rollback", ask_rollback },
	{ "renew", ask_renew },
	{ "reset", ask_reset },
	{ "usage", ask_used },
};

/* Asks as often as it says; beside what the answer says, "used" of the expectation is
 * how the counters of alice stand then. */
static void
run_question(struct run *r, json_t *step, const struct question *question)
{
	json_t *want = json_object_get(step, "expect");
	json_t *times = json_object_get(step, "times");
	json_int_t n = times ? json_integer_value(times) : 1;
	char why[512];

	if (!json_is_object(want) || n < 1 || n > TIMES_MAX) {
		fail(r, "a question needs an \"expect\", and \"times\" from 1 to %d",
		    TIMES_MAX);
		return;
	}
	for (json_int_t i = 0; i < n && !r->failed; i++) {
		json_t *got =
		    question->ask(r, step, json_object_get(step, question->key));

		if (!got)
			return;
		if (json_object_get(want, "used") && !json_object_get(got, "used"))
			json_object_set_new(
			    got, "used", asker_used(r->asker, NULL, NULL));
		compare(r, got, want);
	}
	if (!r->failed && !asker_audit(r->asker, why, sizeof(why)))
		fail(r, "%s", why);
}

static void
run_step(struct run *r, json_t *step)
{
	static const char *const known[] = { "note", "at", "policy", "policies",
		"check", "as", "commit", "rollback", "renew", "reset", "usage", "times",
		"expect", NULL };
	json_t *at = json_object_get(step, "at");
	int64_t now_us;

	if (!known_keys(r, step, "step", known))
		return;
	if (at && !parse_time(at, &now_us))
		fail(r, "\"at\" is no time");
	else if (at)
		asker_set_time(r->asker, now_us);
	if (json_object_get(step, "policy") || json_object_get(step, "policies")) {
		struct policy_set *set = read_policies(r, step);

		if (set)
			check_engine_set_policies(r->asker->engine, set);
		policy_set_unref(set);
	}
	for (size_t i = 0; i < ARRAY_LEN(questions) && !r->failed; i++)
		if (json_object_get(step, questions[i].key))
			run_question(r, step, &questions[i]);
}

static void
run_steps(struct run *r, json_t *one)
{
	json_t *steps = json_object_get(one, "steps");
	json_t *step;

	if (json_array_size(steps) == 0)
		fail(r, "there are no steps");
	json_array_foreach(steps, r->step, step) if (!r->failed) run_step(r, step);
}

/* Sets the clock before anything is asked of the backend. */
static void
set_start(struct asker *asker)
{
	json_t *start = json_string(START_TIME);
	int64_t now_us;

	if (parse_time(start, &now_us))
		asker_set_time(asker, now_us);
	json_decref(start);
}

static void
run_case(const char *file, json_t *one, struct asker *asker)
{
	static const char *const known[] = { "name", "note", "policy", "policies",
		"dedup_ttl_ms", "steps", NULL };
	json_t *dedup = json_object_get(one, "dedup_ttl_ms");
	struct run r = { .file = file, .asker = asker };
	struct policy_set *set = NULL;

	r.name = json_string_value(json_object_get(one, "name"));
	r.name = r.name ? r.name : "(no name)";
	if (known_keys(&r, one, "case", known))
		set = read_policies(&r, one);
	if (set) {
		set_start(asker);
		if (asker_start(asker, set,
			dedup ? json_integer_value(dedup) : ASKER_DEDUP_TTL_MS))
			run_steps(&r, one);
		else
			fail(&r, "the backend did not forget its counters");
		policy_set_unref(set);
		asker_stop(asker);
	}
	n_passed += !r.failed;
	n_failed += r.failed;
}

static bool
run_file(const char *path, struct asker *asker)
{
	json_error_t error;
	json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	json_t *cases = json_object_get(document, "cases");
	const char *base = strrchr(path, '/');
	json_t *one;
	size_t i;

	if (!document)
		fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
	else if (json_array_size(cases) == 0)
		fprintf(stderr, "%s: there are no \"cases\"\n", path);
	json_array_foreach(cases, i, one) run_case(base ? base + 1 : path, one, asker);
	i = json_array_size(cases);
	json_decref(document);
	return i > 0;
}

static bool
run_backend(const struct backend_ops *ops, char **files)
{
	struct asker asker;
	bool fine = asker_open(&asker, ops);

	for (; fine && *files; files++)
		fine = run_file(*files, &asker);
	asker_close(&asker);
	return fine;
}

int
main(int argc, char **argv)
{
	const char *wanted = "all";
	bool ran = false;

	if (argc > 2 && strcmp(argv[1], "--backend") == 0) {
		wanted = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc < 2 || hash_start() < 0) {
		fprintf(stderr,
		    "run_vectors [--backend limit|memory|redis|cluster|all] FILE...\n");
		return 2;
	}
	log_start(LOG_WARN, LOG_AUTO);
	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		if (strcmp(wanted, "all") != 0 &&
		    strcmp(wanted, backends[i]->name) != 0)
			continue;
		if (!run_backend(backends[i], argv + 1))
			return 2;
		ran = true;
	}
	if (!ran) {
		fprintf(stderr, "there is no backend \"%s\"\n", wanted);
		return 2;
	}
	printf("%d passed, %d failed\n", n_passed, n_failed);
	return n_failed ? 1 : 0;
}
