/* SPDX-License-Identifier: ISC */
#include "net/resolve.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/loop_inner.h"

#define RESOLVE_STACK (512 * 1024)

/* Referred to by the loop's side and by the thread; whoever lets go last frees it. */
struct job {
	_Atomic int holders;
	int fd;                /* readable when the answer is there */
	_Atomic bool answered; /* orders the next two between the threads */
	int rc;
	struct addrinfo *list; /* NULL once `done` took it */
	char host[256];
	char port[16];
};

struct resolve {
	struct job *job;
	struct event event;
	void (*done)(void *arg, int rc, struct addrinfo *list);
	void *arg;
};

static void
job_release(struct job *job)
{
	if (atomic_fetch_sub(&job->holders, 1) > 1)
		return;
	if (job->list)
		freeaddrinfo(job->list);
	close(job->fd);
	free(job);
}

static void *
run(void *arg)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV };
	struct job *job = arg;
	uint64_t one = 1;

	job->rc = getaddrinfo(job->host, job->port, &hints, &job->list);
	atomic_store(&job->answered, true);
	if (write(job->fd, &one, sizeof(one)) < 0) {
		/* Cannot happen: the counter was 0. */
	}
	job_release(job);
	return NULL;
}

static void
on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct resolve *r = arg;
	struct resolve copy = *r;
	struct addrinfo *list;
	int rc;

	(void)fd;
	(void)what;
	if (!atomic_load(&r->job->answered))
		return; /* cannot happen: the flag is set before the descriptor is */
	list = r->job->list;
	rc = r->job->rc;
	r->job->list = NULL;
	resolve_cancel(r);
	copy.done(copy.arg, rc, list);
}

/* Blocks all signals in the new thread: they are for the loop's. */
static int
start_thread(struct job *job)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int rc;

	if (pthread_attr_init(&attr) != 0)
		return -1;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, RESOLVE_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attr, run, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return rc == 0 ? 0 : -1;
}

static struct job *
job_new(const char *host, const char *port)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (job->fd < 0) {
		free(job);
		return NULL;
	}
	memcpy(job->host, host, strnlen(host, sizeof(job->host) - 1));
	memcpy(job->port, port, strnlen(port, sizeof(job->port) - 1));
	atomic_init(&job->holders, 1);
	return job;
}

struct resolve *
resolve_start(struct loop *loop, const char *host, const char *port,
    void (*done)(void *arg, int rc, struct addrinfo *list), void *arg)
{
	struct resolve *r = calloc(1, sizeof(*r));
	struct job *job = r ? job_new(host, port) : NULL;

	if (!job) {
		free(r);
		return NULL;
	}
	r->job = job;
	r->done = done;
	r->arg = arg;
	event_assign(&r->event, loop->base, job->fd, EV_READ, on_answer, r);
	if (event_add(&r->event, NULL) < 0) {
		resolve_cancel(r);
		return NULL;
	}
	atomic_fetch_add(&job->holders, 1);
	if (start_thread(job) < 0) {
		job_release(job);
		resolve_cancel(r);
		return NULL;
	}
	return r;
}

void
resolve_cancel(struct resolve *r)
{
	if (!r)
		return;
	event_del(&r->event);
	job_release(r->job);
	free(r);
}
