/* SPDX-License-Identifier: ISC */
#include "redis/cluster_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "redis/span.h"

/* How many redirections of one command are followed without a pause. */
#define MOVES_AT_ONCE 4
/* How long a node that was never up is waited for. */
#define NEW_NODE_US INT64_C(1000000)

static struct cluster *
self(struct store *store)
{
	return (struct cluster *)store;
}

/* --- who serves what ------------------------------------------------------------ */

static void
park_take(struct cluster *cluster, struct take *take)
{
	if (cluster->shared.waiting < cluster->shared.waiting_max &&
	    cluster_park(cluster, PARKED_TAKE, take, take->moves, take->deadline_us))
		cluster->shared.waiting++;
	else
		store_fail(&cluster->store, take, FAULT_OVERLOAD, NULL);
}

unsigned
cluster_take_slot(const struct take *take)
{
	const struct ledger *ledger = take->ledger;

	if (take->n > 0)
		return slot_of(take->charges[0].key);
	return slot_of(ledger->id_key.len > 0 ? ledger->id_key : ledger->held_key);
}

/* Something has changed, or is about to: learns it soon. */
static void
on_change(void *arg)
{
	struct cluster *cluster = arg;

	if (cluster->scout)
		scout_hurry(cluster->scout);
}

/* The same, as an event of a node. */
static void
on_trouble(void *arg)
{
	on_change(arg);
	cluster_look_soon(arg);
}

static void
on_up(void *arg)
{
	cluster_greet_new(arg);
}

/* The node to ask. NULL, with the reason, if there is none, or (then *later) none yet: in
 * its first moments a store lets its callers wait. */
static struct member *
member_for(struct cluster *cluster, unsigned slot, const char **why, bool *later)
{
	struct member *member = cluster->members.table[slot];

	*later = false;
	if (!member) {
		on_change(cluster);
		*why = cluster->members.known ? "no node of the Cluster serves this key"
					      : cluster->why;
		*later = !cluster->members.known && !cluster->troubled;
		return NULL;
	}
	if (node_ready(member->node)) {
		member->was_up = true;
	} else if (!member->was_up && clock_mono_us() - member->born_us < NEW_NODE_US) {
		*why = "its node is not connected yet";
		*later = true;
		return NULL;
	}
	return member;
}

enum store_fault
cluster_late_fault(const struct cluster *cluster, unsigned slot, const char **why)
{
	const struct member *member = cluster->members.table[slot];

	if (cluster->closing) {
		*why = "shutting down";
		return FAULT_DISCONNECTED;
	}
	if (!cluster->members.known) {
		*why = cluster->why;
		return cluster->fault;
	}
	if (member && !node_ready(member->node))
		return node_fault(member->node, why);
	*why = "the key's slot is on its way to another node";
	return FAULT_TRYAGAIN;
}

static enum store_fault
no_member_fault(const struct cluster *cluster)
{
	return cluster->members.known ? FAULT_CLUSTER : cluster->fault;
}

static uint32_t
lane_of(const struct cluster *cluster, unsigned slot)
{
	return slot | (members_is_moving(&cluster->members, slot) ? LANE_ALONE : 0);
}

void
cluster_send_take(struct cluster *cluster, struct take *take)
{
	unsigned slot = cluster_take_slot(take);
	const char *why;
	bool later;
	struct member *member = member_for(cluster, slot, &why, &later);

	if (member)
		node_take(member->node, take, lane_of(cluster, slot));
	else if (later && !cluster->closing)
		park_take(cluster, take);
	else
		store_fail(&cluster->store, take, no_member_fault(cluster), why);
}

void
cluster_send_settle(struct cluster *cluster, struct settle *settle)
{
	const char *why;
	bool later;
	struct member *member = member_for(cluster, slot_of(settle->key), &why, &later);

	if (member)
		node_settle(member->node, settle, 0);
	else if (!later ||
	    !cluster_park(
		cluster, PARKED_SETTLE, settle, settle->moves, settle->deadline_us))
		store_fail_settle(
		    &cluster->store, settle, no_member_fault(cluster), why);
}

void
cluster_send_reset(struct cluster *cluster, struct reset *reset)
{
	const char *why;
	bool later;
	struct member *member =
	    member_for(cluster, slot_of(reset->keys[0]), &why, &later);

	if (member)
		node_reset(member->node, reset, 0);
	else if (!later ||
	    !cluster_park(
		cluster, PARKED_RESET, reset, reset->moves, reset->deadline_us))
		store_fail_reset(&cluster->store, reset, no_member_fault(cluster), why);
}

/* --- redirections --------------------------------------------------------------- */

/* Remembers what a node's answer says about a slot. Returns the member that it names, if
 * any. */
static struct member *
learn(struct cluster *cluster, const struct redirect *where, unsigned slot)
{
	struct member *member = NULL;

	metric_add(cluster->store.cells, METRIC_STORE_REDIRECTS, 1);
	if (where->kind != REDIRECT_TRYAGAIN && where->to.text[0])
		member = members_get(&cluster->members, &where->to);
	if (where->kind != REDIRECT_MOVED)
		members_set_moving(&cluster->members, slot, true);
	else if (member && cluster->members.table[slot] != member)
		members_set_slot(&cluster->members, slot, member);
	if (cluster->scout)
		scout_hurry(cluster->scout);
	return member;
}

struct member *
cluster_follow(struct cluster *cluster, const struct redirect *where, unsigned slot,
    unsigned moves, uint32_t *lane)
{
	struct member *member = learn(cluster, where, slot);

	if (moves > MOVES_AT_ONCE || !member || !node_ready(member->node))
		return NULL;
	member->was_up = true;
	*lane = where->kind == REDIRECT_ASK ? slot | LANE_ASKING | LANE_ALONE
					    : lane_of(cluster, slot);
	return member;
}

/* A single key is in one place or the other: a call with only this take is answered. */
static bool
has_one_key(const struct take *take)
{
	return take->n == 1 && !take->ledger;
}

static void
redirect_take(struct cluster *cluster, struct take *take, const struct redirect *where)
{
	unsigned slot = cluster_take_slot(take);
	uint32_t lane;
	struct member *member =
	    cluster_follow(cluster, where, slot, take->moves++, &lane);

	if (member)
		node_take(member->node, take, lane);
	else if (where->kind == REDIRECT_TRYAGAIN && has_one_key(take) &&
	    take->moves <= MOVES_AT_ONCE)
		cluster_send_take(cluster, take);
	else
		park_take(cluster, take);
}

static void
redirect_settle(
    struct cluster *cluster, struct settle *settle, const struct redirect *where)
{
	uint32_t lane;
	struct member *member = cluster_follow(
	    cluster, where, slot_of(settle->key), settle->moves++, &lane);

	if (member)
		node_settle(member->node, settle, lane);
	else if (!cluster_park(cluster, PARKED_SETTLE, settle, settle->moves,
		     settle->deadline_us))
		store_fail_settle(&cluster->store, settle, FAULT_OVERLOAD, NULL);
}

static void
redirect_reset(
    struct cluster *cluster, struct reset *reset, const struct redirect *where)
{
	uint32_t lane;
	struct member *member;

	if (where->kind != REDIRECT_MOVED && reset->n > 1) {
		learn(cluster, where, slot_of(reset->keys[0]));
		cluster_split_reset(cluster, reset, true);
		return;
	}
	member = cluster_follow(
	    cluster, where, slot_of(reset->keys[0]), reset->moves++, &lane);
	if (member)
		node_reset(member->node, reset, lane);
	else if (!cluster_park(
		     cluster, PARKED_RESET, reset, reset->moves, reset->deadline_us))
		store_fail_reset(&cluster->store, reset, FAULT_OVERLOAD, NULL);
}

static void
on_refused(void *arg, const struct refused *refused, const struct redirect *where)
{
	struct cluster *cluster = arg;
	struct take *next;

	for (struct take *take = refused->takes; take; take = next) {
		next = take->next;
		redirect_take(cluster, take, where);
	}
	if (refused->settle)
		redirect_settle(cluster, refused->settle, where);
	if (refused->reset)
		redirect_reset(cluster, refused->reset, where);
}

static void
on_late(void *arg, uint32_t lane, struct slice command)
{
	errand_start(arg, lane % SLOTS, command);
}

static void
on_parts(void *arg, struct settle *settle, const struct record *record)
{
	span_settle(arg, settle, record);
}

static const struct node_ops node_events = {
	.on_up = on_up,
	.on_down = on_trouble,
	.on_missed = on_trouble,
	.on_refused = on_refused,
	.on_late = on_late,
	.on_parts = on_parts,
	.on_cluster_down = on_trouble,
};

/* --- the scout ------------------------------------------------------------------ */

/* One of the nodes that are connected, in turn; NULL when none is. */
static const struct member *
ready_member(const struct members *members, unsigned turn)
{
	size_t n = 0;

	for (size_t i = 0; i < members->n; i++)
		n += node_ready(members->at[i]->node);
	for (size_t i = 0, left = n ? turn % n : 0; i < members->n; i++)
		if (node_ready(members->at[i]->node) && left-- == 0)
			return members->at[i];
	return NULL;
}

/* Goes through the known nodes and those of the URL. Many of them may be gone, so every
 * other address is one that is connected. */
static const struct address *
scout_address(void *arg, unsigned turn)
{
	const struct cluster *cluster = arg;
	const struct member *ready = ready_member(&cluster->members, turn / 2);
	size_t at =
	    (ready ? turn / 2 : turn) % (cluster->members.n + cluster->url.n_hosts);

	if (ready && turn % 2 == 0)
		return node_address(ready->node);
	return at < cluster->members.n ? node_address(cluster->members.at[at]->node)
				       : &cluster->url.hosts[at - cluster->members.n];
}

static void
scout_trouble(void *arg, enum store_fault fault, const char *why)
{
	struct cluster *cluster = arg;
	bool same = cluster->fault == fault && strcmp(cluster->why, why) == 0;

	cluster->troubled = true;
	cluster->fault = fault;
	snprintf(cluster->why, sizeof(cluster->why), "%s", why);
	if (same || (cluster->members.known && fault != FAULT_CONFIG))
		return;
	if (fault == FAULT_CONFIG || fault == FAULT_TLS)
		log_error("redis", "%s: %s", cluster->url.shown, why);
	else
		log_warn("redis", "%s: %s; trying again until a node answers",
		    cluster->url.shown, why);
}

static void
scout_error(struct cluster *cluster, struct slice text)
{
	char why[TAKE_DETAIL_MAX];

	if (text.len > 0 && memmem(text.ptr, text.len, "cluster support disabled", 24))
		scout_trouble(cluster, FAULT_CONFIG,
		    "this Redis is no node of a Cluster: its URL is redis://HOST:PORT");
	else {
		snprintf(why, sizeof(why), "CLUSTER SLOTS: %.*s", SLICE_ARG(text));
		scout_trouble(cluster, FAULT_CONFIG, why);
	}
}

static bool
scout_answer(void *arg, const struct reply *reply, const struct address *asked)
{
	struct cluster *cluster = arg;
	bool was_known = cluster->members.known;
	size_t down;

	if (reply->kind == REPLY_ERROR) {
		scout_error(cluster, reply_text(reply, 0));
		return false;
	}
	if (!members_read(&cluster->members, reply, asked)) {
		scout_trouble(cluster, FAULT_CLUSTER,
		    "the node asked knows of no slots that are served");
		return false;
	}
	if (!was_known)
		log_info("redis", "%s: a Cluster of %zu masters", cluster->url.shown,
		    members_count(&cluster->members, &down));
	cluster->fault = FAULT_DISCONNECTED;
	cluster->why[0] = '\0';
	cluster_greet_new(cluster);
	if (members_count(&cluster->members, &down) > 0 && down > 0)
		scout_hurry(cluster->scout);
	return true;
}

static const struct scout_ops scout_events = { scout_address, scout_answer,
	scout_trouble };

/* --- the contract --------------------------------------------------------------- */

static void
cluster_take(struct store *store, struct take *take)
{
	struct cluster *cluster = self(store);

	take->moves = 0;
	if (LIKELY(span_slot(take) >= 0))
		cluster_send_take(cluster, take);
	else
		span_take(cluster, take);
}

/* A take with parts cannot stand: the parts that were taken have been given back by now. */
static void
cluster_stand(struct store *store, struct take *take)
{
	(void)store;
	node_stand(take);
}

static void
cluster_settle(struct store *store, struct settle *settle)
{
	settle->moves = 0;
	settle->parts_done = false;
	cluster_send_settle(self(store), settle);
}

static void
cluster_reset(struct store *store, struct reset *reset)
{
	reset->moves = 0;
	cluster_split_reset(self(store), reset, false);
}

/* Not if one node's large call would have to wait for another's small one. */
static bool
cluster_wants_more(struct store *store)
{
	const struct members *members = &self(store)->members;
	bool wants = false;

	for (size_t i = 0; i < members->n; i++) {
		const struct node *node = members->at[i]->node;

		if (node_wants_more(node))
			wants = true;
		else if (node_may_send(node))
			return false;
	}
	return wants;
}

static void
cluster_flush(struct store *store)
{
	struct members *members = &self(store)->members;

	for (size_t i = 0; i < members->n; i++)
		node_flush(members->at[i]->node);
}

static bool
cluster_ready(struct store *store, struct errinfo *why)
{
	return cluster_serves(self(store), why);
}

static void
cluster_close(struct store *store)
{
	struct cluster *cluster = self(store);

	cluster->closing = true;
	scout_free(cluster->scout);
	cluster->scout = NULL;
	members_fini(&cluster->members);
	cluster_wake_all(cluster);
	loop_timer_free(cluster->timer);
	loop_timer_free(cluster->look_timer);
	deny_cache_free(cluster->shared.denials);
	explicit_bzero(&cluster->url, sizeof(cluster->url));
	free(cluster);
}

static const struct store_ops cluster_ops = {
	.name = "redis",
	.take = cluster_take,
	.settle = cluster_settle,
	.reset = cluster_reset,
	.stand = cluster_stand,
	.wants_more = cluster_wants_more,
	.flush = cluster_flush,
	.ready = cluster_ready,
	.close = cluster_close,
};

static bool
open_parts(struct cluster *cluster, const struct redis_store_options *options)
{
	struct node_shared *shared = &cluster->shared;

	if (options->deny_cache_ms > 0) {
		shared->epoch = options->denials;
		shared->denials = deny_cache_new(options->deny_cache_ms, shared->epoch);
		if (!shared->denials)
			return false;
	}
	cluster->timer = loop_timer_new(shared->loop, cluster_on_timer, cluster);
	cluster->look_timer = loop_timer_new(shared->loop, cluster_on_look, cluster);
	if (cluster->look_timer)
		cluster_on_look(cluster);
	if (cluster->timer && cluster->look_timer)
		cluster->scout = scout_new(shared, &scout_events, cluster);
	return cluster->scout != NULL;
}

struct store *
cluster_store_new(struct loop *loop, const struct redis_store_options *options,
    struct metric_cells *cells)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));

	if (!cluster)
		return NULL;
	cluster->store.ops = &cluster_ops;
	cluster->store.cells = cells;
	cluster->url = options->url;
	cluster->timer_us = INT64_MAX;
	cluster->fault = FAULT_DISCONNECTED;
	snprintf(cluster->why, sizeof(cluster->why), "no node has answered yet");
	cluster->shared = (struct node_shared){
		.loop = loop,
		.store = &cluster->store,
		.url = &cluster->url,
		.tls = options->tls,
		.waiting_max =
		    options->waiting_max ? options->waiting_max : REDIS_WAITING_DEFAULT,
	};
	cluster->members.shared = &cluster->shared;
	cluster->members.ops = &node_events;
	cluster->members.arg = cluster;
	if (!open_parts(cluster, options)) {
		cluster_close(&cluster->store);
		return NULL;
	}
	return &cluster->store;
}
