/* SPDX-License-Identifier: ISC */
/* Whether the masters of a Cluster serve, found out even while nobody asks for anything. A
 * connection says little: a master that knows the Cluster to be down, or is cut off from
 * the others, refuses only commands with keys, and a frozen one refuses nothing. So each
 * is asked how it is (CLUSTER INFO), on the connection that its checks use. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/num.h"
#include "redis/cluster_inner.h"
#include "redis/fault.h"

#define LOOK_US INT64_C(1000000)
#define LOOK_SOON_US INT64_C(250000) /* while anything is wrong or overdue */
#define PATIENCE_US INT64_C(1000000)
/* How many looks must find an answer overdue before the node is blamed: the first look of a
 * daemon that was itself frozen would blame everybody. */
#define LOOKS_MIN 2

static bool
serves(const struct member *member)
{
	return member->health == MEMBER_SERVES && node_ready(member->node);
}

/* --- what a node answers -------------------------------------------------------- */

static int64_t
info_number(struct slice info, const char *name)
{
	int64_t n = 0;

	return num_parse(reply_info_value(info, name), &n) < 0 ? 0 : n;
}

static void
explain_fail(struct slice info, char *to, size_t size)
{
	int64_t assigned = info_number(info, "cluster_slots_assigned");
	int64_t lost = info_number(info, "cluster_slots_pfail") +
	    info_number(info, "cluster_slots_fail");

	if (lost > 0)
		snprintf(to, size,
		    "cluster_state:fail, the masters of %" PRId64 " slots are lost to "
		    "it: start them, or promote replicas (CLUSTER FAILOVER TAKEOVER)",
		    lost);
	else if (assigned < SLOTS)
		snprintf(to, size,
		    "cluster_state:fail, %" PRId64
		    " slots are assigned to no node: redis-cli --cluster fix",
		    SLOTS - assigned);
	else
		snprintf(to, size,
		    "cluster_state:fail, it reaches too few masters, or has only "
		    "just begun to");
}

/* If our user may not ask, that is logged once, and the node is taken to serve. */
static void
tell_unasked(struct cluster *cluster, struct slice text)
{
	if (cluster->told_unasked)
		return;
	cluster->told_unasked = true;
	log_warn("redis",
	    "%s: CLUSTER INFO: %.*s; a Cluster that is down is noticed only when "
	    "checks fail; the user needs +cluster|info",
	    cluster->url.shown, SLICE_ARG(text));
}

static enum member_health
judge_error(struct cluster *cluster, struct slice text, char trouble[TAKE_DETAIL_MAX])
{
	enum store_fault fault = redis_fault_of(text);

	snprintf(trouble, TAKE_DETAIL_MAX, "%.*s", SLICE_ARG(text));
	if (redis_fault_is_general(fault))
		return MEMBER_FAILS;
	tell_unasked(cluster, text);
	return MEMBER_SERVES;
}

static void
set_health(struct member *member, enum member_health health)
{
	const char *where = node_address(member->node)->text;

	member->health = health;
	if (health == MEMBER_FAILS && !member->told)
		log_warn(
		    "redis", "Cluster: %s does not serve: %s", where, member->trouble);
	else if (health == MEMBER_SERVES && member->told)
		log_info("redis", "Cluster: %s serves again", where);
	if (health != MEMBER_UNKNOWN)
		member->told = health == MEMBER_FAILS;
}

static void
on_info(void *arg, const struct reply *reply)
{
	struct member *member = arg;
	struct slice text;

	member->asking = false;
	if (!reply) {
		set_health(member, MEMBER_UNKNOWN);
		return;
	}
	text = reply_text(reply, 0);
	if (reply->kind == REPLY_ERROR) {
		set_health(member, judge_error(member->of->arg, text, member->trouble));
	} else if (slice_eq_str(reply_info_value(text, "cluster_state"), "fail")) {
		explain_fail(text, member->trouble, sizeof(member->trouble));
		set_health(member, MEMBER_FAILS);
	} else {
		set_health(member, MEMBER_SERVES);
	}
}

/* --- when it is asked ----------------------------------------------------------- */

static void
ask(struct member *member)
{
	static const char words[] = "*2\r\n$7\r\nCLUSTER\r\n$4\r\nINFO\r\n";

	member->looks = 0;
	member->asking = true;
	member->asked_us = clock_mono_us();
	/* False: it is not connected to, or has just been dropped. */
	if (!node_call(member->node, 0, slice_str(words), on_info, member))
		member->asking = false;
}

static void
look_at(struct member *member)
{
	int64_t owed_us = clock_mono_us() - member->asked_us;

	if (!member->asking) {
		ask(member);
	} else if (++member->looks < LOOKS_MIN) {
		return;
	} else if (owed_us >= LINK_STALL_US) {
		node_give_up(member->node, "no answer to CLUSTER INFO for 3 s");
	} else if (owed_us >= PATIENCE_US) {
		snprintf(member->trouble, sizeof(member->trouble),
		    "no answer to CLUSTER INFO for a second");
		set_health(member, MEMBER_FAILS);
	}
}

static void
arm(struct cluster *cluster, int64_t delay_us)
{
	cluster->look_us = clock_mono_us() + delay_us;
	loop_timer_set(cluster->look_timer, delay_us);
}

void
cluster_on_look(void *arg)
{
	struct cluster *cluster = arg;
	struct members *members = &cluster->members;
	bool soon = members->n == 0;

	for (size_t i = 0; i < members->n; i++) {
		if (members->at[i]->slots == 0)
			continue;
		look_at(members->at[i]);
		soon |= members->at[i]->looks > 0 || !serves(members->at[i]);
	}
	/* So that not all daemons ask at once. */
	arm(cluster,
	    soon ? LOOK_SOON_US : LOOK_US / 2 + hash_random((uint32_t)LOOK_US / 2));
}

void
cluster_look_soon(struct cluster *cluster)
{
	struct members *members = &cluster->members;

	if (cluster->closing || !cluster->look_timer)
		return;
	for (size_t i = 0; i < members->n; i++)
		if (!node_ready(members->at[i]->node))
			set_health(members->at[i], MEMBER_UNKNOWN);
	if (cluster->look_us > clock_mono_us() + LOOK_SOON_US)
		arm(cluster, LOOK_SOON_US);
}

void
cluster_greet_new(struct cluster *cluster)
{
	struct members *members = &cluster->members;

	for (size_t i = 0; i < members->n; i++)
		if (members->at[i]->health == MEMBER_UNKNOWN && !members->at[i]->asking)
			ask(members->at[i]);
}

/* --- what is reported ----------------------------------------------------------- */

static void
add_reason(struct buf *out, const struct member *member)
{
	const char *text = member->trouble;

	if (!node_ready(member->node))
		node_fault(member->node, &text);
	else if (member->health == MEMBER_UNKNOWN)
		text = "it has not said yet whether it serves";
	buf_printf(out, "; %s: %s", node_address(member->node)->text, text);
}

/* The first node that cannot be asked, and the first that says why it does not serve: one
 * is often the cause of the other. */
static void
add_reasons(struct buf *out, const struct members *members)
{
	bool told[2] = { false, false };

	for (size_t i = 0; i < members->n; i++) {
		const struct member *member = members->at[i];
		bool speaks = node_ready(member->node);

		if (member->slots == 0 || serves(member) || told[speaks])
			continue;
		told[speaks] = true;
		add_reason(out, member);
	}
}

static void
explain(const struct cluster *cluster, size_t n_up, size_t served, struct errinfo *why)
{
	const struct members *members = &cluster->members;
	struct buf text = { 0 };
	size_t known = 0;
	size_t n = 0;

	for (size_t i = 0; i < members->n; i++) {
		known += members->at[i]->slots;
		n += members->at[i]->slots > 0;
	}
	if (n == 0)
		buf_printf(
		    &text, "the Cluster's slots are not known: %s", cluster->why);
	else if (n_up == 0)
		buf_printf(&text, "none of the Cluster's %zu masters serves", n);
	else
		buf_printf(&text,
		    "%zu of the Cluster's %d slots are not served, and checks of "
		    "counters in them fail",
		    SLOTS - served, SLOTS);
	add_reasons(&text, members);
	if (n > 0 && known < SLOTS)
		buf_printf(&text,
		    "; %zu are assigned to no node: redis-cli --cluster fix",
		    SLOTS - known);
	err_set(why, ERR_UNAVAILABLE, "%.*s", SLICE_ARG(buf_slice(&text)));
	buf_fini(&text);
}

bool
cluster_serves(const struct cluster *cluster, struct errinfo *why)
{
	const struct members *members = &cluster->members;
	size_t n_up = 0;
	size_t served = 0;

	for (size_t i = 0; i < members->n; i++) {
		if (members->at[i]->slots == 0 || !serves(members->at[i]))
			continue;
		n_up++;
		served += members->at[i]->slots;
	}
	if (why && served < SLOTS)
		explain(cluster, n_up, served, why);
	return n_up > 0;
}
