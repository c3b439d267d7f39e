/* SPDX-License-Identifier: ISC */
#include "bench_worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define TICK_MS 20 /* how often deadlines and retries are checked */
#define TIMER_LEAST_NS INT64_C(50000)
#define EVENTS_MAX 512
#define GIVE_UP_TIMEOUTS 10

/* The share of `n` that thread `index` of `threads` gets. */
static int64_t
share(int64_t n, int64_t index, int64_t threads)
{
	return n / threads + (index < n % threads);
}

/* Its ptr is NULL: it only wakes the thread. Each thread has to see a stop, and see it
 * once. */
static int
add_waker(struct bench_worker *w, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	return fd < 0 || epoll_ctl(w->env.epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? ERR_IO
										: 0;
}

static int
init_fds(struct bench_worker *w)
{
	w->env.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (w->env.epoll_fd < 0 || add_waker(w, w->timer_fd) != 0)
		return ERR_IO;
	return add_waker(w, w->gate->stop_fd);
}

int
bench_worker_init(struct bench_worker *w, const struct bench_plan *plan,
    struct bench_gate *gate, int64_t index)
{
	*w = (struct bench_worker){ .gate = gate, .index = index, .timer_fd = -1 };
	w->env.plan = plan;
	w->env.epoll_fd = -1;
	w->env.measure_from_ns = INT64_MAX;
	w->line_end = &w->line;
	w->quota = plan->requests ? share(plan->requests, index, plan->threads) : -1;
	bench_pick_init(&w->env.pick, (uint64_t)plan->seed, (uint64_t)index, plan->skew,
	    plan->skew_parameter, (uint64_t)plan->grants);
	w->env.in = malloc(BENCH_IN_SIZE);
	w->n_conns = (size_t)share(plan->connections, index, plan->threads);
	w->conns = calloc(w->n_conns, sizeof(*w->conns));
	w->unsent = calloc(w->n_conns, sizeof(struct bench_conn *));
	if (!w->env.in || !w->conns || !w->unsent)
		return ERR_NOMEM;
	for (size_t i = 0; i < w->n_conns; i++)
		w->conns[i].fd = -1; /* so that fini can take all of them */
	for (size_t i = 0; i < w->n_conns; i++)
		if (bench_conn_init(&w->conns[i], &w->env) != 0)
			return ERR_NOMEM;
	return init_fds(w);
}

void
bench_worker_fini(struct bench_worker *w)
{
	for (size_t i = 0; w->conns && i < w->n_conns; i++)
		bench_conn_fini(&w->conns[i], &w->env);
	free(w->conns);
	free(w->unsent);
	free(w->env.in);
	if (w->env.epoll_fd >= 0)
		close(w->env.epoll_fd);
	if (w->timer_fd >= 0)
		close(w->timer_fd);
}

static int
stop_of(const struct bench_worker *w)
{
	return atomic_load_explicit(&w->gate->stop, memory_order_relaxed);
}

/* How many requests may begin now on a connection that has none in flight. */
static int64_t
allowance(const struct bench_worker *w)
{
	int64_t pipeline = w->env.plan->pipeline;

	if (w->ended || stop_of(w) != STOP_NOT)
		return 0;
	if (w->env.now_ns < w->env.measure_from_ns)
		return pipeline;
	if (w->quota >= 0)
		return w->quota < pipeline ? w->quota : pipeline;
	return w->env.now_ns < w->end_ns ? pipeline : 0;
}

static void
push(struct bench_worker *w, struct bench_conn *c, int64_t start_ns)
{
	if (start_ns >= w->env.measure_from_ns && w->quota > 0)
		w->quota--;
	bench_conn_push(c, &w->env, start_ns);
}

/* As fast as possible: the next batch begins when the last one is answered. */
static void
feed(struct bench_worker *w, struct bench_conn *c)
{
	int64_t n;

	if (c->state != CONN_UP || c->n > 0)
		return;
	w->env.now_ns = bench_clock_ns();
	n = allowance(w);
	for (int64_t i = 0; i < n; i++)
		push(w, c, w->env.now_ns);
	if (n > 0)
		bench_conn_flush(c, &w->env);
}

static bool
has_room(const struct bench_worker *w, const struct bench_conn *c)
{
	return c->state == CONN_UP && c->n < (size_t)w->env.plan->pipeline;
}

/* By the rate: connections with room stand in line, so that all get their turn. */
static void
line_up(struct bench_worker *w, struct bench_conn *c)
{
	if (c->in_line || !has_room(w, c))
		return;
	c->in_line = true;
	c->next = NULL;
	*w->line_end = c;
	w->line_end = &c->next;
}

/* The first in line; NULL: none has room. Skips those that went down while in line. */
static struct bench_conn *
next_in_line(struct bench_worker *w)
{
	while (w->line) {
		struct bench_conn *c = w->line;

		w->line = c->next;
		if (!w->line)
			w->line_end = &w->line;
		c->in_line = false;
		if (has_room(w, c))
			return c;
	}
	return NULL;
}

/* When the k-th request of this thread is due. The threads take turns. */
static int64_t
due_ns(const struct bench_worker *w, uint64_t k)
{
	const struct bench_plan *plan = w->env.plan;
	double nth = (double)k * (double)plan->threads + (double)w->index;

	return w->begin_ns + (int64_t)(nth * (double)NS_PER_S / (double)plan->rate);
}

/* Whether the rate has another request before the end; *at_ns is when. */
static bool
next_due(const struct bench_worker *w, int64_t *at_ns)
{
	*at_ns = due_ns(w, w->issued);
	if (w->ended || stop_of(w) != STOP_NOT)
		return false;
	if (*at_ns < w->env.measure_from_ns)
		return true;
	return w->quota >= 0 ? w->quota > 0 : *at_ns < w->end_ns;
}

/* Setting a timer may cost more than a request, so it never fires sooner than the least
 * time from now. What is due before that waits, and is measured from when it was due. */
static void
set_timer(struct bench_worker *w, int64_t at_ns)
{
	int64_t soonest_ns = w->env.now_ns + TIMER_LEAST_NS;
	struct itimerspec its;

	if (w->timer_ns > w->env.now_ns)
		return; /* it is set already, for something that is due earlier */
	w->timer_ns = at_ns > soonest_ns ? at_ns : soonest_ns;
	its = (struct itimerspec){
		.it_value = { .tv_sec = w->timer_ns / NS_PER_S,
		    .tv_nsec = w->timer_ns % NS_PER_S },
	};
	timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* Sends what is due, as much at a time as a connection takes; what is late is still measured
 * from when it was due. */
static void
send_due(struct bench_worker *w)
{
	struct bench_conn *c = NULL;
	size_t n_unsent = 0;
	int64_t at_ns;

	w->env.now_ns = bench_clock_ns();
	while (next_due(w, &at_ns) && at_ns <= w->env.now_ns && (c = next_in_line(w))) {
		if (c->out.len ==
		    0) /* else it is in the list, or waits for the system */
			w->unsent[n_unsent++] = c;
		do {
			w->issued++;
			push(w, c, at_ns);
		} while (
		    has_room(w, c) && next_due(w, &at_ns) && at_ns <= w->env.now_ns);
		line_up(w, c);
	}
	for (size_t i = 0; i < n_unsent; i++)
		bench_conn_flush(w->unsent[i], &w->env);
	/* If there is no room, the next answer wakes the thread. */
	if (next_due(w, &at_ns) && at_ns > w->env.now_ns)
		set_timer(w, at_ns);
}

static void
take_turn(struct bench_worker *w, struct bench_conn *c)
{
	if (w->begin_ns == 0)
		return;
	if (w->env.plan->rate > 0)
		line_up(w, c);
	else
		feed(w, c);
}

/* Counts what was due and had no connection to be sent over. */
static void
count_missed(struct bench_worker *w)
{
	int64_t until_ns = w->env.now_ns < w->end_ns ? w->env.now_ns : w->end_ns;
	double per_s = (double)w->env.plan->rate / (double)w->env.plan->threads;
	uint64_t due = 0;

	if (w->env.plan->rate == 0)
		return;
	if (until_ns > w->begin_ns)
		due = (uint64_t)((double)(until_ns - w->begin_ns) * per_s /
		    (double)NS_PER_S);
	if (w->quota >= 0 && due > w->issued + (uint64_t)w->quota)
		due = w->issued + (uint64_t)w->quota;
	if (due > w->issued)
		w->env.measured.missed = due - w->issued;
}

/* Whether the time or the number of requests is used up. */
static bool
is_used_up(const struct bench_worker *w)
{
	if (stop_of(w) != STOP_NOT)
		return true;
	if (w->env.now_ns < w->env.measure_from_ns)
		return false;
	return w->quota >= 0 ? w->quota == 0 : w->env.now_ns >= w->end_ns;
}

/* Without this a load of so many requests would never end on a dead daemon. */
static void
watch_for_none(struct bench_worker *w)
{
	int64_t patience_ns =
	    GIVE_UP_TIMEOUTS * w->env.plan->daemon.timeout_ms * NS_PER_MS;

	if (w->env.n_up > 0)
		w->nothing_up_ns = w->env.now_ns;
	if (w->begin_ns == 0 || w->quota < 0 ||
	    w->env.now_ns - w->nothing_up_ns < patience_ns)
		return;
	w->gave_up = true;
	bench_gate_stop(w->gate, STOP_SENDING);
}

static void
look_after(struct bench_worker *w)
{
	w->env.now_ns = bench_clock_ns();
	for (size_t i = 0; i < w->n_conns; i++) {
		struct bench_conn *c = &w->conns[i];

		bench_conn_expire(c, &w->env);
		if (c->state == CONN_DOWN && w->env.now_ns >= c->retry_at_ns &&
		    !w->ended)
			bench_conn_open(c, &w->env);
		take_turn(w, c);
	}
	watch_for_none(w);
	atomic_store_explicit(
	    &w->answers, bench_stats_answers(&w->env.measured), memory_order_relaxed);
	atomic_store_explicit(
	    &w->errors, bench_stats_errors(&w->env.measured), memory_order_relaxed);
}

/* Waits, at most until the next tick, and deals with what came. */
static void
turn(struct bench_worker *w, int64_t *tick_ns)
{
	struct epoll_event events[EVENTS_MAX];
	int64_t left_ms = (*tick_ns - bench_clock_ns()) / NS_PER_MS + 1;
	int n = epoll_wait(
	    w->env.epoll_fd, events, EVENTS_MAX, left_ms > 0 ? (int)left_ms : 0);

	w->env.now_ns = bench_clock_ns();
	for (int i = 0; i < n; i++) {
		struct bench_conn *c = events[i].data.ptr;

		if (!c)
			continue;
		bench_conn_on_event(c, &w->env, events[i].events);
		take_turn(w, c);
	}
	if (w->begin_ns && w->env.plan->rate > 0)
		send_due(w);
	if (w->env.now_ns >= *tick_ns) {
		look_after(w);
		*tick_ns = w->env.now_ns + TICK_MS * NS_PER_MS;
	}
	if (w->env.failure[0])
		bench_gate_stop(w->gate, STOP_NOW);
}

/* Whether every connection is made, or could not be made. */
static bool
is_settled(const struct bench_worker *w)
{
	for (size_t i = 0; i < w->n_conns; i++)
		if (w->conns[i].state != CONN_UP && !w->conns[i].failed_once)
			return false;
	return true;
}

/* Connects, and waits for the other threads to have done so. */
static void
get_ready(struct bench_worker *w)
{
	struct bench_gate *gate = w->gate;
	int64_t tick_ns = 0;

	while (!is_settled(w) && stop_of(w) == STOP_NOT)
		turn(w, &tick_ns);
	atomic_fetch_add(&gate->n_up, w->env.n_up);
	pthread_mutex_lock(&gate->mutex);
	if (++gate->ready == gate->expected) {
		gate->open = true;
		pthread_cond_broadcast(&gate->opened);
	}
	while (!gate->open)
		pthread_cond_wait(&gate->opened, &gate->mutex);
	pthread_mutex_unlock(&gate->mutex);
	if (atomic_load(&gate->n_up) == 0)
		bench_gate_stop(gate, STOP_NOW);
}

static void
begin(struct bench_worker *w)
{
	const struct bench_plan *plan = w->env.plan;

	w->begin_ns = w->nothing_up_ns = w->env.now_ns = bench_clock_ns();
	w->env.measure_from_ns = w->begin_ns + plan->warmup_s * NS_PER_S;
	w->env.last_answer_ns = w->env.measure_from_ns;
	w->end_ns = plan->duration_s
	    ? w->env.measure_from_ns + plan->duration_s * NS_PER_S
	    : INT64_MAX;
	for (size_t i = 0; i < w->n_conns; i++)
		take_turn(w, &w->conns[i]);
}

void *
bench_worker_run(void *arg)
{
	struct bench_worker *w = arg;
	int64_t tick_ns = 0;
	uint64_t one = 1;

	get_ready(w);
	begin(w);
	while (stop_of(w) != STOP_NOW) {
		turn(w, &tick_ns);
		if (!w->ended && is_used_up(w)) {
			w->ended = true;
			count_missed(w);
		}
		if (w->ended && w->env.in_flight == 0)
			break;
	}
	for (size_t i = 0; i < w->n_conns; i++)
		bench_conn_fini(&w->conns[i], &w->env);
	if (write(w->gate->done_fd, &one, sizeof(one)) < 0)
		abort(); /* nobody would learn that this thread has ended */
	return NULL;
}

void
bench_gate_stop(struct bench_gate *gate, enum bench_stop how)
{
	uint64_t one = 1;
	int before = atomic_load(&gate->stop);

	do {
		if (before >= (int)how)
			return;
	} while (!atomic_compare_exchange_weak(&gate->stop, &before, (int)how));
	if (write(gate->stop_fd, &one, sizeof(one)) < 0)
		abort(); /* cannot happen: it takes 2^64 stops to fill the counter */
}
