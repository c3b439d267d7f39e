/* SPDX-License-Identifier: ISC */
#include "check/throttle.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/spares.h"
#include "limit/key.h"

#define SPARE_THROTTLES_MAX 4096 /* kept for reuse; more are freed */

enum throttle_state {
	THROTTLE_FREE,    /* spare */
	THROTTLE_PENDING, /* with the store */
	THROTTLE_DONE,    /* answered; its owner's until the release */
	THROTTLE_DETACHED /* released while the store had it */
};

/* The limit is in here because the store borrows it until the take is done. */
struct throttle {
	struct spare spare; /* must stay first */
	struct throttler *throttler;
	enum throttle_state state;
	void (*done)(struct throttle *throttle, void *arg);
	void *arg;
	struct throttle_result result;
	struct buf key;
	struct limit limit;
	struct charge charge;
	struct take take;
};

struct throttler {
	struct throttler_options options;
	size_t pending;
	struct spares throttles;
};

static void
throttle_free(void *object)
{
	struct throttle *throttle = object;

	buf_fini(&throttle->key);
	free(throttle);
}

struct throttler *
throttler_new(const struct throttler_options *options)
{
	struct throttler *throttler = calloc(1, sizeof(*throttler));

	if (!throttler)
		return NULL;
	throttler->options = *options;
	throttler->throttles = (struct spares){ .size = sizeof(struct throttle),
		.max = SPARE_THROTTLES_MAX,
		.free = throttle_free };
	return throttler;
}

void
throttler_free(struct throttler *throttler)
{
	if (!throttler)
		return;
	spares_fini(&throttler->throttles);
	free(throttler);
}

size_t
throttler_pending(const struct throttler *throttler)
{
	return throttler->pending;
}

static struct throttle *
obtain(struct throttler *throttler)
{
	struct throttle *throttle = spares_get(&throttler->throttles);

	if (throttle)
		throttle->throttler = throttler;
	return throttle;
}

static void
recycle(struct throttle *throttle)
{
	throttle->state = THROTTLE_FREE;
	spares_put(&throttle->throttler->throttles, throttle);
}

/* The bucket that the caller's numbers describe. Stores compare limits byte by byte, so no
 * byte of the previous limit may be left. */
static int
make_limit(struct limit *l, const struct throttle_request *r, struct errinfo *ei)
{
	int64_t period_us = r->period_s * 1000000;

	memset(l, 0, sizeof(*l));
	l->algorithm = ALGORITHM_TOKEN_BUCKET;
	l->max = r->count;
	l->burst = r->max_burst + 1;
	if (window_from_seconds(r->period_s, &l->window, ei) < 0)
		return err_set(ei, ERR_INVALID,
		    "period must be a whole number of seconds from 1 to %lld",
		    (long long)WINDOW_SECONDS_MAX);
	if (r->count > period_us)
		return err_set(ei, ERR_INVALID,
		    "count must be at most %lld for a period of %lld s, one a "
		    "microsecond",
		    (long long)period_us, (long long)r->period_s);
	if (limit_prepare(l, ei) < 0)
		return err_set(ei, ERR_INVALID,
		    "max_burst is too large: at %lld per %lld s it takes more than "
		    "%lld days to come back",
		    (long long)r->count, (long long)r->period_s,
		    (long long)(BUCKET_FILL_US_MAX / 86400000000));
	return 0;
}

/* PREFIX:#throttle:{KEY}. No policy's key begins like that, since '#' is encoded there. */
static int
make_key(struct buf *key, const char *prefix, struct slice raw)
{
	buf_clear(key);
	buf_add_str(key, prefix);
	buf_add_str(key, ":#throttle:{");
	key_add_part(key, raw);
	buf_add_str(key, "}");
	return key->failed ? ERR_NOMEM : 0;
}

static int64_t
seconds_up(int64_t ms)
{
	return ms < 0 ? -1 : ms / 1000 + (ms % 1000 > 0);
}

static void
report(struct throttle *throttle)
{
	const struct take *take = &throttle->take;
	struct throttle_result *result = &throttle->result;
	struct limit_outcome outcome;

	memset(result, 0, sizeof(*result));
	if (take->status == TAKE_FAILED) {
		result->fault = take->fault;
		return;
	}
	result->limited = take->status == TAKE_REFUSED;
	outcome = limit_report(&throttle->limit, throttle->charge.count,
	    throttle->charge.cost, take->now_us, result->limited);
	result->limit = throttle->limit.capacity;
	result->remaining = outcome.remaining;
	result->retry_after_s =
	    result->limited ? seconds_up(outcome.retry_after_ms) : -1;
	result->reset_after_s = seconds_up(outcome.reset_ms);
}

static void
on_taken(struct take *take)
{
	static const enum metric metrics[] = {
		[TAKE_ADMITTED] = METRIC_THROTTLES_ALLOWED,
		[TAKE_REFUSED] = METRIC_THROTTLES_LIMITED,
		[TAKE_FAILED] = METRIC_THROTTLES_FAILED,
	};
	struct throttle *throttle = CONTAINER_OF(take, struct throttle, take);
	struct throttler *throttler = throttle->throttler;

	report(throttle);
	metric_add(throttler->options.cells, metrics[take->status], 1);
	throttler->pending--;
	if (throttle->state == THROTTLE_DETACHED) {
		recycle(throttle);
		return;
	}
	throttle->state = THROTTLE_DONE;
	throttle->done(throttle, throttle->arg);
}

static void
ask_store(struct throttle *throttle, int64_t quantity)
{
	struct throttler *throttler = throttle->throttler;
	const struct throttler_options *o = &throttler->options;

	throttle->charge.key = buf_slice(&throttle->key);
	throttle->charge.limit = &throttle->limit;
	throttle->charge.cost = quantity;
	throttle->take.charges = &throttle->charge;
	throttle->take.n = 1;
	throttle->take.deadline_us = clock_mono_us() + o->deadline_ms * 1000;
	throttle->take.done = on_taken;
	throttle->state = THROTTLE_PENDING;
	throttler->pending++;
	store_take(o->store, &throttle->take);
}

struct throttle *
throttle_start(struct throttler *throttler, const struct throttle_request *request,
    void (*done)(struct throttle *throttle, void *arg), void *arg, struct errinfo *ei)
{
	struct throttle *throttle = obtain(throttler);

	if (!throttle) {
		err_set(ei, ERR_NOMEM, "out of memory");
		return NULL;
	}
	if (make_limit(&throttle->limit, request, ei) < 0) {
		recycle(throttle);
		return NULL;
	}
	if (make_key(&throttle->key, throttler->options.key_prefix, request->key) < 0) {
		err_set(ei, ERR_NOMEM, "out of memory");
		buf_fini(&throttle->key);
		recycle(throttle);
		return NULL;
	}
	throttle->done = done;
	throttle->arg = arg;
	ask_store(throttle, request->quantity);
	return throttle;
}

bool
throttle_is_done(const struct throttle *throttle)
{
	return throttle->state == THROTTLE_DONE;
}

const struct throttle_result *
throttle_result(const struct throttle *throttle)
{
	return &throttle->result;
}

const char *
throttle_detail(const struct throttle *throttle)
{
	return throttle->result.fault ? throttle->take.detail : "";
}

void
throttle_release(struct throttle *throttle)
{
	if (throttle->state == THROTTLE_PENDING)
		throttle->state = THROTTLE_DETACHED;
	else
		recycle(throttle);
}
