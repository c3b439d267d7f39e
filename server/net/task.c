/* SPDX-License-Identifier: ISC */
#include "net/task.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/loop_inner.h"

struct task {
	const struct task_ops *ops;
	void *arg;
	bool running;
	pthread_t thread;
	int done_fd; /* an eventfd; the last thing that the helper does is write to it */
	struct event event;
};

static void *
helper(void *arg)
{
	struct task *task = arg;
	uint64_t one = 1;

	task->ops->run(task->arg);
	if (write(task->done_fd, &one, sizeof(one)) < 0) {
		/* Cannot happen: its count is 0. */
	}
	return NULL;
}

static void
on_done_event(evutil_socket_t fd, short what, void *arg)
{
	struct task *task = arg;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	pthread_join(task->thread, NULL);
	task->running = false;
	task->ops->done(task->arg);
}

struct task *
task_new(struct loop *loop, const struct task_ops *ops, void *arg)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	task->ops = ops;
	task->arg = arg;
	task->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (task->done_fd < 0) {
		free(task);
		return NULL;
	}
	event_assign(&task->event, loop->base, task->done_fd, EV_READ | EV_PERSIST,
	    on_done_event, task);
	if (event_add(&task->event, NULL) < 0) {
		close(task->done_fd);
		free(task);
		return NULL;
	}
	return task;
}

void
task_free(struct task *task)
{
	if (!task)
		return;
	if (task->running)
		pthread_join(task->thread, NULL);
	event_del(&task->event);
	close(task->done_fd);
	free(task);
}

int
task_start(struct task *task)
{
	sigset_t all;
	sigset_t before;
	int rc;

	assert(!task->running);
	/* A thread inherits the signal mask of its creator: so signals stay the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&task->thread, NULL, helper, task);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	task->running = rc == 0;
	return rc == 0 ? 0 : ERR_NOMEM;
}

bool
task_is_running(const struct task *task)
{
	return task->running;
}
