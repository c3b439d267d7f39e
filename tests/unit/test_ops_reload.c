/* SPDX-License-Identifier: ISC */
/* What a reload hands over, refuses and reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "ops/in_force.h"
#include "ops/reload.h"

#define GOOD "{\"version\": \"1\", \"default\": \"deny\"}"
#define OTHER "{\"version\": \"1\", \"default\": \"allow\"}"
#define BROKEN "{\"version\": \"1\",\n \"default\": 7}"

static char path[64];
static char *paths[] = { path };
static struct config config;
static struct metric_cells cells;
static struct in_force in_force;
static struct documents documents;
static struct loop *loop;
static struct reload *reload;
static int swaps;
static int ends;  /* to wait for */
static bool slow; /* somebody has not taken them yet */

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static bool
swap(void *arg, struct documents *next)
{
	(void)arg;
	assert_non_null(next->policies);
	documents_fini(&documents);
	documents = *next;
	*next = (struct documents){ 0 };
	swaps++;
	return !slow;
}

static int64_t
reloads(void)
{
	return metric_get(&cells, METRIC_RELOADS_OK) +
	    metric_get(&cells, METRIC_RELOADS_REFUSED);
}

static void
on_turn(void *arg)
{
	(void)arg;
	if (reloads() >= ends)
		loop_stop(loop);
}

/* Turns until so many reloads have ended. */
static void
run_until(int n)
{
	ends = n;
	loop_on_turn(loop, on_turn, NULL);
	assert_int_equal(loop_run(loop), 0);
}

static void
open_reload(void)
{
	struct reload_options options = { loop, &config, &cells, &in_force,
		documents.stamp, swap, NULL };

	reload = reload_new(&options);
	assert_non_null(reload);
}

static int
setup(void **state)
{
	struct errlist errors;
	int fd;

	(void)state;
	log_start(LOG_ERROR, LOG_TEXT);
	snprintf(path, sizeof(path), "/tmp/ration-reload-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || close(fd) < 0 || hash_start() < 0)
		return -1;
	memset(&config, 0, sizeof(config));
	memset(&cells, 0, sizeof(cells));
	swaps = 0;
	slow = false;
	config.policy = (struct config_list){ paths, 1 };
	write_file(GOOD);
	errlist_init(&errors, NULL);
	documents_load(&documents, &config, &errors);
	errlist_fini(&errors);
	in_force_init(&in_force, documents.policies);
	loop = loop_new();
	open_reload();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	reload_free(reload);
	in_force_fini(&in_force);
	documents_fini(&documents);
	loop_free(loop);
	unlink(path);
	return 0;
}

static json_t *
report_json(void)
{
	struct buf text = { 0 };
	struct json_text j;
	json_t *root;

	json_text_init(&j, &text);
	json_text_open(&j, NULL, '{');
	reload_report_format(&j, "last_reload", &in_force.report);
	json_text_close(&j, '}');
	root = json_loads(buf_cstr(&text), 0, NULL);
	assert_non_null(root);
	buf_fini(&text);
	return root;
}

static void
assert_report(const char *result, const char *trigger, int changed)
{
	json_t *root = report_json();
	const char *got_result;
	const char *got_trigger;
	int got_changed;

	assert_int_equal(
	    json_unpack(root, "{s:{s:s, s:s, s:b}}", "last_reload", "result",
		&got_result, "trigger", &got_trigger, "changed", &got_changed),
	    0);
	assert_string_equal(got_result, result);
	assert_string_equal(got_trigger, trigger);
	assert_int_equal(got_changed, changed);
	json_decref(root);
}

static void
test_none_yet(void **state)
{
	json_t *root = report_json();

	(void)state;
	assert_true(json_is_null(json_object_get(root, "last_reload")));
	json_decref(root);
	assert_int_equal(metric_get(&cells, METRIC_RELOAD_SUCCESS), 1);
	assert_in_range(metric_get(&cells, METRIC_RELOAD_SUCCESS_TIME), 1,
	    clock_real_us() / 1000000);
}

static void
test_handed_over(void **state)
{
	const struct policy_set *before = documents.policies;

	(void)state;
	write_file(OTHER);
	reload_request(reload, RELOAD_SIGNAL);
	/* Nothing happens before the loop turns. */
	assert_int_equal(swaps, 0);
	assert_ptr_equal(documents.policies, before);
	run_until(1);
	assert_int_equal(swaps, 1);
	assert_report("ok", "signal", 1);
	reload_request(reload, RELOAD_SIGNAL);
	run_until(2);
	assert_report("ok", "signal", 0);
}

static void
test_refused(void **state)
{
	const struct policy_set *before = documents.policies;
	json_t *root;
	const char *file;
	const char *pointer;
	int line;

	(void)state;
	write_file(BROKEN);
	reload_request(reload, RELOAD_WATCH);
	run_until(1);
	assert_int_equal(swaps, 0);
	assert_ptr_equal(documents.policies, before);
	assert_report("refused", "watch", 0);
	assert_int_equal(metric_get(&cells, METRIC_RELOADS_REFUSED), 1);
	assert_int_equal(metric_get(&cells, METRIC_RELOAD_SUCCESS), 0);
	root = report_json();
	assert_int_equal(
	    json_unpack(root, "{s:{s:[{s:s, s:i, s:s}]}}", "last_reload", "errors",
		"file", &file, "line", &line, "pointer", &pointer),
	    0);
	assert_string_equal(file, path);
	assert_int_equal(line, 2);
	assert_string_equal(pointer, "/default");
	json_decref(root);
	write_file(GOOD);
	reload_request(reload, RELOAD_WATCH);
	run_until(2);
	assert_report("ok", "watch", 0);
	assert_int_equal(in_force.report.errors.n, 0);
	assert_int_equal(metric_get(&cells, METRIC_RELOAD_SUCCESS), 1);
}

/* Those that come while one is read are one more, which sees what is there then. */
static void
test_many_requests(void **state)
{
	(void)state;
	write_file(BROKEN);
	reload_request(reload, RELOAD_WATCH);
	write_file(OTHER);
	reload_request(reload, RELOAD_SIGNAL);
	for (int i = 0; i < 50; i++)
		reload_request(reload, RELOAD_WATCH);
	run_until(2);
	assert_int_equal(reloads(), 2);
	/* The signal is not forgotten over those that came later. */
	assert_int_equal(in_force.report.trigger, RELOAD_SIGNAL);
	assert_int_equal(in_force.report.result, RELOAD_OK);
	assert_true(swaps >= 1);
}

static void
stop_when_handed(void *arg)
{
	(void)arg;
	if (swaps > 0)
		loop_stop(loop);
}

/* Nothing is told before everybody has the new documents, and what is asked for
 * meanwhile waits as well. */
static void
test_told_when_all_have_taken(void **state)
{
	(void)state;
	slow = true;
	write_file(OTHER);
	reload_request(reload, RELOAD_SIGNAL);
	loop_on_turn(loop, stop_when_handed, NULL);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(in_force.report.result, RELOAD_NONE);
	assert_ptr_not_equal(in_force.policies, documents.policies);
	reload_request(reload, RELOAD_WATCH);
	slow = false;
	reload_taken(reload);
	assert_report("ok", "signal", 1);
	assert_ptr_equal(in_force.policies, documents.policies);
	assert_int_equal(swaps, 1);
	run_until(2);
	assert_report("ok", "watch", 0);
}

/* The tokens go with the policies: all or nothing. */
static void
test_tokens_are_part_of_it(void **state)
{
	static char nowhere[] = "/nowhere/tokens";
	static char file[] = "/tmp/ration-tokens-XXXXXX";
	int fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "0123456789abcdef\n", 17), 17);
	close(fd);
	config.token_file = nowhere;
	write_file(OTHER);
	reload_request(reload, RELOAD_SIGNAL);
	run_until(1);
	assert_int_equal(swaps, 0);
	assert_string_equal(in_force.report.errors.items[0].file, nowhere);
	config.token_file = file;
	reload_request(reload, RELOAD_SIGNAL);
	run_until(2);
	assert_int_equal(swaps, 1);
	assert_true(token_set_has(documents.tokens, slice_str("0123456789abcdef")));
	config.token_file = NULL;
	unlink(file);
}

static void
test_freed_in_the_middle(void **state)
{
	(void)state;
	reload_request(reload, RELOAD_SIGNAL);
	reload_request(reload, RELOAD_SIGNAL);
	reload_free(reload);
	reload = NULL;
	assert_int_equal(swaps, 0);
}

static void
test_watched(void **state)
{
	(void)state;
	reload_free(reload);
	config.watch = true;
	open_reload();
	write_file(OTHER);
	run_until(1);
	assert_int_equal(swaps, 1);
	assert_report("ok", "watch", 1);
}

/* What changed after it was read and before it was watched is read again. */
static void
test_changed_before_it_was_watched(void **state)
{
	(void)state;
	reload_free(reload);
	config.watch = true;
	write_file(OTHER);
	open_reload();
	run_until(1);
	assert_int_equal(swaps, 1);
	assert_report("ok", "watch", 1);
}

/* And what did not is not; nor is anything where nothing is watched. */
static void
test_not_changed_before_it_was_watched(void **state)
{
	(void)state;
	reload_free(reload);
	config.watch = true;
	open_reload();
	reload_request(reload, RELOAD_SIGNAL);
	run_until(1);
	assert_report("ok", "signal", 0);
	reload_free(reload);
	config.watch = false;
	write_file(OTHER);
	open_reload();
	reload_request(reload, RELOAD_SIGNAL);
	run_until(2);
	assert_report("ok", "signal", 1);
	assert_int_equal(reloads(), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(none_yet),
		TEST(handed_over),
		TEST(refused),
		TEST(many_requests),
		TEST(told_when_all_have_taken),
		TEST(tokens_are_part_of_it),
		TEST(freed_in_the_middle),
		TEST(watched),
		TEST(changed_before_it_was_watched),
		TEST(not_changed_before_it_was_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
