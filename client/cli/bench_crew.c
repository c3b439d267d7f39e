/* SPDX-License-Identifier: ISC */
#include "bench_crew.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bench_progress.h"
#include "bench_worker.h"

#define PROGRESS_MS 250

struct crew {
	const struct bench_plan *plan;
	struct bench_gate gate;
	struct bench_worker *workers;
	pthread_t *threads;
	int64_t n_made, n_started; /* workers */
	int signal_fd;
	sigset_t old_mask;
	bool masked;
	int signals; /* how many have come */
};

/* SIGINT and SIGTERM are read from an fd; threads started later do not see them. */
static int
take_signals(struct crew *crew)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	if (pthread_sigmask(SIG_BLOCK, &mask, &crew->old_mask) != 0)
		return ERR_IO;
	crew->masked = true;
	crew->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return crew->signal_fd < 0 ? ERR_IO : 0;
}

static int
init(struct crew *crew, const struct bench_plan *plan)
{
	*crew = (struct crew){ .plan = plan, .signal_fd = -1 };
	crew->gate = (struct bench_gate){
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.opened = PTHREAD_COND_INITIALIZER,
		.expected = plan->threads,
		.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	crew->workers = calloc((size_t)plan->threads, sizeof(*crew->workers));
	crew->threads = calloc((size_t)plan->threads, sizeof(*crew->threads));
	if (!crew->workers || !crew->threads)
		return ERR_NOMEM;
	if (crew->gate.stop_fd < 0 || crew->gate.done_fd < 0 || take_signals(crew) != 0)
		return ERR_IO;
	for (; crew->n_made < plan->threads; crew->n_made++) {
		int rc = bench_worker_init(
		    &crew->workers[crew->n_made], plan, &crew->gate, crew->n_made);

		if (rc != 0) {
			crew->n_made++; /* it has to be freed, too */
			return rc;
		}
	}
	return 0;
}

static void
fini(struct crew *crew)
{
	for (int64_t i = 0; i < crew->n_made; i++)
		bench_worker_fini(&crew->workers[i]);
	free(crew->workers);
	free(crew->threads);
	for (size_t i = 0; i < 3; i++) {
		int fds[] = { crew->gate.stop_fd, crew->gate.done_fd, crew->signal_fd };

		if (fds[i] >= 0)
			close(fds[i]);
	}
	if (crew->masked)
		pthread_sigmask(SIG_SETMASK, &crew->old_mask, NULL);
}

/* Starts the threads. If one could not be started, the others must not wait for it. */
static int
start(struct crew *crew)
{
	struct bench_gate *gate = &crew->gate;
	int error = 0;

	for (; crew->n_started < crew->plan->threads; crew->n_started++) {
		error = pthread_create(&crew->threads[crew->n_started], NULL,
		    bench_worker_run, &crew->workers[crew->n_started]);
		if (error != 0)
			break;
	}
	if (error == 0)
		return 0;
	bench_gate_stop(gate, STOP_NOW);
	pthread_mutex_lock(&gate->mutex);
	gate->open = true;
	pthread_cond_broadcast(&gate->opened);
	pthread_mutex_unlock(&gate->mutex);
	errno = error;
	return ERR_IO;
}

static void
show_progress(const struct crew *crew, struct bench_progress *progress)
{
	uint64_t answers = 0, errors = 0;

	for (int64_t i = 0; i < crew->n_started; i++) {
		answers += atomic_load_explicit(
		    &crew->workers[i].answers, memory_order_relaxed);
		errors += atomic_load_explicit(
		    &crew->workers[i].errors, memory_order_relaxed);
	}
	bench_progress_show(progress, bench_clock_ns(), answers, errors);
}

static void
on_signal(struct crew *crew)
{
	struct signalfd_siginfo info;

	if (read(crew->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	bench_gate_stop(&crew->gate, ++crew->signals == 1 ? STOP_SENDING : STOP_NOW);
}

/* Waits until all threads have ended. */
static void
stand_by(struct crew *crew, bool progress)
{
	int64_t left = crew->n_started, next_ns = bench_clock_ns();
	struct bench_progress line;
	uint64_t ended;

	bench_progress_init(&line, crew->plan, next_ns);
	while (left > 0) {
		struct pollfd fds[] = {
			{ .fd = crew->signal_fd, .events = POLLIN },
			{ .fd = crew->gate.done_fd, .events = POLLIN },
		};

		if (poll(fds, ARRAY_LEN(fds), progress ? PROGRESS_MS : -1) < 0)
			continue;
		if (fds[0].revents)
			on_signal(crew);
		if (fds[1].revents &&
		    read(crew->gate.done_fd, &ended, sizeof(ended)) ==
			(ssize_t)sizeof(ended))
			left -= (int64_t)ended;
		if (!progress || bench_clock_ns() < next_ns)
			continue;
		show_progress(crew, &line);
		next_ns = bench_clock_ns() + INT64_C(1000000) * PROGRESS_MS;
	}
	if (progress)
		bench_progress_end();
}

static double
seconds_of(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

/* How long was measured: the whole --duration unless it was cut short, and longer if the
 * last answers came late. */
static double
measured_seconds(const struct crew *crew)
{
	int64_t begin_ns = INT64_MAX, end_ns = 0;
	double seconds;

	for (int64_t i = 0; i < crew->n_started; i++) {
		const struct bench_worker *w = &crew->workers[i];

		if (w->env.measure_from_ns < begin_ns)
			begin_ns = w->env.measure_from_ns;
		if (w->env.last_answer_ns > end_ns)
			end_ns = w->env.last_answer_ns;
	}
	seconds = end_ns > begin_ns ? (double)(end_ns - begin_ns) / 1e9 : 0;
	if (crew->signals == 0 && seconds < (double)crew->plan->duration_s)
		seconds = (double)crew->plan->duration_s;
	return seconds;
}

static void
gather(const struct crew *crew, struct bench_result *out)
{
	struct rusage usage;

	for (int64_t i = 0; i < crew->n_started; i++) {
		const struct bench_worker *w = &crew->workers[i];

		bench_stats_merge(&out->measured, &w->env.measured);
		bench_stats_merge(&out->warmup, &w->env.warmup);
		bench_trouble_merge(&out->trouble, &w->env.trouble);
		out->gave_up |= w->gave_up;
	}
	out->interrupted = crew->signals > 0;
	out->seconds = measured_seconds(crew);
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		out->cpu_seconds =
		    seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime);
}

/* 0, or the status to exit with after saying why. */
static int
judge(const struct crew *crew, const struct bench_result *result)
{
	const char *failure = "";

	for (int64_t i = 0; i < crew->n_started && !failure[0]; i++)
		failure = crew->workers[i].env.failure;
	if (!failure[0] && atomic_load(&crew->gate.n_up) == 0 && !result->interrupted)
		failure = result->trouble.first_error;
	if (failure[0])
		cli_error("%s: %s", crew->plan->address, failure);
	return failure[0] ? CLI_NO_ANSWER : 0;
}

int
bench_crew_run(const struct bench_plan *plan, bool progress, struct bench_result *out)
{
	struct crew crew;
	int rc = init(&crew, plan);

	memset(out, 0, sizeof(*out));
	if (rc == 0)
		rc = start(&crew);
	if (rc != 0)
		cli_error("cannot start: %s",
		    rc == ERR_NOMEM ? "out of memory" : strerror(errno));
	if (rc == 0)
		stand_by(&crew, progress);
	for (int64_t i = 0; i < crew.n_started; i++)
		pthread_join(crew.threads[i], NULL);
	if (rc == 0) {
		gather(&crew, out);
		rc = judge(&crew, out);
	} else {
		rc = CLI_USAGE;
	}
	fini(&crew);
	return rc;
}
