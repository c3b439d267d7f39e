/* SPDX-License-Identifier: ISC */
#include "redis/members.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

/* How long after it was last named an idle node is freed. */
#define FORGET_US INT64_C(3000000)

static void
member_free(struct member *member)
{
	node_free(member->node);
	free(member);
}

void
members_fini(struct members *members)
{
	/* What ends with one node may turn to others: so they are freed only after all have
	 * ended. */
	memset(members->table, 0, sizeof(members->table));
	while (members->n > 0)
		member_free(members->at[--members->n]);
}

static struct member *
member_new(struct members *members, const struct address *address)
{
	struct member *member;

	if (members->n == MEMBERS_MAX)
		return NULL;
	member = calloc(1, sizeof(*member));
	if (!member)
		return NULL;
	member->node = node_new(members->shared, address, members->ops, members->arg);
	if (!member->node) {
		free(member);
		return NULL;
	}
	log_debug("redis", "Cluster: node %s", address->text);
	member->of = members;
	member->born_us = clock_mono_us();
	members->at[members->n++] = member;
	return member;
}

struct member *
members_get(struct members *members, const struct address *address)
{
	struct member *member = NULL;

	for (size_t i = 0; i < members->n && !member; i++)
		if (strcmp(node_address(members->at[i]->node)->text, address->text) ==
		    0)
			member = members->at[i];
	if (!member)
		member = member_new(members, address);
	if (member)
		member->named_us = clock_mono_us();
	return member;
}

void
members_set_slot(struct members *members, unsigned slot, struct member *member)
{
	if (members->table[slot])
		members->table[slot]->slots--;
	members->table[slot] = member;
	if (member)
		member->slots++;
	members_set_moving(members, slot, false);
}

void
members_set_moving(struct members *members, unsigned slot, bool moving)
{
	uint8_t bit = (uint8_t)(1u << slot % 8);

	if (moving)
		members->moving[slot / 8] |= bit;
	else
		members->moving[slot / 8] &= (uint8_t)~bit;
}

/* Whether nobody sends anything there any more, and nothing is under way. */
static void
forget(struct members *members)
{
	int64_t now_us = clock_mono_us();

	for (size_t i = 0; i < members->n;) {
		struct member *member = members->at[i];

		if (member->slots > 0 || now_us - member->named_us < FORGET_US ||
		    !node_is_idle(member->node)) {
			i++;
			continue;
		}
		log_debug("redis", "Cluster: node %s is forgotten",
		    node_address(member->node)->text);
		members->at[i] = members->at[--members->n];
		member_free(member);
	}
}

static void
count_range(void *arg, unsigned first, unsigned last, const struct address *master)
{
	size_t *n = arg;

	(void)master;
	*n += last - first + 1;
}

static void
set_range(void *arg, unsigned first, unsigned last, const struct address *master)
{
	struct members *members = arg;
	struct member *member = members_get(members, master);

	for (unsigned slot = first; slot <= last; slot++)
		members_set_slot(members, slot, member);
}

bool
members_read(
    struct members *members, const struct reply *reply, const struct address *asked)
{
	size_t n = 0;

	if (!slots_parse(reply, asked, count_range, &n) || n == 0)
		return false;
	for (unsigned slot = 0; slot < SLOTS; slot++)
		members_set_slot(members, slot, NULL);
	if (!slots_parse(reply, asked, set_range, members))
		return false; /* it was one a moment ago */
	members->known = true;
	forget(members);
	return true;
}

size_t
members_count(const struct members *members, size_t *down)
{
	size_t n = 0;

	*down = 0;
	for (size_t i = 0; i < members->n; i++) {
		if (members->at[i]->slots == 0)
			continue;
		n++;
		*down += !node_ready(members->at[i]->node);
	}
	return n;
}
