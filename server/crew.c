/* SPDX-License-Identifier: ISC */
#include "crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mailbox.h"

#define CACHE_LINE 64

struct member {
	struct worker worker;
	struct crew *crew;
	struct mailbox box; /* not open for a head that is alone */
	pthread_t thread;
	bool running; /* it has a thread, which was not joined yet */
	/* Its thread's own; others read them only once the thread has ended. */
	bool draining; /* in DRAIN_CLOSING */
	bool told_idle;
	bool owing; /* when it was stopped */
};

/* --- letters to the head ----------------------------------------------------------- */

static void
read_taken(void *reader, const struct letter *letter)
{
	struct crew *crew = ((struct member *)reader)->crew;

	(void)letter;
	if (--crew->n_taking == 0)
		crew->events.on_taken(crew->events.arg);
}

static void
read_idle(void *reader, const struct letter *letter)
{
	(void)letter;
	((struct member *)reader)->crew->n_idle++;
}

static void
read_failed(void *reader, const struct letter *letter)
{
	const struct crew_events *events = &((struct member *)reader)->crew->events;

	(void)letter;
	events->on_failed(events->arg);
}

static const struct letter_kind taken_kind = { read_taken, NULL };
static const struct letter_kind idle_kind = { read_idle, NULL };
static const struct letter_kind failed_kind = { read_failed, NULL };

/* Nothing else goes into the head's box, and each of the others sends one letter of a kind,
 * so there is always a place. */
static void
tell_head(struct member *m, const struct letter_kind *kind)
{
	mailbox_order(&m->crew->members[0]->box, &(struct letter){ .kind = kind });
}

/* --- letters to the others --------------------------------------------------------- */

static void
read_client(void *reader, const struct letter *letter)
{
	struct worker *w = &((struct member *)reader)->worker;

	loop_meet_client(w->loop);
	worker_admit(w, letter->front, letter->fd, letter->local);
}

static void
drop_client(const struct letter *letter)
{
	close(letter->fd);
}

static void
drop_documents(const struct letter *letter)
{
	policy_set_unref(letter->documents.policies);
	token_set_unref(letter->documents.tokens);
}

static void
read_documents(void *reader, const struct letter *letter)
{
	struct member *m = reader;

	worker_take(&m->worker, &letter->documents);
	drop_documents(letter);
	tell_head(m, &taken_kind);
}

static void
read_drain(void *reader, const struct letter *letter)
{
	struct member *m = reader;

	m->draining = letter->stage == DRAIN_CLOSING;
	worker_drain(&m->worker, letter->stage);
}

static void
read_stop(void *reader, const struct letter *letter)
{
	struct member *m = reader;

	(void)letter;
	m->owing = worker_is_owing(&m->worker);
	loop_stop(m->worker.loop);
}

static const struct letter_kind client_kind = { read_client, drop_client };
static const struct letter_kind documents_kind = { read_documents, drop_documents };
static const struct letter_kind drain_kind = { read_drain, NULL };
static const struct letter_kind stop_kind = { read_stop, NULL };

/* --- connections ------------------------------------------------------------------- */

/* The worker with the fewest connections; among equals the next in turn, so that short
 * connections go round as well. Not one whose box is full: it has been busy for long, so it
 * stays the one with the fewest, and the head would have to keep everything that it cannot
 * take. The head itself needs no letter. */
static size_t
choose(struct crew *crew)
{
	size_t best = 0;
	size_t least = SIZE_MAX;

	for (size_t i = 1; i <= crew->n; i++) {
		size_t at = (crew->last + i) % crew->n;
		size_t clients = loop_clients(crew->members[at]->worker.loop);

		if (clients >= least || mailbox_is_full(&crew->members[at]->box))
			continue;
		least = clients;
		best = at;
	}
	crew->last = best;
	return best;
}

static bool
pass(void *arg, size_t front, int fd, bool local)
{
	struct crew *crew = arg;
	size_t at = crew->draining ? 0 : choose(crew);
	struct letter letter = {
		.kind = &client_kind, .front = front, .fd = fd, .local = local
	};
	struct loop *loop;

	if (at == 0)
		return false;
	/* It counts from now on, so that neither the next choice, nor the maximum, nor a
	 * drain overlooks it. */
	loop = crew->members[at]->worker.loop;
	loop_expect_client(loop);
	if (mailbox_post(&crew->members[at]->box, &letter))
		return true;
	loop_miss_client(loop);
	return false;
}

/* --- birth ------------------------------------------------------------------------- */

/* Zeroed memory that shares no cache line with another thread's. */
static void *
new_lines(size_t size)
{
	size_t whole = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	void *p = aligned_alloc(CACHE_LINE, whole);

	return p ? memset(p, 0, whole) : NULL;
}

int
crew_init(struct crew *crew, size_t n)
{
	memset(crew, 0, sizeof(*crew));
	crew->members = calloc(n, sizeof(struct member *));
	crew->cells = calloc(n, sizeof(*crew->cells));
	if (!crew->members || !crew->cells)
		return ERR_NOMEM;
	crew->n = n;
	for (size_t i = 0; i < n; i++) {
		crew->members[i] = new_lines(sizeof(struct member));
		crew->cells[i] = new_lines(sizeof(*crew->cells[i]));
		if (!crew->members[i] || !crew->cells[i])
			return ERR_NOMEM;
		crew->members[i]->crew = crew;
	}
	return 0;
}

static void
end_turn(void *arg)
{
	struct member *m = arg;

	if (!m->draining || m->told_idle || !worker_is_idle(&m->worker))
		return;
	m->told_idle = true;
	tell_head(m, &idle_kind);
}

static int
open_member(
    struct crew *crew, size_t i, const struct worker_shared *shared, struct errinfo *ei)
{
	struct member *m = crew->members[i];
	int rc = worker_open(&m->worker, i, shared, ei);

	if (rc == 0 && crew->n > 1 && mailbox_init(&m->box, m->worker.loop, m) < 0)
		rc = err_set(ei, ERR_NOMEM, "out of memory");
	m->worker.on_turn = i == 0 ? crew->events.on_turn : end_turn;
	m->worker.on_turn_arg = i == 0 ? crew->events.arg : m;
	return rc;
}

int
crew_open(struct crew *crew, const struct worker_shared *shared,
    const struct crew_events *events, struct errinfo *ei)
{
	struct worker_shared all = *shared;

	crew->events = *events;
	crew->quota.max = (size_t)shared->config->max_connections;
	crew->group.in_bytes_max = (size_t)shared->config->max_buffered_bytes;
	all.cells = crew->cells;
	all.n_cells = crew->n;
	all.group = &crew->group;
	all.quota = &crew->quota;
	all.pass = crew->n > 1 ? pass : NULL;
	all.pass_arg = crew;
	for (size_t i = 0; i < crew->n; i++) {
		int rc = open_member(crew, i, &all, ei);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static void *
run(void *arg)
{
	struct member *m = arg;

	worker_note_start(&m->worker);
	if (loop_run(m->worker.loop) < 0)
		tell_head(m, &failed_kind);
	return NULL;
}

int
crew_start(struct crew *crew, struct errinfo *ei)
{
	sigset_t all;
	sigset_t before;
	int error = 0;

	/* A thread inherits the signal mask of its creator: so signals stay the head's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (size_t i = 1; i < crew->n && error == 0; i++) {
		struct member *m = crew->members[i];

		error = pthread_create(&m->thread, NULL, run, m);
		m->running = error == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return err_set(ei, ERR_NOMEM, "no thread for a worker can be had: %s",
		    strerror(error));
	worker_note_start(&crew->members[0]->worker);
	return 0;
}

struct loop *
crew_loop(const struct crew *crew)
{
	return crew->n > 0 ? crew->members[0]->worker.loop : NULL;
}

/* --- orders ------------------------------------------------------------------------ */

bool
crew_take(struct crew *crew, const struct documents *documents)
{
	struct letter letter = { .kind = &documents_kind };

	worker_take(&crew->members[0]->worker, documents);
	crew->n_taking = crew->n - 1;
	for (size_t i = 1; i < crew->n; i++) {
		letter.documents.policies = policy_set_ref(documents->policies);
		letter.documents.tokens = token_set_ref(documents->tokens);
		mailbox_order(&crew->members[i]->box, &letter);
	}
	return crew->n_taking == 0;
}

/* Clients that have connected already are handed on before the others are told that nobody
 * else will come; and they are told before the listeners close, so that whoever sees the
 * listeners closed knows that all workers drain. */
void
crew_drain(struct crew *crew, enum drain_stage stage)
{
	if (stage == DRAIN_CLOSING) {
		worker_accept_waiting(&crew->members[0]->worker);
		crew->draining = true;
	}
	for (size_t i = 1; i < crew->n; i++)
		mailbox_order(&crew->members[i]->box,
		    &(struct letter){ .kind = &drain_kind, .stage = stage });
	worker_drain(&crew->members[0]->worker, stage);
}

bool
crew_is_idle(const struct crew *crew)
{
	return crew->n_idle == crew->n - 1 && worker_is_idle(&crew->members[0]->worker);
}

size_t
crew_connections(const struct crew *crew)
{
	size_t n = 0;

	for (size_t i = 0; i < crew->n; i++)
		n += worker_connections(&crew->members[i]->worker);
	return n;
}

/* Whether anything of theirs was cut off. */
static bool
end_threads(struct crew *crew)
{
	bool owing = false;

	for (size_t i = 1; i < crew->n; i++)
		if (crew->members[i] && crew->members[i]->running)
			mailbox_order(&crew->members[i]->box,
			    &(struct letter){ .kind = &stop_kind });
	for (size_t i = 1; i < crew->n; i++) {
		struct member *m = crew->members[i];

		if (!m || !m->running)
			continue;
		pthread_join(m->thread, NULL);
		m->running = false;
		owing |= m->owing;
	}
	return owing;
}

bool
crew_stop(struct crew *crew)
{
	bool owing = end_threads(crew);

	return worker_is_owing(&crew->members[0]->worker) || owing;
}

void
crew_fini(struct crew *crew)
{
	/* crew_init() and crew_start() may have failed half-way. */
	end_threads(crew);
	for (size_t i = crew->n; i-- > 0;) {
		struct member *m = crew->members[i];

		if (m) {
			mailbox_fini(&m->box);
			worker_close(&m->worker);
		}
		free(m);
		free(crew->cells[i]);
	}
	free(crew->members);
	free(crew->cells);
	memset(crew, 0, sizeof(*crew));
}
