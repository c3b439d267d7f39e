/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "ops/admin.h"
#include "store/failing.h"

#define SAYS(word)                                                                   \
	"{\"version\": \"1\", \"default\": \"allow\", \"on_store_failure\": \"" word \
	"\"}"
#define ONE                                                                            \
	"{\"version\": \"1\", \"default\": \"deny\", \"description\": \"d "            \
	"\\\"q\\\"\","                                                                 \
	" \"tools\": {\"t\": {\"limits\": [{\"counter\": \"c\", \"window\": \"hour\"," \
	" \"max\": 3}]}, \"u\": {}}}"

static struct metric_cells *cells;
static struct metric_cells others; /* of the second worker */
static size_t n_workers = 1;
static struct memory *memory;
static struct store *store;
static struct policy_set *set;
static struct admin *admin;
static struct http_response resp;
static bool trusted; /* the caller */
static struct in_force in_force;
static const char *text; /* of both documents */
static bool lenient;
static int64_t settled_ms;

static struct policy *
parse(const char *name)
{
	struct policy_options options = { 0 };
	struct errlist errors;
	struct policy *policy;

	policy = policy_parse(name, "test", text ? text : ONE,
	    strlen(text ? text : ONE), &options, &errors);
	assert_non_null(policy);
	errlist_fini(&errors);
	return policy;
}

/* `broken`: over a store that always fails. */
static void
open_admin(bool broken)
{
	struct memory_options none = { 0 };
	static struct metric_cells *of_workers[2] = { NULL, &others };
	struct policy *policies[2];
	struct admin_options options = { .store_shown = "memory",
		.n_cells = n_workers,
		.started_us = clock_real_us(),
		.lenient = lenient,
		.settled_ms = settled_ms };
	struct errinfo ei;

	assert_int_equal(hash_start(), 0);
	cells = calloc(1, sizeof(*cells));
	policies[0] = parse("default");
	policies[1] = parse("a b/\xC3\xA9");
	set = policy_set_new(policies, 2, &ei);
	assert_non_null(set);
	memory = memory_new(&none);
	store = broken ? failing_store_new(FAULT_LOADING, cells)
		       : memory_store_new(memory, cells);
	in_force_init(&in_force, set);
	options.in_force = &in_force;
	options.store = store;
	options.memory = memory;
	of_workers[0] = cells;
	options.cells = of_workers;
	admin = admin_new(&options);
	assert_non_null(admin);
}

static int
close_admin(void **state)
{
	(void)state;
	text = NULL;
	lenient = false;
	settled_ms = 0;
	n_workers = 1;
	admin_free(admin);
	store_close(store);
	in_force_fini(&in_force);
	memory_free(memory);
	policy_set_unref(set);
	free(cells);
	http_response_fini(&resp);
	memset(&resp, 0, sizeof(resp));
	return 0;
}

/* The row a front would find for this path. */
static const struct http_endpoint *
find(const char *path)
{
	const struct http_endpoint *e = admin_endpoints(admin);

	for (; e->path; e++) {
		size_t n = strlen(e->path);

		if (strcmp(e->path, path) == 0 ||
		    (e->path[n - 1] == '/' && strncmp(e->path, path, n) == 0))
			return e;
	}
	fail_msg("no endpoint for %s", path);
	return NULL;
}

static const char *
get(const char *path)
{
	struct http_request req = {
		.method = slice_str("GET"), .path = slice_str(path), .trusted = trusted
	};
	const struct http_endpoint *e = find(path);

	http_response_clear(&resp);
	resp.status = 0;
	e->answer(e->arg, &req, &resp);
	assert_non_null(buf_cstr(&resp.body));
	return buf_cstr(&resp.body);
}

static void
test_health(void **state)
{
	(void)state;
	open_admin(false);
	assert_string_equal(get("/livez"), "ok\n");
	assert_int_equal(resp.status, 200);
	assert_string_equal(get("/readyz"), "{\"ready\":true,\"degraded\":false}\n");
	assert_int_equal(resp.status, 200);
	admin_set_draining(admin);
	assert_string_equal(get("/readyz"),
	    "{\"ready\":false,\"degraded\":false,\"why\":\"draining\"}\n");
	assert_int_equal(resp.status, 503);
	get("/livez");
	assert_int_equal(resp.status, 200);
}

static void
test_unready_store(void **state)
{
	const char *told;

	(void)state;
	open_admin(true);
	told = get("/readyz");
	assert_int_equal(resp.status, 503);
	assert_string_equal(told,
	    "{\"ready\":false,\"degraded\":false,"
	    "\"why\":\"the store is unavailable\"}\n");
	trusted = true;
	told = get("/readyz");
	assert_int_equal(resp.status, 503);
	assert_non_null(strstr(told, "still reading its data"));
	trusted = false;
	assert_non_null(strstr(get("/metrics"), "\nration_store_up 0\n"));
}

/* A store that is away makes nobody unready where that was said to do no harm. */
static void
test_ready_without_a_store(void **state)
{
	static const struct {
		const char *text;
		bool lenient;
		int64_t settled_ms;
		int status;
	} rows[] = {
		{ SAYS("deny"), false, 0, 503 },
		{ SAYS("deny"), true, 0, 200 },
		{ SAYS("allow"), false, 0, 200 },
		{ SAYS("local"), false, 0, 200 },
		{ SAYS("local"), true, 3600000, 503 },
		{ ONE, false, 0, 503 },
		{ ONE, true, 0, 200 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		text = rows[i].text;
		lenient = rows[i].lenient;
		settled_ms = rows[i].settled_ms;
		open_admin(true);
		assert_string_equal(get("/readyz"),
		    rows[i].status == 200 ? "{\"ready\":true,\"degraded\":true,"
					    "\"why\":\"the store is unavailable\"}\n"
					  : "{\"ready\":false,\"degraded\":false,"
					    "\"why\":\"the store is unavailable\"}\n");
		assert_int_equal(resp.status, rows[i].status);
		admin_set_draining(admin);
		get("/readyz");
		assert_int_equal(resp.status, 503);
		close_admin(state);
	}
	open_admin(false);
}

static bool
partly_ready(struct store *with, struct errinfo *why)
{
	(void)with;
	err_set(why, ERR_UNAVAILABLE, "no node serves 5 slots");
	return true;
}

/* There are checks that it can answer: the others are no better off elsewhere. */
static void
test_ready_with_a_part_of_a_store(void **state)
{
	const struct store_ops *ops;
	struct store_ops partly;
	struct buf info = { 0 };

	(void)state;
	open_admin(false);
	ops = store->ops;
	partly = *ops;
	partly.ready = partly_ready;
	store->ops = &partly;
	assert_string_equal(get("/readyz"),
	    "{\"ready\":true,\"degraded\":true,"
	    "\"why\":\"a part of the store is unavailable\"}\n");
	assert_int_equal(resp.status, 200);
	trusted = true;
	assert_non_null(strstr(get("/readyz"), "\"why\":\"no node serves 5 slots\""));
	trusted = false;
	admin_info(admin, slice_str("store"), &info);
	assert_non_null(strstr(buf_cstr(&info),
	    "store_ready:1\r\nstore_fault:no node serves 5 slots\r\n"));
	buf_fini(&info);
	admin_set_draining(admin);
	assert_string_equal(get("/readyz"),
	    "{\"ready\":false,\"degraded\":false,\"why\":\"draining\"}\n");
	store->ops = ops;
}

/* Who asks one worker is told of all. */
static void
test_ready_in_every_worker(void **state)
{
	(void)state;
	n_workers = 2;
	trusted = true;
	open_admin(false);
	metric_set(&others, METRIC_STORE_UP, 0);
	assert_string_equal(get("/readyz"),
	    "{\"ready\":false,\"degraded\":false,"
	    "\"why\":\"the store takes no charges of 1 of 2 workers\"}\n");
	metric_set(&others, METRIC_STORE_UP, 1);
	assert_string_equal(get("/readyz"), "{\"ready\":true,\"degraded\":false}\n");
	trusted = false;
}

/* Probes need no token; what tells names does. */
static void
test_what_is_open(void **state)
{
	(void)state;
	open_admin(false);
	for (const struct http_endpoint *e = admin_endpoints(admin); e->path; e++)
		assert_int_equal(e->open,
		    strcmp(e->path, "/livez") == 0 || strcmp(e->path, "/readyz") == 0);
}

static void
test_metrics_and_version(void **state)
{
	json_t *root;

	(void)state;
	open_admin(false);
	assert_non_null(strstr(get("/metrics"), "\nration_store_up 1\n"));
	assert_string_equal(
	    resp.content_type, "text/plain; version=0.0.4; charset=utf-8");
	root = json_loads(get("/version"), 0, NULL);
	assert_string_equal(
	    json_string_value(json_object_get(root, "name")), "rationd");
	assert_string_equal(
	    json_string_value(json_object_get(root, "version")), RATION_VERSION);
	assert_string_equal(json_string_value(json_object_get(root, "api")), "v1");
	json_decref(root);
}

static void
test_last_reload(void **state)
{
	json_t *root;
	json_t *last;

	(void)state;
	open_admin(false);
	in_force.report.result = RELOAD_REFUSED;
	in_force.report.trigger = RELOAD_WATCH;
	in_force.report.time_us = INT64_C(1767225600123456);
	errlist_init(&in_force.report.errors, "p.json");
	errlist_add(&in_force.report.errors, ERR_INVALID, 3, 4, "/tools/a~1b",
	    "not \"%s\"", "so");
	in_force.report.errors.more = 5;
	root = json_loads(get("/v1/policies"), 0, NULL);
	last = json_pack("{s:s, s:s, s:s, s:b, s:[{s:s, s:i, s:i, s:s, s:s}], s:i}",
	    "time", "2026-01-01T00:00:00.123Z", "trigger", "watch", "result", "refused",
	    "changed", 0, "errors", "file", "p.json", "line", 3, "column", 4, "pointer",
	    "/tools/a~1b", "message", "not \"so\"", "more_errors", 5);
	assert_non_null(last);
	assert_true(json_equal(json_object_get(root, "last_reload"), last));
	json_decref(last);
	json_decref(root);
	reload_report_fini(&in_force.report);
}

static void
test_policies(void **state)
{
	json_t *root;
	json_t *one;

	(void)state;
	open_admin(false);
	root = json_loads(get("/v1/policies"), 0, NULL);
	assert_int_equal(json_array_size(json_object_get(root, "policies")), 2);
	assert_true(json_is_null(json_object_get(root, "last_reload")));
	one = json_array_get(json_object_get(root, "policies"), 0);
	assert_string_equal(json_string_value(json_object_get(one, "name")), "default");
	assert_string_equal(
	    json_string_value(json_object_get(one, "description")), "d \"q\"");
	assert_int_equal(strlen(json_string_value(json_object_get(one, "hash"))), 64);
	assert_int_equal(json_integer_value(json_object_get(one, "tools")), 2);
	assert_int_equal(json_integer_value(json_object_get(one, "limits")), 1);
	assert_true(json_is_true(json_object_get(one, "default")));
	one = json_array_get(json_object_get(root, "policies"), 1);
	assert_true(json_is_false(json_object_get(one, "default")));
	json_decref(root);
}

static void
test_one_policy(void **state)
{
	static const char *const unknown[] = { "/v1/policies/", "/v1/policies/DEFAULT",
		"/v1/policies/a", "/v1/policies/a%20b%2F%C3%A9%00" };
	static const char *const bad[] = { "/v1/policies/%", "/v1/policies/%2",
		"/v1/policies/%zz" };
	json_t *root;

	(void)state;
	open_admin(false);
	root = json_loads(get("/v1/policies/a%20b%2f%C3%A9"), 0, NULL);
	assert_int_equal(resp.status, 200);
	assert_string_equal(
	    json_string_value(json_object_get(root, "name")), "a b/\xC3\xA9");
	json_decref(root);
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		get(unknown[i]);
		assert_int_equal(resp.status, 404);
		assert_string_equal(resp.content_type, "application/problem+json");
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		get(bad[i]);
		assert_int_equal(resp.status, 400);
	}
}

static void
test_info(void **state)
{
	static const char *const titles[] = { "# Server\r\n", "# Clients\r\n",
		"# Stats\r\n", "# Store\r\n", "# Policies\r\n" };
	struct buf out = { 0 };

	(void)state;
	open_admin(false);
	metric_add(cells, METRIC_CHECKS_ALLOW, 7);
	admin_info(admin, slice_str(NULL), &out);
	for (size_t i = 0; i < ARRAY_LEN(titles); i++)
		assert_non_null(strstr(buf_cstr(&out), titles[i]));
	assert_non_null(strstr(buf_cstr(&out), "\r\nchecks_allow:7\r\n"));
	assert_non_null(strstr(buf_cstr(&out), "\r\nstore_ready:1\r\n"));
	assert_non_null(strstr(buf_cstr(&out),
	    "\r\npolicy1:tools=2,limits=1,default=0,name=a%20b%2F%C3%A9\r\n"));
	buf_clear(&out);
	admin_info(admin, slice_str("STATS"), &out);
	assert_int_equal(strncmp(buf_cstr(&out), "# Stats\r\n", 9), 0);
	assert_null(strstr(buf_cstr(&out), "# Server"));
	buf_clear(&out);
	admin_info(admin, slice_str("keyspace"), &out);
	assert_int_equal(out.len, 0);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_health, close_admin),
		cmocka_unit_test_teardown(test_unready_store, close_admin),
		cmocka_unit_test_teardown(test_ready_without_a_store, close_admin),
		cmocka_unit_test_teardown(
		    test_ready_with_a_part_of_a_store, close_admin),
		cmocka_unit_test_teardown(test_ready_in_every_worker, close_admin),
		cmocka_unit_test_teardown(test_what_is_open, close_admin),
		cmocka_unit_test_teardown(test_metrics_and_version, close_admin),
		cmocka_unit_test_teardown(test_policies, close_admin),
		cmocka_unit_test_teardown(test_last_reload, close_admin),
		cmocka_unit_test_teardown(test_one_policy, close_admin),
		cmocka_unit_test_teardown(test_info, close_admin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
