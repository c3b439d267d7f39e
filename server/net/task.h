/* SPDX-License-Identifier: ISC */
/*
 * Work that would keep a loop from its clients (reading and parsing files), done in a
 * helper thread; the loop's thread is told when it is done.
 *
 * A task does one piece of work at a time. The helper thread takes no signals.
 * Threads: all functions in the loop's thread; only `run` is called in the helper's.
 */
#ifndef NET_TASK_H
#define NET_TASK_H

#include <stdbool.h>

#include "base/attr.h"
#include "net/loop.h"

struct task;

struct task_ops {
	void (*run)(void *arg);  /* in the helper thread */
	void (*done)(void *arg); /* afterwards, in the loop's; may start the next run */
};

/* NULL: out of memory or descriptors. Keeps `ops` and `arg`. */
struct task *task_new(
    struct loop *loop, const struct task_ops *ops, void *arg) MUST_CHECK;
/* Waits for `run` to end; `done` is not called any more. Call before loop_free(). NULL is
 * fine. */
void task_free(struct task *task);

/* Only while it is not running. 0, or ERR_NOMEM when no thread can be made. `run` sees
 * what the caller wrote before, `done` sees what `run` wrote. */
int task_start(struct task *task) MUST_CHECK;
bool task_is_running(const struct task *task); /* until `done` is called */

#endif
