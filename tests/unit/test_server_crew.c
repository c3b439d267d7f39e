/* SPDX-License-Identifier: ISC */
/* Orders reach every worker, and are told to be done no sooner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "crew.h"

#define WORKERS 3
#define POLICY \
	"--policy=" TEST_SOURCE_DIR "/../examples/policies/create_connect_token.json"

static struct config config;
static struct errlist errors;
static struct documents documents;
static struct in_force in_force;
static struct memory *memory;
static struct crew crew;
static char path[64];
static int taken;

static void
on_taken(void *arg)
{
	(void)arg;
	taken++;
	loop_stop(crew_loop(&crew));
}

static void
on_turn(void *arg)
{
	bool *draining = arg;

	if (*draining && crew_is_idle(&crew))
		loop_stop(crew_loop(&crew));
}

static void
on_failed(void *arg)
{
	(void)arg;
	fail();
}

static bool draining;

static void
load(void)
{
	char flag[96];
	const char *argv[] = { "rationd", POLICY, "--listen-http=none", flag };

	log_start(LOG_ERROR, LOG_TEXT);
	snprintf(path, sizeof(path), "/tmp/ration-crew-%d", (int)getpid());
	snprintf(flag, sizeof(flag), "--listen-resp=unix:%s", path);
	assert_int_equal(hash_start(), 0);
	assert_int_equal(config_load(&config, ARRAY_LEN(argv),
			     (char *const *)(uintptr_t)argv, NULL, &errors),
	    EXIT_CODE_OK);
	documents_load(&documents, &config, &errors);
	assert_int_equal(errors.n, 0);
}

static int
setup(void **state)
{
	static const struct memory_options small = { .max_counters = 100 };
	const struct crew_events events = { on_taken, on_turn, on_failed, &draining };
	struct worker_shared shared = { .config = &config, .in_force = &in_force };
	struct errinfo ei;

	(void)state;
	taken = 0;
	draining = false;
	load();
	memory = memory_new(&small);
	in_force_init(&in_force, documents.policies);
	shared.memory = memory;
	shared.policies = documents.policies;
	shared.started_us = clock_real_us();
	assert_int_equal(crew_init(&crew, WORKERS), 0);
	return crew_open(&crew, &shared, &events, &ei);
}

static int
teardown(void **state)
{
	(void)state;
	crew_fini(&crew);
	crew_fini(&crew); /* once more is fine */
	in_force_fini(&in_force);
	memory_free(memory);
	documents_fini(&documents);
	config_fini(&config);
	errlist_fini(&errors);
	assert_int_not_equal(access(path, F_OK), 0);
	return 0;
}

static void
start(void)
{
	struct errinfo ei;

	assert_int_equal(crew_start(&crew, &ei), 0);
}

static void
test_taken_by_all(void **state)
{
	(void)state;
	/* The others do not run yet: they cannot have taken it. */
	assert_false(crew_take(&crew, &documents));
	assert_int_equal(taken, 0);
	start();
	assert_int_equal(loop_run(crew_loop(&crew)), 0);
	assert_int_equal(taken, 1);
	assert_false(crew_stop(&crew));
}

/* What they never came to read is given back (the sanitizer would tell). */
static void
test_ended_with_letters_unread(void **state)
{
	(void)state;
	assert_false(crew_take(&crew, &documents));
	assert_int_equal(taken, 0);
}

static void
test_drained_and_stopped(void **state)
{
	(void)state;
	start();
	assert_int_equal(crew_connections(&crew), 0);
	assert_false(crew_is_idle(&crew)); /* nobody has said so */
	crew_drain(&crew, DRAIN_CLOSING);
	draining = true;
	assert_int_equal(loop_run(crew_loop(&crew)), 0);
	assert_true(crew_is_idle(&crew));
	assert_false(crew_stop(&crew));
}

static void
test_cells_share_no_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORKERS; i++)
		assert_int_equal((uintptr_t)crew.cells[i] % 64, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_taken_by_all, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_ended_with_letters_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_drained_and_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_cells_share_no_line, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
