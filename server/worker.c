/* SPDX-License-Identifier: ISC */
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "redis/redis_store.h"

/* Unanswered requests of one connection before its reading pauses. */
#define PENDING_MAX 1024

/* How long a worker waits for the store after its start before it counts as ready without
 * it. */
#define SETTLED_MS 1000

/* How often the embedded store forgets what has expired when nothing else makes it; and
 * while there is much of it, as after a window's end. */
#define TEND_US 250000
#define TEND_SOON_US 10000

static const struct {
	const char *name;
	const struct front_protocol *protocol;
	size_t list; /* offset of its addresses in struct config */
	/* HTTP clients are told that a connection will end, and open another. RESP clients
	 * only notice, so they are sent away just once, when load balancers know where to. */
	enum drain_stage parts;
} fronts[] = {
	{ "http", &front_http, offsetof(struct config, listen_http), DRAIN_UNREADY },
	{ "resp", &front_resp, offsetof(struct config, listen_resp), DRAIN_PARTING },
};
_Static_assert(ARRAY_LEN(fronts) == ARRAY_LEN(((struct worker *)0)->fronts),
    "one front per protocol");

static void
log_readiness(struct worker *w)
{
	struct errinfo why = { 0 };
	bool was_ready = w->ready;
	char who[32] = "";

	w->ready = store_ready(w->store, &why);
	metric_set(w->cells, METRIC_STORE_UP, w->ready);
	if (w->shared.n_cells > 1)
		snprintf(who, sizeof(who), "worker %zu: ", w->index);
	if (w->ready)
		log_info("server", "%sready: the store %s takes charges", who,
		    w->shared.redis ? w->shared.redis->shown : "memory");
	else if (was_ready)
		log_warn("server", "%snot ready any more: %s", who, why.text);
	else
		log_info("server", "%snot ready yet: %s", who, why.text);
}

static bool
wants_more(void *arg)
{
	struct worker *w = arg;

	return store_wants_more(w->store);
}

/* The end of a turn: its checks leave together. */
static void
end_turn(void *arg)
{
	struct worker *w = arg;

	store_flush(w->store);
	if (w->decisions)
		decision_log_flush(w->decisions);
	if (w->started && store_ready(w->store, NULL) != w->ready)
		log_readiness(w);
	if (w->on_turn)
		w->on_turn(w->on_turn_arg);
}

static struct store *
open_store(struct worker *w)
{
	struct redis_store_options options = { .waiting_max = 0 };

	if (w->shared.memory)
		return memory_store_new(w->shared.memory, w->cells);
	options.url = *w->shared.redis;
	options.tls = w->shared.tls;
	options.deny_cache_ms = w->shared.config->deny_cache_ms;
	options.denials = w->shared.denials;
	return redis_store_new(w->loop, &options, w->cells);
}

/* This process's own store has metric cells that nobody shows: a check that it decides was
 * already counted, as one that the other store failed. */
static bool
open_local(struct worker *w)
{
	if (!w->shared.local)
		return true;
	w->local_cells = calloc(1, sizeof(*w->local_cells));
	if (w->local_cells)
		w->local = memory_store_new(w->shared.local, w->local_cells);
	return w->local != NULL;
}

static void
on_tend(void *arg)
{
	struct worker *w = arg;
	struct memory *memory = w->shared.memory ? w->shared.memory : w->shared.local;
	bool more = memory_tend(memory);

	loop_timer_set(w->tending, more ? TEND_SOON_US : TEND_US);
}

/* Tends the embedded store; one worker does it for all. */
static bool
open_tending(struct worker *w)
{
	if (w->index != 0)
		return true;
	w->tending = loop_timer_new(w->loop, on_tend, w);
	if (w->tending)
		loop_timer_set(w->tending, TEND_US);
	return w->tending != NULL;
}

static struct check_engine *
open_engine(struct worker *w)
{
	static const enum store_failure failures[] = {
		[CONFIG_FAILURE_DENY] = STORE_FAILURE_DENY,
		[CONFIG_FAILURE_ALLOW] = STORE_FAILURE_ALLOW,
		[CONFIG_FAILURE_LOCAL] = STORE_FAILURE_LOCAL,
	};
	struct check_options options = { .store = w->store,
		.cells = w->cells,
		.local = w->local,
		.local_share = w->shared.config->local_share,
		.deadline_ms = w->shared.config->deadline_ms,
		.on_store_failure = failures[w->shared.config->on_store_failure],
		.key_prefix = w->shared.config->key_prefix,
		.dedup_ttl_ms = w->shared.config->dedup_ttl * 1000 };

	if (w->shared.decision_log) {
		w->decisions = decision_log_new(w->shared.decision_log, w->cells);
		if (!w->decisions)
			return NULL;
		options.keep = decision_log_keep;
		options.observe = decision_log_observe;
		options.observe_arg = w->decisions;
	}
	return check_engine_new(&options, w->shared.policies);
}

static struct throttler *
open_throttler(struct worker *w)
{
	const struct config *c = w->shared.config;
	struct throttler_options options = { .store = w->store,
		.cells = w->cells,
		.key_prefix = c->key_prefix,
		.deadline_ms = c->deadline_ms };

	return throttler_new(&options);
}

static struct settler *
open_settler(struct worker *w)
{
	const struct config *c = w->shared.config;
	struct settler_options options = { .store = w->store,
		.cells = w->cells,
		.local = w->local,
		.key_prefix = c->key_prefix,
		.deadline_ms = c->deadline_ms,
		.dedup_ttl_ms = c->dedup_ttl * 1000 };

	return settler_new(&options);
}

static struct admin *
open_admin(struct worker *w)
{
	struct admin_options options = { .in_force = w->shared.in_force,
		.store = w->store,
		.memory = w->shared.memory ? w->shared.memory : w->shared.local,
		.lenient = w->shared.config->on_store_failure != CONFIG_FAILURE_DENY,
		.settled_ms = SETTLED_MS,
		.store_shown = w->shared.redis ? w->shared.redis->shown : "memory",
		.cells = w->shared.cells,
		.n_cells = w->shared.n_cells,
		.worker = w->index,
		.started_us = w->shared.started_us };

	return admin_new(&options);
}

static bool
pass(void *arg, int fd, bool local)
{
	const struct worker_door *door = arg;
	const struct worker_shared *shared = &door->worker->shared;

	return shared->pass(shared->pass_arg, door->front, fd, local);
}

static struct front *
open_front(struct worker *w, size_t i)
{
	const struct config *c = w->shared.config;
	struct front_options options = { .engine = w->engine,
		.throttler = w->throttler,
		.settler = w->settler,
		.cells = w->cells,
		.quota = w->shared.quota,
		.tokens = w->tokens,
		.pass = w->shared.pass ? pass : NULL,
		.pass_arg = &w->doors[i],
		.request_max = (size_t)c->max_request_bytes,
		.pending_max = PENDING_MAX,
		.idle_ms = c->idle_timeout_ms,
		.message_ms = c->request_timeout_ms,
		.write_ms = c->write_timeout_ms,
		.endpoints = admin_endpoints(w->admin),
		.info = admin_info,
		.info_arg = w->admin };

	w->doors[i] = (struct worker_door){ w, i };
	return front_new(w->loop, fronts[i].protocol, &options);
}

static int
listen_on(struct front *front, const char *name, const struct config_list *list,
    struct errinfo *ei)
{
	for (size_t i = 0; i < list->n; i++) {
		struct address address;
		int rc = address_parse(list->items[i], &address, ei);

		if (rc == 0)
			rc = front_listen(front, &address, ei);
		if (rc < 0)
			return rc;
		log_info(
		    "server", "listening for %s on %s", name, front_address(front, i));
	}
	return 0;
}

static int
open_fronts(struct worker *w, struct errinfo *ei)
{
	const char *config = (const char *)w->shared.config;

	for (size_t i = 0; i < ARRAY_LEN(fronts); i++) {
		const void *at = config + fronts[i].list;
		const struct config_list *list = at;
		int rc = 0;

		if (config_list_is_none(list))
			continue;
		w->fronts[i] = open_front(w, i);
		if (!w->fronts[i])
			return err_set(ei, ERR_NOMEM, "out of memory");
		if (w->index == 0)
			rc = listen_on(w->fronts[i], fronts[i].name, list, ei);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int
worker_open(struct worker *w, size_t index, const struct worker_shared *shared,
    struct errinfo *ei)
{
	memset(w, 0, sizeof(*w));
	w->index = index;
	w->shared = *shared;
	w->cells = shared->cells[index];

	w->tokens = token_set_ref(shared->tokens);
	if (!(w->loop = loop_new()) || !(w->store = open_store(w)) || !open_local(w) ||
	    !open_tending(w) || !(w->engine = open_engine(w)) ||
	    !(w->throttler = open_throttler(w)) || !(w->settler = open_settler(w)) ||
	    !(w->admin = open_admin(w)))
		return err_set(ei, ERR_NOMEM, "out of memory or file descriptors");
	loop_look_again_if(w->loop, wants_more, w);
	loop_on_turn(w->loop, end_turn, w);
	loop_join(w->loop, shared->group);
	return open_fronts(w, ei);
}

void
worker_take(struct worker *w, const struct documents *documents)
{
	struct token_set *old = w->tokens;

	check_engine_set_policies(w->engine, documents->policies);
	w->tokens = token_set_ref(documents->tokens);
	for (size_t i = 0; i < ARRAY_LEN(w->fronts); i++)
		if (w->fronts[i])
			front_set_tokens(w->fronts[i], w->tokens);
	token_set_unref(old);
}

void
worker_admit(struct worker *w, size_t front, int fd, bool local)
{
	front_admit(w->fronts[front], fd, local);
}

void
worker_note_start(struct worker *w)
{
	w->started = true;
	log_readiness(w);
}

void
worker_close(struct worker *w)
{
	/* Fronts release their checks; closing the store ends those that are still under
	 * way; after that nothing points into the engine. */
	for (size_t i = 0; i < ARRAY_LEN(w->fronts); i++)
		front_free(w->fronts[i]);
	store_close(w->store);
	store_close(w->local);
	if (w->engine)
		check_engine_free(w->engine);
	throttler_free(w->throttler);
	settler_free(w->settler);
	decision_log_free(w->decisions);
	admin_free(w->admin);
	free(w->local_cells);
	loop_timer_free(w->tending);
	loop_free(w->loop);
	token_set_unref(w->tokens);
	memset(w, 0, sizeof(*w));
}

void
worker_accept_waiting(struct worker *w)
{
	for (size_t i = 0; i < ARRAY_LEN(w->fronts); i++)
		if (w->fronts[i])
			front_accept_waiting(w->fronts[i]);
}

void
worker_drain(struct worker *w, enum drain_stage stage)
{
	admin_set_draining(w->admin);
	for (size_t i = 0; i < ARRAY_LEN(w->fronts); i++) {
		if (!w->fronts[i])
			continue;
		if (stage == DRAIN_CLOSING)
			front_drain(w->fronts[i]);
		else if (stage == fronts[i].parts)
			front_part(w->fronts[i]);
	}
}

static size_t
count_pending(const struct worker *w)
{
	return check_engine_pending(w->engine) + throttler_pending(w->throttler) +
	    settler_pending(w->settler);
}

size_t
worker_connections(const struct worker *w)
{
	return loop_clients(w->loop);
}

bool
worker_is_idle(const struct worker *w)
{
	/* The loop also counts connections that the fronts have already given up. */
	return loop_clients(w->loop) == 0 && count_pending(w) == 0;
}

bool
worker_is_owing(const struct worker *w)
{
	for (size_t i = 0; i < ARRAY_LEN(w->fronts); i++)
		if (w->fronts[i] && front_connections(w->fronts[i]) > 0)
			return true;
	return count_pending(w) > 0 || loop_owes_bytes(w->loop);
}
