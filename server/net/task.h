/* SPDX-License-Identifier: ISC */
/*
 * Work that would keep a loop from its callers – reading and parsing files – done in a
 * helper thread, and its end told in the loop's.
 *
 * One task does one piece of work at a time. The helper thread takes no signals.
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
	void (*done)(void *arg); /* afterwards, in the loop's; may start the next */
};

/* NULL: out of memory or descriptors. Keeps `ops` and `arg`. */
struct task *task_new(
    struct loop *loop, const struct task_ops *ops, void *arg) MUST_CHECK;
/* Waits for the end of what runs; `done` is not called any more. Before loop_free().
 * NULL is fine. */
void task_free(struct task *task);

/* Only when nothing runs. 0, or ERR_NOMEM when there is no thread to be had. What the
 * caller wrote before is seen by `run`, what that wrote by `done`. */
int task_start(struct task *task) MUST_CHECK;
bool task_is_running(const struct task *task); /* until `done` is called */

#endif
