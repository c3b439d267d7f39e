/* SPDX-License-Identifier: ISC */
/* What a node's replies mean for those who wait for them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "redis/fault.h"
#include "redis/late.h"
#include "redis/node_inner.h"
#include "redis/script.h"

/* The same fault of script calls is logged at most this often. */
#define TELL_AGAIN_US INT64_C(60000000)

struct batch *
node_ring_pop(struct node *node)
{
	struct batch *batch = node_ring_at(node, 0);

	node->head = (node->head + 1) % node->cap;
	node->n--;
	return batch;
}

/* An EVAL that gives back, kept until the server has answered it. */
struct returning {
	struct node *node;
	struct buf eval;
	SLIST_ENTRY(returning) link; /* while it is put off */
};

static void
returning_free(struct returning *r)
{
	buf_fini(&r->eval);
	free(r);
}

static void on_given_back(void *arg, const struct reply *reply);

static bool
is_noscript(const struct reply *reply)
{
	return reply && reply->kind == REPLY_ERROR &&
	    redis_fault_is_noscript(reply_text(reply, 0));
}

/* A server that is BUSY has refused it before it ran, and will take it when it is no longer.
 * One that is LOADING is another matter: it may have lost what was charged. */
static bool
is_busy(const struct reply *reply)
{
	return reply && reply->kind == REPLY_ERROR &&
	    redis_fault_of(reply_text(reply, 0)) == FAULT_BUSY;
}

/* The server may not have the script yet, so it may have to be sent in full. Fails only if
 * the link was dropped, which the link reports by itself. */
static void
give_back(struct returning *r, bool by_sha)
{
	struct link *link = r->node->link;

	if (by_sha)
		give_back_by_sha(buf_slice(&r->eval), link_out(link));
	else
		buf_add_slice(link_out(link), buf_slice(&r->eval));
	if (link_expect(link, on_given_back, r) < 0)
		returning_free(r);
}

static void
on_given_back(void *arg, const struct reply *reply)
{
	struct returning *r = arg;
	struct node *node = r->node;

	node_forget_denials(node);
	if (is_noscript(reply) && link_ready(node->link)) {
		give_back(r, false);
		return;
	}
	if (is_busy(reply) && link_ready(node->link)) {
		SLIST_INSERT_HEAD(&node->put_off, r, link);
		return;
	}
	returning_free(r);
	if (reply && reply->kind == REPLY_INT)
		metric_add(
		    node_cells(node), METRIC_STORE_GIVEN_BACK, reply->values[0].number);
	else if (reply)
		log_warn("redis", "could not give back late charges: %.*s",
		    SLICE_ARG(reply_text(reply, 0)));
}

static struct returning *
take_put_off(struct node *node)
{
	struct returning *r = SLIST_FIRST(&node->put_off);

	if (r)
		SLIST_REMOVE_HEAD(&node->put_off, link);
	return r;
}

/* The server has just run a call. */
static void
give_back_put_off(struct node *node)
{
	struct returning *r;

	while ((r = take_put_off(node)))
		give_back(r, true);
}

void
node_drop_put_off(struct node *node)
{
	struct returning *r;

	if (!SLIST_EMPTY(&node->put_off))
		log_warn("redis", "could not give back late charges: connection lost");
	while ((r = take_put_off(node)))
		returning_free(r);
}

static void
handle_late(struct node *node)
{
	struct returning *r;

	metric_add(node_cells(node), METRIC_STORE_LATE, (int64_t)node->outcome.late);
	metric_add(node_cells(node), METRIC_STORE_STOOD, (int64_t)node->outcome.stood);
	if (node->outcome.give_back.len == 0 || !link_ready(node->link))
		return;
	r = calloc(1, sizeof(*r));
	if (!r)
		return;
	r->node = node;
	r->eval = node->outcome.give_back;
	node->outcome.give_back = (struct buf){ 0 };
	give_back(r, true);
}

void
node_on_late(void *arg, struct slice command)
{
	struct node *node = arg;

	node->ops->on_late(node->arg, node->lane, command);
}

/* Logs what went wrong with a call, for people who can mend it. */
void
node_tell_fault(struct node *node, enum store_fault fault, const char *detail)
{
	int64_t now_us = clock_mono_us();

	if (node->shared->told_us[fault] &&
	    now_us - node->shared->told_us[fault] < TELL_AGAIN_US)
		return;
	node->shared->told_us[fault] = now_us;
	if (fault == FAULT_CONFIG)
		log_error("redis", "%s: %s", store_fault_table[fault].phrase, detail);
	else
		log_warn("redis", "%s: %s", store_fault_table[fault].phrase, detail);
}

static void
note_failure(struct node *node, const char *detail)
{
	if (!breaker_on_failure(
		&node->breaker, clock_mono_us(), hash_random(UINT32_MAX)))
		return;
	snprintf(node->trouble, sizeof(node->trouble), "%s", detail);
	metric_add(node_cells(node), METRIC_STORE_BREAKER_OPENED, 1);
	node_arm(node, breaker_rest_us(&node->breaker));
	if (node->breaker.pause_us == BREAKER_PAUSE_FIRST_US)
		node_log_breaker(
		    node, "its calls keep failing: asked now and then only");
}

static void
note_success(struct node *node)
{
	if (breaker_on_success(&node->breaker))
		log_info("redis", "%s: answers again", link_shown(node->link));
}

/* The script is not there (SCRIPT FLUSH, a restart behind a proxy). Nothing ran, so the
 * call is made again after a SCRIPT LOAD, one for all calls of a flight. */
static void
send_again(struct node *node, struct batch *batch)
{
	bool load = batch_moment(batch)->sent_us >= node->loaded_us;
	struct admission_note *note = batch_note(batch);

	note_success(node);    /* else nothing more is asked if all its takes left */
	batch_regather(batch); /* else a take that joins it now would be lost */
	admission_leave(&node->admission, note, (size_t)note->own - batch_live(batch));
	gather_push(&node->gather, batch);
	if (load) {
		node->loaded_us = clock_mono_us() + 1;
		if (link_load_take(node->link) < 0)
			return;
	}
	node_send(node);
}

static void
fail_batch(struct node *node, struct batch *batch, struct slice text)
{
	enum store_fault fault = redis_fault_of(text);
	char detail[TAKE_DETAIL_MAX];

	snprintf(detail, sizeof(detail), "%.*s", SLICE_ARG(text));
	node->shared->waiting -= batch_live(batch);
	batch_fail(batch, node->shared->store, fault, detail);
	gather_put(&node->gather, batch);
	node_tell_fault(node, fault, detail);
	note_failure(node, detail);
	if (fault == FAULT_CLUSTER && node->ops->on_cluster_down)
		node->ops->on_cluster_down(node->arg);
	/* A master that became a replica: the greeting finds out, and waits. */
	if (fault == FAULT_READONLY)
		link_drop(node->link, fault, detail);
}

/* These are asked again, now that it is known what Redis's clock shows. */
static void
gather_again(struct node *node, struct take *again)
{
	while (again) {
		struct take *take = again;

		again = take->next;
		node_gather(node, take, node->lane);
	}
}

/* Whether the call was refused because its keys are on another node; if so, its takes go
 * back to the owner. */
static bool
redirected(struct node *node, struct batch *batch, struct slice text)
{
	struct redirect where;
	struct refused refused = { 0 };

	if (!node->ops->on_refused || !redirect_parse(text, node_address(node), &where))
		return false;
	note_success(node); /* it is alive */
	node->shared->waiting -= batch_live(batch);
	refused.takes = batch_take_back(batch);
	gather_put(&node->gather, batch);
	node->ops->on_refused(node->arg, &refused, &where);
	return true;
}

/* Keys moved away while the script ran; nothing of these takes was charged. */
static void
hand_astray(struct node *node, struct take *takes)
{
	const struct redirect where = { .kind = REDIRECT_TRYAGAIN, .slot = -1 };
	const struct refused refused = { .takes = takes };

	if (takes && node->ops->on_refused)
		node->ops->on_refused(node->arg, &refused, &where);
	while (takes && !node->ops->on_refused) {
		struct take *take = takes;

		takes = take->next;
		store_fail(node->shared->store, take, FAULT_MOVED, NULL);
	}
}

static void
apply_reply(struct node *node, struct batch *batch, const struct reply *reply)
{
	struct batch_outcome *outcome = &node->outcome;

	note_success(node);
	node->shared->waiting -= batch_live(batch);
	outcome->answered_us = node->progress_us;
	if (batch_apply(batch, reply, node->shared->store, outcome) < 0)
		link_drop(node->link, FAULT_OTHER, "a script's answer made no sense");
	gather_put(&node->gather, batch);
	gather_again(node, outcome->again);
	hand_astray(node, outcome->astray);
	if (outcome->fault != FAULT_NONE)
		node_tell_fault(node, outcome->fault, outcome->detail);
	handle_late(node);
	give_back_put_off(node);
	if (outcome->fault == FAULT_READONLY)
		link_drop(node->link, FAULT_READONLY, outcome->detail);
	else if (outcome->now_us)
		link_prove(node->link);
}

static void
note_answered(struct node *node, size_t takes)
{
	uint64_t turn = loop_turn(node->shared->loop);

	if (node->answered_turn != turn)
		node->answered = 0;
	node->answered_turn = turn;
	node->answered += takes;
}

void
node_on_reply(void *arg, const struct reply *reply)
{
	struct node *node = arg;
	struct batch *batch;

	if (!reply)
		return; /* on_down fails all batches at once */
	node->progress_us = clock_mono_us();
	node_drop_relief(node);
	batch = node_ring_pop(node);
	note_answered(node, batch_live(batch));
	node->lane = gather_lane(batch);
	pace_on_reply(
	    &node->pace, batch_call(batch), batch_began_us(reply), node->progress_us);
	if (is_noscript(reply))
		admission_on_unsent(&node->admission, batch_note(batch));
	else
		admission_on_answer(
		    &node->admission, batch_note(batch), node->progress_us);
	if (reply->kind != REPLY_ERROR)
		apply_reply(node, batch, reply);
	else if (is_noscript(reply))
		send_again(node, batch);
	else if (!redirected(node, batch, reply_text(reply, 0)))
		fail_batch(node, batch, reply_text(reply, 0));
}
