/* SPDX-License-Identifier: ISC */
/*
 * run_vectors [--backend limit|memory|redis|all] FILE...
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

#include "backend.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "case.h"
#include "check/check.h"

#define DEADLINE_MS 10000
#define TIMES_MAX 100000
#define START_TIME "2026-01-01T00:00:00.000Z"

static const struct backend_ops *const backends[] = { &backend_limit, &backend_memory,
	&backend_redis };

static int n_passed;
static int n_failed;

/* One case on one backend. */
struct run {
	const char *file;
	const char *name;
	size_t step;
	const struct backend_ops *ops;
	struct store *store; /* of the backend */
	struct check_engine *engine;
	bool failed;

	/* What stands between the engine and the store, and notes the keys. */
	struct store recorder;
	json_t *keys;
};

static void PRINTF_LIKE(2, 3) fail(struct run *r, const char *fmt, ...)
{
	va_list ap;

	printf("FAIL %s: %s, step %zu [%s]: ", r->file, r->name, r->step + 1,
	    r->ops->name);
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

static bool
read_request(struct run *r, json_t *from, struct check_request *out,
    struct call_attribute *attributes)
{
	static const char *const known[] = { "tool", "grant", "session", "policy",
		"cost", "attributes", "args", NULL };
	struct errinfo ei = { 0 };

	if (!known_keys(r, from, "check", known))
		return false;
	request_read(from, out, attributes);
	if (call_validate(&out->call, &ei) < 0)
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

static void
compare(struct run *r, const struct decision *d, json_t *want)
{
	json_t *got = decision_json(d, r->keys);

	if (!says(got, want)) {
		char *want_text = json_dumps(want, JSON_SORT_KEYS);
		char *got_text = json_dumps(got, JSON_SORT_KEYS);

		fail(r, "\n  expected %s\n  got      %s", want_text, got_text);
		free(want_text);
		free(got_text);
	}
	json_decref(got);
}

static void
record_take(struct store *store, struct take *take)
{
	struct run *r = CONTAINER_OF(store, struct run, recorder);

	for (size_t i = 0; i < take->n; i++)
		json_array_append_new(r->keys, json_of_slice(take->charges[i].key));
	store_take(r->store, take);
}

static void
on_done(struct check *check, void *arg)
{
	struct run *r = arg;

	(void)check;
	if (r->ops->wake)
		r->ops->wake();
}

static bool
is_done(void *arg)
{
	return check_is_done(arg);
}

static void
run_check(struct run *r, const struct check_request *request, json_t *want)
{
	struct check *check;

	json_array_clear(r->keys);
	check = check_start(r->engine, request, on_done, r);
	if (!check) {
		fail(r, "out of memory");
		return;
	}
	if (r->ops->wait)
		r->ops->wait(is_done, check);
	compare(r, check_decision(check), want);
	check_release(check);
}

static void
run_checks(struct run *r, json_t *step)
{
	struct call_attribute attributes[CALL_ATTRIBUTES_MAX];
	json_t *want = json_object_get(step, "expect");
	json_t *times = json_object_get(step, "times");
	struct check_request request;
	json_int_t n = times ? json_integer_value(times) : 1;

	if (!json_is_object(want) || n < 1 || n > TIMES_MAX) {
		fail(r, "a check needs an \"expect\", and \"times\" from 1 to %d",
		    TIMES_MAX);
		return;
	}
	if (!read_request(r, json_object_get(step, "check"), &request, attributes))
		return;
	for (json_int_t i = 0; i < n && !r->failed; i++)
		run_check(r, &request, want);
}

static void
run_step(struct run *r, json_t *step)
{
	static const char *const known[] = { "note", "at", "policy", "policies",
		"check", "times", "expect", NULL };
	json_t *at = json_object_get(step, "at");
	int64_t now_us;

	if (!known_keys(r, step, "step", known))
		return;
	if (at && !parse_time(at, &now_us))
		fail(r, "\"at\" is no time");
	else if (at)
		r->ops->set_time(now_us);
	if (json_object_get(step, "policy") || json_object_get(step, "policies")) {
		struct policy_set *set = read_policies(r, step);

		if (set)
			check_engine_set_policies(r->engine, set);
		policy_set_unref(set);
	}
	if (!r->failed && json_object_get(step, "check"))
		run_checks(r, step);
}

static void
run_steps(struct run *r, json_t *steps)
{
	json_t *start = json_string(START_TIME);
	json_t *step;
	int64_t now_us;

	if (parse_time(start, &now_us))
		r->ops->set_time(now_us);
	json_decref(start);
	if (!r->ops->clear())
		fail(r, "the backend did not forget its counters");
	if (json_array_size(steps) == 0)
		fail(r, "there are no steps");
	json_array_foreach(steps, r->step, step) if (!r->failed) run_step(r, step);
}

static void
run_case(
    const char *file, json_t *one, const struct backend_ops *ops, struct store *store)
{
	static const struct store_ops recorder = { .name = "recorder",
		.take = record_take };
	static const char *const known[] = { "name", "note", "policy", "policies",
		"steps", NULL };
	struct run r = { .file = file, .ops = ops, .store = store };
	struct check_options options = {
		.store = &r.recorder, .cells = store->cells, .deadline_ms = DEADLINE_MS
	};
	struct policy_set *set = NULL;

	r.name = json_string_value(json_object_get(one, "name"));
	r.name = r.name ? r.name : "(no name)";
	r.recorder = (struct store){ &recorder, store->cells };
	r.keys = json_array();
	if (known_keys(&r, one, "case", known))
		set = read_policies(&r, one);
	if (set) {
		r.engine = check_engine_new(&options, set);
		policy_set_unref(set);
		run_steps(&r, json_object_get(one, "steps"));
		check_engine_free(r.engine);
	}
	json_decref(r.keys);
	n_passed += !r.failed;
	n_failed += r.failed;
}

static bool
run_file(const char *path, const struct backend_ops *ops, struct store *store)
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
	json_array_foreach(cases, i, one)
	    run_case(base ? base + 1 : path, one, ops, store);
	i = json_array_size(cases);
	json_decref(document);
	return i > 0;
}

static bool
run_backend(const struct backend_ops *ops, char **files)
{
	struct metric_cells *cells = calloc(1, sizeof(*cells));
	struct store *store = cells ? ops->open(cells) : NULL;
	bool fine = store != NULL;

	for (; fine && *files; files++)
		fine = run_file(*files, ops, store);
	if (store)
		ops->close();
	free(cells);
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
		fprintf(
		    stderr, "run_vectors [--backend limit|memory|redis|all] FILE...\n");
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
