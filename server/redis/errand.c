/* SPDX-License-Identifier: ISC */
/* Gives back what late checks of a Cluster were charged, by a command that follows its
 * slot. It is sent again only after a node refused it unread. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "redis/cluster_inner.h"
#include "redis/fault.h"

/* How long it is tried, which is usually longer than a slot takes to move; and how many
 * there may be. */
#define GIVE_UP_US INT64_C(60000000)
#define ERRANDS_MAX 16384

static void
errand_free(struct errand *errand)
{
	errand->cluster->n_errands--;
	buf_fini(&errand->command);
	free(errand);
}

static void
park(struct errand *errand)
{
	if (clock_mono_us() < errand->give_up_us &&
	    cluster_park(errand->cluster, PARKED_ERRAND, errand, errand->moves,
		errand->give_up_us))
		return;
	if (!errand->cluster->closing)
		log_warn(
		    "redis", "could not give back late charges: no node takes them");
	errand_free(errand);
}

static void on_done(void *arg, const struct reply *reply);

static void
send_to(struct errand *errand, struct member *member, uint32_t lane)
{
	if (!member ||
	    !node_call(
		member->node, lane, buf_slice(&errand->command), on_done, errand))
		park(errand);
}

static void
follow(struct errand *errand, struct member *from, struct slice text)
{
	struct cluster *cluster = errand->cluster;
	struct redirect where;
	enum store_fault fault;
	uint32_t lane;

	if (from && redirect_parse(text, node_address(from->node), &where)) {
		struct member *to = cluster_follow(
		    cluster, &where, errand->slot, errand->moves++, &lane);

		send_to(errand, to, lane);
		return;
	}
	errand->moves++;
	fault = redis_fault_of(text);
	if (fault == FAULT_CLUSTER || fault == FAULT_BUSY) {
		park(errand);
		return;
	}
	log_warn("redis", "could not give back late charges: %.*s", SLICE_ARG(text));
	errand_free(errand);
}

static void
on_done(void *arg, const struct reply *reply)
{
	struct errand *errand = arg;
	struct cluster *cluster = errand->cluster;
	struct member *member = cluster->members.table[errand->slot];

	if (cluster->shared.epoch)
		deny_epoch_end(cluster->shared.epoch);
	if (reply && reply->kind == REPLY_ERROR) {
		follow(errand, member, reply_text(reply, 0));
		return;
	}
	if (reply && reply->kind == REPLY_INT)
		metric_add(cluster->store.cells, METRIC_STORE_GIVEN_BACK,
		    reply->values[0].number);
	errand_free(errand); /* a lost one may have run: it is not sent again */
}

void
errand_send(struct errand *errand)
{
	struct cluster *cluster = errand->cluster;

	send_to(errand, cluster->members.table[errand->slot], 0);
}

void
errand_start(struct cluster *cluster, unsigned slot, struct slice command)
{
	struct errand *errand =
	    cluster->n_errands < ERRANDS_MAX ? calloc(1, sizeof(*errand)) : NULL;

	if (!errand) {
		log_warn("redis", "could not give back late charges: too many wait");
		return;
	}
	errand->cluster = cluster;
	errand->slot = slot;
	errand->give_up_us = clock_mono_us() + GIVE_UP_US;
	cluster->n_errands++;
	buf_add_slice(&errand->command, command);
	if (errand->command.failed)
		errand_free(errand);
	else
		errand_send(errand);
}
