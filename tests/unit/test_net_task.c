/* SPDX-License-Identifier: ISC */
/* Work in a helper thread, its end in the loop's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "net/task.h"

static struct loop *loop;
static struct task *task;
static pthread_t runner;
static sigset_t mask;
static _Atomic int runs;
static int dones;
static int again;

static void
run(void *arg)
{
	(void)arg;
	runner = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	runs++;
}

static void
done(void *arg)
{
	(void)arg;
	dones++;
	assert_false(task_is_running(task));
	if (again-- > 0)
		assert_int_equal(task_start(task), 0);
	else
		loop_stop(loop);
}

static int
setup(void **state)
{
	static const struct task_ops ops = { run, done };

	(void)state;
	runs = dones = again = 0;
	loop = loop_new();
	task = task_new(loop, &ops, NULL);
	return task ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	task_free(task);
	loop_free(loop);
	return 0;
}

static void
test_runs_elsewhere_and_ends_here(void **state)
{
	(void)state;
	assert_false(task_is_running(task));
	assert_int_equal(task_start(task), 0);
	assert_true(task_is_running(task));
	assert_int_equal(dones, 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(runs, 1);
	assert_int_equal(dones, 1);
	assert_false(pthread_equal(runner, pthread_self()));
}

static void
test_signals_stay_with_the_loop(void **state)
{
	sigset_t mine;

	(void)state;
	assert_int_equal(task_start(task), 0);
	assert_int_equal(loop_run(loop), 0);
	assert_true(sigismember(&mask, SIGTERM) && sigismember(&mask, SIGHUP));
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	assert_false(sigismember(&mine, SIGTERM) || sigismember(&mine, SIGHUP));
}

static void
test_starts_again_from_done(void **state)
{
	(void)state;
	again = 5;
	assert_int_equal(task_start(task), 0);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(runs, 6);
	assert_int_equal(dones, 6);
}

/* teardown frees it while it may run: it is waited for, and not told of. */
static void
test_freed_while_it_runs(void **state)
{
	(void)state;
	assert_int_equal(task_start(task), 0);
	task_free(task);
	task = NULL;
	assert_int_equal(runs, 1);
	assert_int_equal(dones, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(runs_elsewhere_and_ends_here),
		TEST(signals_stay_with_the_loop),
		TEST(starts_again_from_done),
		TEST(freed_while_it_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
