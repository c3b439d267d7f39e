/* SPDX-License-Identifier: ISC */
#include "redis/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "redis/batch.h"
#include "redis/breaker.h"
#include "redis/fault.h"
#include "redis/late.h"
#include "redis/link.h"
#include "redis/pace.h"
#include "redis/trip.h"

/* A flight is what leaves in one write: one call, or, over a Cluster, many small ones of
 * as many slots. It has no more than one call where that has so many keys. */
#define FLIGHT_KEYS_MAX BATCH_CHECKS_MAX
/* Calls that nobody waits for any more, unanswered for so long: the server is silent. */
#define SILENCE_US INT64_C(250000)
/* The same fault of script calls is logged so often at most. */
#define TELL_AGAIN_US INT64_C(60000000)

struct node {
	struct node_shared *shared;
	const struct node_ops *ops;
	void *arg;
	struct link *link;
	/* Where the link owes replies for long nobody can tell a frozen server, which
	 * will give them, from a lost connection, which never will. So another one is
	 * made beside it, and takes its place if it gets through first. */
	struct link *relief; /* NULL: none is wanted */
	struct trips *trips; /* settlements and resets */
	struct pace pace;
	struct admission admission;
	struct breaker breaker;
	char trouble[TAKE_DETAIL_MAX]; /* why the breaker is not closed */
	struct gather gather;
	struct batch **ring; /* calls in flight, in the order of sending */
	size_t head, n, cap;
	int64_t loaded_us;        /* when the script was last sent again */
	struct loop_timer *timer; /* the earliest deadline */
	int64_t timer_us;         /* when it will fire; INT64_MAX: not armed */
	int64_t progress_us;      /* when a reply last came, or the first call went */
	struct batch_outcome outcome;
	uint32_t lane;        /* of the reply that is being read */
	struct take *expired; /* takes that left, before they are told */
};

static struct metric_cells *
cells_of(const struct node *node)
{
	return node->shared->store->cells;
}

static struct batch *
ring_at(const struct node *node, size_t i)
{
	return node->ring[(node->head + i) % node->cap];
}

/* --- calls in flight ---------------------------------------------------------- */

static bool
ring_grow(struct node *node)
{
	size_t cap = node->cap ? node->cap * 2 : 8;
	struct batch **ring = malloc(cap * sizeof(*ring));

	if (!ring)
		return false;
	for (size_t i = 0; i < node->n; i++)
		ring[i] = ring_at(node, i);
	free(node->ring);
	node->ring = ring;
	node->cap = cap;
	node->head = 0;
	return true;
}

static bool
ring_push(struct node *node, struct batch *batch)
{
	if (node->n == node->cap && !ring_grow(node))
		return false;
	node->ring[(node->head + node->n++) % node->cap] = batch;
	return true;
}

static struct batch *
ring_pop(struct node *node)
{
	struct batch *batch = ring_at(node, 0);

	node->head = (node->head + 1) % node->cap;
	node->n--;
	return batch;
}

/* --- deadlines ---------------------------------------------------------------- */

static void
arm(struct node *node, int64_t deadline_us)
{
	int64_t delay;

	if (deadline_us >= node->timer_us)
		return;
	node->timer_us = deadline_us;
	delay = deadline_us - clock_mono_us();
	loop_timer_set(node->timer, delay > 0 ? delay : 0);
}

static void
keep_expired(void *arg, struct take *take)
{
	struct node *node = arg;

	take->next = node->expired;
	node->expired = take;
}

/* Told only after all batches were gone through: done may start other takes. */
static void
tell_expired(struct node *node)
{
	while (node->expired) {
		struct take *take = node->expired;

		node->expired = take->next;
		node->shared->waiting--;
		late_tell(node->shared->store, take);
	}
}

/* Nothing comes, and nobody waits for what was sent first any more: a deadline may be
 * longer than the patience with a connection. */
static bool
is_stalled(const struct node *node, int64_t now_us)
{
	return node->n > 0 && batch_live(ring_at(node, 0)) == 0 &&
	    now_us - node->progress_us > LINK_STALL_US;
}

static const struct link_ops link_events;

static void
set_link_options(
    struct node *node, struct link_options *options, const struct address *address)
{
	*options = (struct link_options){
		.loop = node->shared->loop,
		.url = node->shared->url,
		.tls = node->shared->tls,
		.address = address,
		.ops = &link_events,
		.arg = node,
		.cells = cells_of(node),
	};
}

static void
log_breaker(struct node *node, const char *state)
{
	log_warn("redis", "%s: %s (%s)", link_shown(node->link), state, node->trouble);
}

/* Not every late answer is a silence: what is asked meanwhile may still be in time. */
static void
tell_silence(struct node *node, int64_t now_us)
{
	if (node->n == 0 || batch_live(ring_at(node, 0)) > 0 ||
	    now_us - node->progress_us < SILENCE_US ||
	    !breaker_on_silence(&node->breaker))
		return;
	snprintf(node->trouble, sizeof(node->trouble), "no reply for %d ms",
	    (int)(SILENCE_US / 1000));
	metric_add(cells_of(node), METRIC_STORE_BREAKER_OPENED, 1);
	log_breaker(node, "silent: nothing is asked until it answers");
}

/* What the link owes has not come, and on the relief it would: it never will. */
static void
relieve(struct node *node)
{
	struct link *lost = node->link;
	struct link *relief = node->relief;

	node->relief = NULL;
	link_drop(lost, FAULT_TIMEOUT, "no reply for 3 s, but on a new connection");
	node->link = relief;
	trips_set_link(node->trips, relief);
	link_free(lost);
}

static void
seek_relief(struct node *node)
{
	struct link_options options;

	if (node->relief && link_ready(node->relief)) {
		relieve(node);
	} else if (!node->relief) {
		log_warn("redis", "%s: no reply for 3 s; trying another connection",
		    link_shown(node->link));
		set_link_options(node, &options, link_address(node->link));
		/* Without memory the next deadline tries again. */
		node->relief = link_new(&options);
	}
}

static void
drop_relief(struct node *node)
{
	link_free(node->relief);
	node->relief = NULL;
}

/* Returns the earliest deadline that is left. */
static int64_t
expire_all(struct node *node, int64_t now_us)
{
	int64_t earliest = INT64_MAX;
	int64_t next;
	size_t before;

	for (size_t i = 0; i < node->n; i++) {
		next = batch_expire(ring_at(node, i), now_us, keep_expired, node);
		if (next < earliest)
			earliest = next;
	}
	for (struct batch *b = gather_first(&node->gather); b; b = gather_next(b)) {
		before = batch_live(b);
		next = batch_expire(b, now_us, keep_expired, node);
		admission_leave(
		    &node->admission, batch_note(b), before - batch_live(b));
		if (next < earliest)
			earliest = next;
	}
	return earliest;
}

static void
on_deadline(void *arg)
{
	struct node *node = arg;
	int64_t now_us = clock_mono_us();
	int64_t earliest = expire_all(node, now_us);

	node->timer_us = INT64_MAX;
	/* Of what is under way the server has the work, whoever left. */
	if (node->n > 0)
		admission_on_wait(
		    &node->admission, batch_note(ring_at(node, 0)), now_us);
	tell_silence(node, now_us);
	if (is_stalled(node, now_us))
		seek_relief(node);
	else if (node->n > 0 && earliest > node->progress_us + LINK_STALL_US &&
	    node->progress_us + LINK_STALL_US > now_us)
		earliest = node->progress_us + LINK_STALL_US + 1;
	if (earliest != INT64_MAX)
		arm(node, earliest);
	tell_expired(node);
}

/* --- refusals that are remembered ------------------------------------------------ */

/* Counters were changed by other than charges. */
void
node_forget_denials(struct node *node)
{
	if (node->shared->epoch)
		deny_epoch_end(node->shared->epoch);
}

static bool
refuse_known(struct node *node, struct take *take)
{
	if (!node->shared->denials || deny_cache_is_empty(node->shared->denials) ||
	    !deny_cache_refuse(node->shared->denials, take, clock_mono_us()))
		return false;
	metric_add(cells_of(node), METRIC_DENY_CACHE_HITS, 1);
	take->done(take);
	return true;
}

/* --- sending and answers ------------------------------------------------------ */

static void on_reply(void *arg, const struct reply *reply);

static bool
is_asking(uint32_t lane)
{
	return lane & LANE_ASKING;
}

static void
on_asking(void *arg, const struct reply *reply)
{
	(void)arg;
	(void)reply;
}

/* Says that the next command is for a slot that is on its way to this node. */
static bool
send_asking(struct node *node)
{
	buf_add_str(link_out(node->link), "*1\r\n$6\r\nASKING\r\n");
	return link_expect(node->link, on_asking, NULL) == 0;
}

/* Sends the batch that gathers longest. On failure the link is dropped, and on_down()
 * has failed all batches. */
static bool
send_batch(struct node *node)
{
	struct batch *batch = gather_first(&node->gather);
	int64_t now_us = clock_mono_us();

	if (batch_live(batch) == 0) { /* all its takes had left */
		gather_put(&node->gather, gather_pop(&node->gather));
		return true;
	}
	if (is_asking(gather_lane(batch)) && !send_asking(node))
		return false;
	if (!ring_push(node, batch)) {
		link_drop(node->link, FAULT_OTHER, "out of memory");
		return false;
	}
	gather_pop(&node->gather);
	(void)batch_format(batch, link_take_sha(node->link),
	    now_us + node->outcome.ahead_us, link_out(node->link));
	batch_moment(batch)->sent_us = now_us;
	if (node->shared->epoch)
		batch_moment(batch)->epoch = deny_epoch_now(node->shared->epoch);
	pace_on_send(&node->pace, batch_call(batch), batch_keys(batch), now_us);
	admission_on_send(&node->admission, batch_note(batch), now_us);
	metric_add(cells_of(node), METRIC_STORE_BATCHES, 1);
	breaker_on_sent(&node->breaker);
	return link_expect(node->link, on_reply, node) == 0;
}

/* What the next flight has for Redis to do, in counters. */
static size_t
flight_keys(const struct node *node)
{
	struct batch *batch = gather_first(&node->gather);
	size_t keys = batch_keys(batch);

	while ((batch = gather_next(batch)) && keys < FLIGHT_KEYS_MAX)
		keys += PACE_CALL_KEYS + batch_keys(batch);
	return keys;
}

/* Sends as many batches as one flight has room for. False when the link was dropped. */
static bool
send_flight(struct node *node)
{
	size_t most = pace_keys_max(&node->pace);
	size_t keys = 0;
	struct batch *batch;

	if (most > FLIGHT_KEYS_MAX)
		most = FLIGHT_KEYS_MAX;
	if (node->n == 0)
		node->progress_us = clock_mono_us();
	while ((batch = gather_first(&node->gather))) {
		size_t more = batch_keys(batch);

		if (keys > 0 &&
		    (keys + PACE_CALL_KEYS + more > most ||
			!admission_may_send(&node->admission, batch_note(batch))))
			break;
		keys += PACE_CALL_KEYS + more;
		if (!send_batch(node))
			return false;
	}
	return true;
}

/* Whether another flight may leave. */
static bool
may_send(const struct node *node)
{
	if (!link_ready(node->link) || !gather_first(&node->gather))
		return false;
	return pace_allows(&node->pace, flight_keys(node)) &&
	    admission_may_send(
		&node->admission, batch_note(gather_first(&node->gather)));
}

static void
send_gathered(struct node *node)
{
	while (may_send(node))
		if (!send_flight(node))
			return;
}

/* What is being given back: kept until the server has done it. */
struct returning {
	struct node *node;
	struct buf eval;
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

/* The first of a server has to be told the script. Only a link that is dropped, and says
 * so, fails. */
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
	returning_free(r);
	if (reply && reply->kind == REPLY_INT)
		metric_add(
		    cells_of(node), METRIC_STORE_GIVEN_BACK, reply->values[0].number);
	else if (reply)
		log_warn("redis", "could not give back late charges: %.*s",
		    SLICE_ARG(reply_text(reply, 0)));
}

static void
handle_late(struct node *node)
{
	struct returning *r;

	metric_add(cells_of(node), METRIC_STORE_LATE, (int64_t)node->outcome.late);
	metric_add(cells_of(node), METRIC_STORE_STOOD, (int64_t)node->outcome.stood);
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

static void
on_late(void *arg, struct slice command)
{
	struct node *node = arg;

	node->ops->on_late(node->arg, node->lane, command);
}

/* The script is not there (SCRIPT FLUSH, a restart behind a proxy): nothing ran, so
 * the call is made again, behind a SCRIPT LOAD; many calls of a flight behind one. */
static void
send_again(struct node *node, struct batch *batch)
{
	bool load = batch_moment(batch)->sent_us >= node->loaded_us;

	batch_regather(batch); /* or a take that joins it now would be lost */
	gather_push(&node->gather, batch);
	if (load) {
		node->loaded_us = clock_mono_us() + 1;
		if (link_load_take(node->link) < 0)
			return;
	}
	send_gathered(node);
}

/* Says what went wrong with a call, for those who can mend it. */
static void
tell_fault(struct node *node, enum store_fault fault, const char *detail)
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
	metric_add(cells_of(node), METRIC_STORE_BREAKER_OPENED, 1);
	if (node->breaker.pause_us == BREAKER_PAUSE_FIRST_US)
		log_breaker(node, "its calls keep failing: asked now and then only");
}

static void
note_success(struct node *node)
{
	if (breaker_on_success(&node->breaker))
		log_info("redis", "%s: answers again", link_shown(node->link));
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
	tell_fault(node, fault, detail);
	note_failure(node, detail);
	if (fault == FAULT_CLUSTER && node->ops->on_cluster_down)
		node->ops->on_cluster_down(node->arg);
	/* A master that became a replica: the introduction finds out, and waits. */
	if (fault == FAULT_READONLY)
		link_drop(node->link, fault, detail);
}

/* So many counters a batch may have: a take has one at least. */
static size_t
keys_max(const struct node *node)
{
	size_t pace = pace_keys_max(&node->pace);
	size_t flight = admission_flight_max(&node->admission);

	return pace < flight ? pace : flight;
}

/* A take that is in no batch joins the one that gathers. */
static void
gather_take(struct node *node, struct take *take, uint32_t lane)
{
	int64_t now_us = loop_now_us(node->shared->loop);
	int64_t budget_us = take->deadline_us - now_us;
	struct admission *admission = &node->admission;
	struct batch *batch = NULL;

	if (node->shared->waiting < node->shared->waiting_max &&
	    admission_allows(admission, budget_us, now_us))
		batch = gather_for(&node->gather, lane, take, keys_max(node));
	if (!batch || batch_add(batch, take) < 0) {
		store_fail(node->shared->store, take, FAULT_OVERLOAD, NULL);
		return;
	}
	if (batch_live(batch) == 1)
		admission_begin(batch_note(batch), budget_us, now_us);
	admission_join(admission, batch_note(batch));
	node->shared->waiting++;
	arm(node, take->deadline_us);
}

/* By now it is known what Redis's clock shows. */
static void
gather_again(struct node *node, struct take *again)
{
	while (again) {
		struct take *take = again;

		again = take->next;
		gather_take(node, take, node->lane);
	}
}

/* Whether the call was refused since its keys are on another node; then its takes are
 * the owner's. */
static bool
redirected(struct node *node, struct batch *batch, struct slice text)
{
	struct redirect where;
	struct refused refused = { 0 };

	if (!node->ops->on_refused || !redirect_parse(text, node_address(node), &where))
		return false;
	note_success(node); /* it is alive, and knows better */
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
		tell_fault(node, outcome->fault, outcome->detail);
	handle_late(node);
	if (outcome->fault == FAULT_READONLY)
		link_drop(node->link, FAULT_READONLY, outcome->detail);
}

static void
on_reply(void *arg, const struct reply *reply)
{
	struct node *node = arg;
	struct batch *batch;

	if (!reply)
		return; /* on_down fails all batches at once */
	node->progress_us = clock_mono_us();
	drop_relief(node);
	batch = ring_pop(node);
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

static void
on_ready(void *arg)
{
	struct node *node = arg;

	if (node->relief && link_ready(node->relief)) {
		/* It may have been heard of meanwhile; then the relief waits. */
		if (clock_mono_us() - link_heard_us(node->link) < LINK_STALL_US)
			return;
		relieve(node);
	}
	breaker_close(&node->breaker);
	if (node->ops->on_up)
		node->ops->on_up(node->arg);
}

static void
on_missed(void *arg)
{
	struct node *node = arg;

	if (node->ops->on_missed)
		node->ops->on_missed(node->arg);
}

static void
fail_and_put(
    struct node *node, struct batch *batch, enum store_fault fault, const char *why)
{
	node->shared->waiting -= batch_live(batch);
	batch_fail(batch, node->shared->store, fault, why);
	gather_put(&node->gather, batch);
}

/* Done may start takes: they fail at once, since the link is not ready. */
static void
fail_all(struct node *node, enum store_fault fault, const char *why)
{
	while (node->n > 0)
		fail_and_put(node, ring_pop(node), fault, why);
	while (gather_first(&node->gather))
		fail_and_put(node, gather_pop(&node->gather), fault, why);
}

static void
on_down(void *arg)
{
	struct node *node = arg;
	const char *why;
	enum store_fault fault = link_fault(node->link, &why);

	if (link_ready(node->link))
		return; /* it is the relief that waited */
	drop_relief(node);
	for (size_t i = 0; i < node->n; i++)
		metric_add(cells_of(node), METRIC_STORE_LOST,
		    (int64_t)batch_asked(ring_at(node, i)));
	node_forget_denials(node); /* who knows what it will hold when it is back */
	pace_init(&node->pace);
	node->admission = (struct admission){ 0 };
	fail_all(node, fault, why);
	if (node->ops->on_down)
		node->ops->on_down(node->arg);
}

/* --- the contract ------------------------------------------------------------- */

enum store_fault
node_fault(const struct node *node, const char **text)
{
	if (!link_ready(node->link))
		return link_fault(node->link, text);
	if (text)
		*text = node->trouble;
	return FAULT_BREAKER;
}

/* Whether something can be asked now. */
static inline bool
is_open_to(struct node *node)
{
	return link_ready(node->link) &&
	    (breaker_is_closed(&node->breaker) ||
		breaker_admits(&node->breaker, clock_mono_us()));
}

void
node_take(struct node *node, struct take *take, uint32_t lane)
{
	const char *why;

	if (UNLIKELY(!is_open_to(node))) {
		enum store_fault fault = node_fault(node, &why);

		store_fail(node->shared->store, take, fault, why);
		return;
	}
	take->asked = 0;
	if (!refuse_known(node, take))
		gather_take(node, take, lane);
}

bool
node_call(struct node *node, uint32_t lane, struct slice command, link_reply_fn *fn,
    void *arg)
{
	if (!link_ready(node->link) || (is_asking(lane) && !send_asking(node)))
		return false;
	buf_add_slice(link_out(node->link), command);
	return link_expect(node->link, fn, arg) == 0;
}

bool
node_is_idle(const struct node *node)
{
	return node->n == 0 && !gather_first(&node->gather) &&
	    trips_are_idle(node->trips);
}

const struct address *
node_address(const struct node *node)
{
	return link_address(node->link);
}

void
node_stand(struct take *take)
{
	if (take->late)
		late_stand(take->late);
}

void
node_settle(struct node *node, struct settle *settle, uint32_t lane)
{
	const char *why;
	enum store_fault fault;

	if (is_open_to(node)) {
		trips_settle(node->trips, settle, is_asking(lane));
		return;
	}
	fault = node_fault(node, &why);
	store_fail_settle(node->shared->store, settle, fault, why);
}

void
node_reset(struct node *node, struct reset *reset, uint32_t lane)
{
	const char *why;
	enum store_fault fault;

	if (is_open_to(node)) {
		trips_reset(node->trips, reset, is_asking(lane));
		return;
	}
	fault = node_fault(node, &why);
	store_fail_reset(node->shared->store, reset, fault, why);
}

void
node_flush(struct node *node)
{
	send_gathered(node);
}

bool
node_ready(const struct node *node)
{
	return link_ready(node->link) && breaker_is_closed(&node->breaker);
}

void
node_move(struct node *node, const struct address *address)
{
	if (node->relief)
		link_move(node->relief, address);
	link_move(node->link, address);
}

void
node_explain(struct node *node, enum store_fault fault, const char *why)
{
	link_explain(node->link, fault, why);
}

static const struct link_ops link_events = { on_ready, on_down, on_missed };

/* --- birth and death ---------------------------------------------------------- */

static void
on_trip_made(void *arg)
{
	node_forget_denials(arg);
}

static void
on_trip_stalled(void *arg)
{
	seek_relief(arg);
}

static void
on_trip_fault(void *arg, enum store_fault fault, const char *detail)
{
	struct node *node = arg;

	tell_fault(node, fault, detail);
	if (fault == FAULT_READONLY)
		link_drop(node->link, fault, detail);
}

/* A redirected settlement or reset is the owner's again. */
static bool
on_trip_refused(
    void *arg, struct settle *settle, struct reset *reset, struct slice text)
{
	struct node *node = arg;
	struct redirect where;
	const struct refused refused = { .settle = settle, .reset = reset };

	if (!node->ops->on_refused || !redirect_parse(text, node_address(node), &where))
		return false;
	if (settle || reset)
		node->ops->on_refused(node->arg, &refused, &where);
	return true;
}

static void
on_trip_parts(void *arg, struct settle *settle, const struct record *record)
{
	struct node *node = arg;

	node->ops->on_parts(node->arg, settle, record);
}

static struct trips *
new_trips(struct node *node)
{
	struct trips_options options = {
		.loop = node->shared->loop,
		.store = node->shared->store,
		.link = node->link,
		.max = node->shared->waiting_max,
		.on_made = on_trip_made,
		.on_stalled = on_trip_stalled,
		.on_fault = on_trip_fault,
		.on_refused = on_trip_refused,
		.on_parts = node->ops->on_parts ? on_trip_parts : NULL,
		.arg = node,
	};

	return trips_new(&options);
}

static bool
open_parts(struct node *node, const struct address *address)
{
	struct link_options options;

	set_link_options(node, &options, address);
	node->timer = loop_timer_new(node->shared->loop, on_deadline, node);
	if (node->timer)
		node->link = link_new(&options);
	if (node->link)
		node->trips = new_trips(node);
	return node->trips != NULL;
}

struct node *
node_new(struct node_shared *shared, const struct address *address,
    const struct node_ops *ops, void *arg)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->shared = shared;
	node->ops = ops;
	node->arg = arg;
	node->timer_us = INT64_MAX;
	gather_init(&node->gather, &shared->twins);
	pace_init(&node->pace);
	node->outcome.denials = shared->denials;
	node->outcome.on_late = ops->on_late ? on_late : NULL;
	node->outcome.arg = node;
	node->outcome.ahead_us = clock_real_us() - clock_mono_us();
	if (!open_parts(node, address)) {
		node_free(node);
		return NULL;
	}
	return node;
}

void
node_free(struct node *node)
{
	if (!node)
		return;
	drop_relief(node);
	link_free(node->link);
	trips_free(node->trips);
	fail_all(node, FAULT_DISCONNECTED, "shutting down");
	gather_fini(&node->gather);
	loop_timer_free(node->timer);
	buf_fini(&node->outcome.give_back);
	free(node->ring);
	free(node);
}
