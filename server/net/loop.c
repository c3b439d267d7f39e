/* SPDX-License-Identifier: ISC */
#include "net/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/conn_inner.h"
#include "net/listener.h"
#include "net/loop_inner.h"

struct loop_timer {
	struct event event;
	void (*fn)(void *arg);
	void *arg;
	bool armed;
	int64_t due_us;   /* what the owner wants */
	int64_t event_us; /* when libevent will fire: not later than due_us */
	LIST_ENTRY(loop_timer) link;
};

struct loop_signal {
	struct event event;
	void (*fn)(void *arg, int signo);
	void *arg;
	LIST_ENTRY(loop_signal) link;
};

static void
on_wake_event(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 && errno == EAGAIN)
		return;
	if (loop->wake_fn)
		loop->wake_fn(loop->wake_arg);
}

static int
loop_init(struct loop *loop)
{
	TAILQ_INIT(&loop->dirty);
	TAILQ_INIT(&loop->again);
	TAILQ_INIT(&loop->later);
	LIST_INIT(&loop->listeners);
	LIST_INIT(&loop->timers);
	LIST_INIT(&loop->signals);
	loop->group = &loop->alone;
	loop->in = malloc(LOOP_READ_MAX);
	loop->base = event_base_new();
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!loop->in || !loop->base || loop->wake_fd < 0 ||
	    event_base_priority_init(loop->base, 2) < 0)
		return ERR_NOMEM;
	event_assign(&loop->wake_event, loop->base, loop->wake_fd, EV_READ | EV_PERSIST,
	    on_wake_event, loop);
	event_priority_set(&loop->wake_event, 0);
	if (event_add(&loop->wake_event, NULL) < 0)
		return ERR_NOMEM;
	loop->sweep = loop_timer_new(loop, conns_sweep, loop);
	return loop->sweep ? 0 : ERR_NOMEM;
}

static void
on_libevent_log(int severity, const char *text)
{
	if (severity >= EVENT_LOG_WARN)
		log_warn("net", "libevent: %s", text);
	else
		log_debug("net", "libevent: %s", text);
}

/* libevent would abort otherwise; there is no way to go on. */
static void
on_libevent_fatal(int error)
{
	log_error("net", "libevent gives up (error %d)", error);
	_exit(LOOP_FATAL_EXIT);
}

struct loop *
loop_new(void)
{
	struct loop *loop;

	event_set_log_callback(on_libevent_log);
	event_set_fatal_callback(on_libevent_fatal);
	loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	if (loop_init(loop) < 0) {
		loop_free(loop);
		return NULL;
	}
	return loop;
}

void
loop_discard(struct loop *loop, struct loop_garbage *garbage,
    void (*reclaim)(struct loop_garbage *garbage))
{
	garbage->reclaim = reclaim;
	garbage->next = loop->garbage;
	loop->garbage = garbage;
}

static void
collect_garbage(struct loop *loop)
{
	struct loop_garbage *garbage = loop->garbage;

	loop->garbage = NULL;
	while (garbage) {
		struct loop_garbage *next = garbage->next;

		garbage->reclaim(garbage);
		garbage = next;
	}
}

static void
free_signals(struct loop *loop)
{
	struct loop_signal *sig;

	while ((sig = LIST_FIRST(&loop->signals))) {
		LIST_REMOVE(sig, link);
		event_del(&sig->event);
		free(sig);
	}
}

void
loop_free(struct loop *loop)
{
	if (!loop)
		return;
	conns_close_all(loop);
	while (!LIST_EMPTY(&loop->listeners))
		listener_close(LIST_FIRST(&loop->listeners));
	collect_garbage(loop);
	while (!LIST_EMPTY(&loop->timers))
		loop_timer_free(LIST_FIRST(&loop->timers));
	free_signals(loop);
	for (size_t i = 0; i < loop->n_spare; i++)
		buf_fini(&loop->spare[i]);
	if (loop->wake_fd >= 0) {
		if (event_initialized(&loop->wake_event))
			event_del(&loop->wake_event);
		close(loop->wake_fd);
	}
	if (loop->base)
		event_base_free(loop->base);
	free(loop->in);
	free(loop);
}

static bool
has_work(const struct loop *loop)
{
	return loop->n_dirty > 0 || loop->n_again > 0 || loop->n_later > 0;
}

/* Writing may end conns and so make work for others; input that is shown again makes new
 * batches. So this goes round until nothing is left, but not for ever: other conns are
 * waiting to be read. Conns that yield wait for the next turn, after those. */
static void
end_turn(struct loop *loop)
{
	int rounds = 0;

	do {
		if (loop->turn_fn)
			loop->turn_fn(loop->turn_arg);
		conns_flush(loop);
		conns_show_again(loop);
	} while (
	    (loop->n_dirty > 0 || loop->n_again > 0) && ++rounds < LOOP_ROUNDS_MAX);
	collect_garbage(loop);
}

static int
run_callbacks(struct loop *loop, int flags)
{
	loop->now_us = 0;
	return event_base_loop(loop->base, EVLOOP_ONCE | flags);
}

static bool
looks_again(const struct loop *loop)
{
	return loop->n_dirty > 0 && !loop->stopped && loop->look_fn &&
	    loop->look_fn(loop->look_arg);
}

int
loop_run(struct loop *loop)
{
	int rc = 0;

	end_turn(loop); /* for what was begun before the loop ran */
	while (!loop->stopped && rc >= 0) {
		loop->turn++;
		conns_take_up(loop);
		rc = run_callbacks(loop, has_work(loop) ? EVLOOP_NONBLOCK : 0);
		if (rc >= 0 && looks_again(loop)) {
			conns_flush(loop);
			rc = run_callbacks(loop, EVLOOP_NONBLOCK);
		}
		end_turn(loop);
	}
	loop->stopped = false;
	return rc < 0 ? ERR_IO : 0;
}

void
loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

size_t
loop_clients(const struct loop *loop)
{
	return atomic_load_explicit(&loop->n_accepted, memory_order_relaxed);
}

size_t
loop_group_clients(const struct loop *loop)
{
	return atomic_load_explicit(&loop->group->clients, memory_order_relaxed);
}

void
loop_join(struct loop *loop, struct loop_group *group)
{
	loop->group = group;
}

void
loop_expect_client(struct loop *loop)
{
	atomic_fetch_add_explicit(&loop->n_accepted, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&loop->group->clients, 1, memory_order_relaxed);
}

void
loop_meet_client(struct loop *loop)
{
	loop->met = true;
}

void
loop_miss_client(struct loop *loop)
{
	atomic_fetch_sub_explicit(&loop->n_accepted, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&loop->group->clients, 1, memory_order_relaxed);
}

uint64_t
loop_turn(const struct loop *loop)
{
	return loop->turn;
}

bool
loop_owes_bytes(const struct loop *loop)
{
	const struct conn *conn = loop->conns;

	for (size_t i = 0; i < loop->n_conns; i++, conn = conn->next)
		if (conn->accepted && conn_out_pending(conn) > 0)
			return true;
	return false;
}

void
loop_on_turn(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	loop->turn_fn = fn;
	loop->turn_arg = arg;
}

void
loop_look_again_if(struct loop *loop, bool (*fn)(void *arg), void *arg)
{
	loop->look_fn = fn;
	loop->look_arg = arg;
}

void
loop_on_wake(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	loop->wake_fn = fn;
	loop->wake_arg = arg;
}

void
loop_wake(struct loop *loop)
{
	uint64_t one = 1;
	int saved = errno;

	if (write(loop->wake_fd, &one, sizeof(one)) < 0) {
		/* It only fails at the counter's maximum, and then the loop wakes anyway. */
	}
	errno = saved;
}

int64_t
loop_now_us(const struct loop *loop)
{
	/* Read when it is first asked for: before that nobody can tell the difference. */
	if (loop->now_us == 0)
		((struct loop *)(uintptr_t)loop)->now_us = clock_mono_us();
	return loop->now_us;
}

static void
timer_arm(struct loop_timer *timer, int64_t delay_us)
{
	struct timeval tv = { delay_us / 1000000, delay_us % 1000000 };

	timer->armed = true;
	timer->event_us = timer->due_us;
	event_add(&timer->event, &tv);
}

static void
on_timer_event(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *timer = arg;
	int64_t left_us = timer->due_us - clock_mono_us();

	(void)fd;
	(void)what;
	/* It was moved further off, or libevent's coarse clock ran ahead. */
	if (left_us > 0) {
		timer_arm(timer, left_us);
		return;
	}
	timer->armed = false;
	timer->fn(timer->arg);
}

struct loop_timer *
loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return NULL;
	timer->fn = fn;
	timer->arg = arg;
	event_assign(&timer->event, loop->base, -1, 0, on_timer_event, timer);
	LIST_INSERT_HEAD(&loop->timers, timer, link);
	return timer;
}

void
loop_timer_set(struct loop_timer *timer, int64_t delay_us)
{
	if (delay_us < 0)
		delay_us = 0;
	timer->due_us = clock_mono_us() + delay_us;
	if (timer->armed && timer->event_us <= timer->due_us)
		return;
	timer_arm(timer, delay_us);
}

void
loop_timer_cancel(struct loop_timer *timer)
{
	if (!timer->armed)
		return;
	timer->armed = false;
	event_del(&timer->event);
}

void
loop_timer_free(struct loop_timer *timer)
{
	if (!timer)
		return;
	event_del(&timer->event);
	LIST_REMOVE(timer, link);
	free(timer);
}

static void
on_signal_event(evutil_socket_t signo, short what, void *arg)
{
	struct loop_signal *sig = arg;

	(void)what;
	sig->fn(sig->arg, (int)signo);
}

int
loop_on_signal(
    struct loop *loop, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	struct loop_signal *sig = calloc(1, sizeof(*sig));

	if (!sig)
		return ERR_NOMEM;
	sig->fn = fn;
	sig->arg = arg;
	evsignal_assign(&sig->event, loop->base, signo, on_signal_event, sig);
	if (event_add(&sig->event, NULL) < 0) {
		free(sig);
		return ERR_NOMEM;
	}
	LIST_INSERT_HEAD(&loop->signals, sig, link);
	return 0;
}

void
loop_buf_lend(struct loop *loop, struct buf *b)
{
	if (b->data)
		return;
	if (loop->n_spare == 0) {
		buf_reserve(b, LOOP_BUF_FIRST);
		return;
	}
	*b = loop->spare[--loop->n_spare];
	loop->spare_bytes -= b->cap;
}

void
loop_buf_return(struct loop *loop, struct buf *b)
{
	if (!b->data)
		return;
	if (b->cap > LOOP_READ_MAX || loop->n_spare == LOOP_SPARE_MAX ||
	    loop->spare_bytes + b->cap > LOOP_SPARE_BYTES) {
		buf_fini(b);
		return;
	}
	buf_clear(b);
	loop->spare_bytes += b->cap;
	loop->spare[loop->n_spare++] = *b;
	buf_init(b);
}
