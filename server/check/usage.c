/* SPDX-License-Identifier: ISC */
/* How a grant's counters stand: their keys follow from the policy's limits. They are read
 * page by page, so that no call to the store is long. */
#include <stdlib.h>

#include "check/check_inner.h"
#include "check/decide.h"

#define PAGE 128 /* counters read at once */

/* One counter that is being read. */
struct question {
	struct counting *counting;
	struct usage_counter *counter;
	struct charge charge;
	struct take take;
};

struct counting {
	struct usage usage; /* what check_usage() returns */
	struct check *check;
	struct buf keys;
	int64_t deadline_us;
	size_t begin, n; /* this page: its place in usage.counters, and its size */
	size_t waiting;  /* how many of them are not answered yet */
	bool asking;     /* they are being handed to the store */
	struct question page[PAGE];
};

const struct usage *
check_usage(const struct check *check)
{
	return check->counting ? &check->counting->usage : NULL;
}

void
check_counting_free(struct counting *counting)
{
	if (!counting)
		return;
	buf_fini(&counting->keys);
	free(counting->usage.counters);
	free(counting);
}

static int
list_counters(
    struct counting *counting, const struct policy *policy, const struct call *call)
{
	struct usage *usage = &counting->usage;
	const char *at;
	size_t n;
	const struct policy_limit *const *limits =
	    policy_grant_limits(policy, &n, &usage->others);

	usage->truncated = n > CHECK_USAGE_MAX;
	usage->n = n < CHECK_USAGE_MAX ? n : CHECK_USAGE_MAX;
	usage->counters = calloc(usage->n + 1, sizeof(*usage->counters));
	if (!usage->counters)
		return ERR_NOMEM;
	for (size_t i = 0; i < usage->n; i++) {
		struct usage_counter *uc = &usage->counters[i];
		size_t begin = counting->keys.len;

		uc->limit =
		    policy_counter(limits[i], call, &counting->keys, &uc->scope);
		uc->key.len = counting->keys.len - begin;
	}
	if (counting->keys.failed)
		return ERR_NOMEM;
	at = counting->keys.data;
	for (size_t i = 0; i < usage->n; i++) {
		usage->counters[i].key.ptr = at;
		at += usage->counters[i].key.len;
	}
	return 0;
}

static void read_pages(struct counting *counting);

static void
on_counter(struct take *take)
{
	struct question *q = CONTAINER_OF(take, struct question, take);
	struct counting *counting = q->counting;

	if (take->status != TAKE_FAILED)
		q->counter->outcome = limit_report(
		    q->charge.limit, q->charge.count, 0, take->now_us, false);
	else if (take->fault == FAULT_WRONGTYPE)
		q->counter->fault = take->fault;
	else
		counting->usage.fault = take->fault;
	if (--counting->waiting == 0 && !counting->asking)
		read_pages(counting);
}

static void
ask_page(struct counting *counting)
{
	counting->waiting = counting->n;
	counting->asking = true;
	for (size_t i = 0; i < counting->n; i++) {
		struct question *q = &counting->page[i];

		q->counting = counting;
		q->counter = &counting->usage.counters[counting->begin + i];
		q->charge = (struct charge){ .key = q->counter->key,
			.limit = &q->counter->limit->limit };
		q->take = (struct take){ .charges = &q->charge,
			.n = 1,
			.deadline_us = counting->deadline_us,
			.done = on_counter,
			.look = true };
		store_take(check_store(counting->check), &q->take);
	}
	counting->asking = false;
}

/* Goes on until it has to wait for a page, everything is read, something cannot be read, or
 * nobody wants to know any more. */
static void
read_pages(struct counting *counting)
{
	const struct usage *usage = &counting->usage;

	do {
		size_t left;

		counting->begin += counting->n;
		left = usage->n - counting->begin;
		if (left == 0 || usage->fault != FAULT_NONE ||
		    counting->check->state == CHECK_DETACHED) {
			check_finish(counting->check);
			return;
		}
		counting->n = left < PAGE ? left : PAGE;
		ask_page(counting);
	} while (counting->waiting == 0);
}

int
check_count(struct check *check, const struct check_request *request)
{
	const struct policy *policy = policy_set_find(check->policies, request->policy);
	struct counting *counting = calloc(1, sizeof(*counting));

	if (!counting)
		return ERR_NOMEM;
	check->counting = counting;
	counting->check = check;
	counting->deadline_us = check_deadline_us(check, request->timeout_ms);
	decide_no_policy(&check->decision, check->decision.policy, &check->note);
	if (policy) {
		check->decision.policy = slice_str(policy_name(policy));
		counting->usage.known = true;
		if (list_counters(counting, policy, &request->call) < 0)
			return ERR_NOMEM;
	}
	read_pages(counting);
	return 0;
}
