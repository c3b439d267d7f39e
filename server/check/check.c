/* SPDX-License-Identifier: ISC */
#include "check/check.h"

#include <stdlib.h>

#include "base/clock.h"
#include "check/check_inner.h"
#include "check/decide.h"
#include "policy/regex.h"

#define SPARE_CHECKS_MAX 4096 /* kept for reuse; more are freed */
#define KEPT_BYTES_MAX 1024   /* a spare check frees a larger `kept` */

/* At most two lists of limits and a rate_limit. */
_Static_assert(2 * POLICY_LIMITS_MAX + 1 <= TAKE_CHARGES_MAX,
    "a take must hold all limits of a check");

/*
 * A check needs its policies until it is released, but taking a reference changes an
 * atomic that all workers share. So the engine's one reference stands for all checks that
 * began under it (`users`); when the policies are swapped, each of those gets its own.
 */
struct check_engine {
	struct check_options options;
	struct policy_set *policies;
	struct regex_scratch *scratch;
	uint64_t epoch; /* how often the policies were swapped */
	size_t users;   /* checks of this epoch that are not released yet */
	size_t pending;
	struct spares checks;
};

static void
check_free(void *object)
{
	struct check *check = object;

	buf_fini(&check->kept);
	buf_fini(&check->names);
	buf_fini(&check->keys);
	buf_fini(&check->note);
	buf_fini(&check->ledger.text);
	free(check->limits);
	free(check->charges);
	free(check->shares);
	free(check);
}

struct check_engine *
check_engine_new(const struct check_options *options, struct policy_set *policies)
{
	struct check_engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	engine->scratch = regex_scratch_new();
	if (!engine->scratch) {
		free(engine);
		return NULL;
	}
	engine->options = *options;
	engine->policies = policy_set_ref(policies);
	engine->checks = (struct spares){ .size = sizeof(struct check),
		.max = SPARE_CHECKS_MAX,
		.free = check_free };
	return engine;
}

void
check_engine_free(struct check_engine *engine)
{
	if (!engine)
		return;
	spares_fini(&engine->checks);
	policy_set_unref(engine->policies);
	regex_scratch_free(engine->scratch);
	free(engine);
}

void
check_engine_set_policies(struct check_engine *engine, struct policy_set *policies)
{
	struct policy_set *old = engine->policies;

	policy_set_ref(policies);
	for (; engine->users > 0; engine->users--)
		policy_set_ref(old);
	policy_set_unref(old);
	engine->policies = policies;
	engine->epoch++;
}

struct policy_set *
check_engine_policies(const struct check_engine *engine)
{
	return engine->policies;
}

size_t
check_engine_pending(const struct check_engine *engine)
{
	return engine->pending;
}

const struct check_options *
check_engine_options(const struct check_engine *engine)
{
	return &engine->options;
}

void
check_engine_hold(struct check_engine *engine)
{
	engine->pending++;
}

void
check_engine_let_go(struct check_engine *engine)
{
	engine->pending--;
}

/* A new check, or NULL when out of memory. */
static struct check *
obtain(struct check_engine *engine)
{
	struct check *check = spares_get(&engine->checks);

	if (!check)
		return NULL;
	check->engine = engine;
	check->state = CHECK_PENDING;
	check->policies = engine->policies;
	check->epoch = engine->epoch;
	engine->users++;
	engine->pending++;
	return check;
}

static void
recycle(struct check *check)
{
	struct check_engine *engine = check->engine;

	if (check->epoch == engine->epoch)
		engine->users--;
	else
		policy_set_unref(check->policies);
	check->state = CHECK_FREE;
	if (check->kept.cap > KEPT_BYTES_MAX)
		buf_fini(&check->kept);
	check_explaining_free(check->explaining);
	check_counting_free(check->counting);
	check->explaining = NULL;
	check->counting = NULL;
	spares_put(&engine->checks, check);
}

static struct slice
copy_name(struct buf *to, struct slice name)
{
	const char *at = to->data + to->len;

	buf_add_slice(to, name);
	return slice_make(at, name.len);
}

/* Copies the names that the decision shows. All room is made first: the slices point into
 * the buffer, which must not move afterwards. */
static int
keep_names(struct check *check, const struct check_request *request)
{
	const struct call *call = &request->call;
	struct decision *d = &check->decision;
	size_t len = call->tool.len + call->grant.len + request->policy.len;

	buf_clear(&check->names);
	if (!buf_reserve(&check->names, len))
		return ERR_NOMEM;
	d->tool = copy_name(&check->names, call->tool);
	d->grant = copy_name(&check->names, call->grant);
	d->policy = copy_name(&check->names, request->policy);
	return 0;
}

/* Makes room for n limits and charges. */
static int
make_room(struct check *check, size_t n)
{
	struct decision_limit *limits;
	struct charge *charges;

	if (LIKELY(n <= check->cap))
		return 0;
	limits = realloc(check->limits, n * sizeof(*limits));
	if (!limits)
		return ERR_NOMEM;
	check->limits = limits;
	charges = realloc(check->charges, n * sizeof(*charges));
	if (!charges)
		return ERR_NOMEM;
	check->charges = charges;
	check->cap = n;
	return 0;
}

/* Keys are written one after another into a buffer that may move, so slices of it can only
 * be taken now. Until then a charge's key has just its length. */
static void
point_keys(struct check *check)
{
	const char *at = check->keys.data;

	for (size_t i = 0; i < check->take.n; i++) {
		check->charges[i].key.ptr = at;
		at += check->charges[i].key.len;
	}
}

bool
check_needs_reserve(const struct check *check, const struct policy_limit *limit)
{
	return UNLIKELY(limit->limit.algorithm == ALGORITHM_CONCURRENCY) &&
	    check->mode == MODE_ENFORCE;
}

/* Makes one limit's charge. A shadow limit that cannot be charged is only marked so. */
static int
make_charge(struct check *check, const struct policy_limit *limit,
    const struct call *call, struct decision_limit *out)
{
	struct charge *charge = &check->charges[check->take.n];
	size_t begin = check->keys.len;
	struct policy_charge made;
	struct errinfo why;
	int rc;

	*out = (struct decision_limit){
		.limit = limit, .scope = limit->scope.text, .charge = DECISION_NO_CHARGE
	};
	if (check_needs_reserve(check, limit)) {
		if (limit->shadow)
			return 0;
		decide_unreserved(&check->decision, limit, &check->note);
		return ERR_INVALID;
	}
	rc = policy_charge(limit, call, &check->keys, &made, &why);
	if (rc < 0 && rc != ERR_NOMEM && limit->shadow)
		return 0;
	if (rc < 0 && rc != ERR_NOMEM)
		decide_missing(&check->decision, limit, why.text, &check->note);
	if (rc < 0)
		return rc;
	out->limit = made.limit;
	out->scope = made.scope;
	out->charge = check->take.n++;
	*charge = (struct charge){ .key.len = check->keys.len - begin,
		.limit = &made.limit->limit,
		.cost = made.cost,
		.shadow = limit->shadow,
		.corrects = made.corrects };
	return 0;
}

/* Makes the charges of a ruling that allows; shadow ones come last, as struct take wants
 * them. ERR_NOTFOUND when the call lacks what a limit counts by, ERR_INVALID when an
 * argument is not a valid cost or a slot is asked for without a reservation: in these
 * cases the decision is made. ERR_NOMEM. */
static int
make_charges(struct check *check, const struct ruling *ruling, const struct call *call)
{
	int rc = make_room(check, ruling->n_limits);

	buf_clear(&check->keys);
	check->take.n = 0;
	check->n_limits = ruling->n_limits;
	for (int shadow = 0; shadow <= 1; shadow++)
		for (size_t i = 0; rc == 0 && i < ruling->n_limits; i++)
			if (ruling->limits[i]->shadow == (bool)shadow)
				rc = make_charge(
				    check, ruling->limits[i], call, &check->limits[i]);
	if (rc == 0)
		point_keys(check);
	return rc;
}

/* Whether the store's ledger has to be asked, even if no limit counts the call: it has a
 * request id, or reserves. Without an id a look has nothing to ask it. */
static bool
wants_ledger(const struct check_request *request)
{
	return UNLIKELY(request->id.len > 0 ||
	    (request->mode == MODE_RESERVE && request->kind == CHECK_ASK));
}

/* Steps 1 to 7. True when the decision is made, false when charges have to be taken; *err
 * is ERR_NOMEM when neither could be done. */
static bool
decide_alone(struct check *check, const struct check_request *request, int *err)
{
	const struct policy *policy = policy_set_find(check->policies, request->policy);
	struct ruling ruling;

	*err = 0;
	check->policy = policy;
	if (!policy) {
		decide_no_policy(
		    &check->decision, check->decision.policy, &check->note);
		return true;
	}
	check->decision.policy = slice_str(policy_name(policy));
	policy_rule(policy, &request->call, check->engine->scratch, &ruling);
	if (ruling.verdict != VERDICT_ALLOW ||
	    (ruling.n_limits == 0 && !wants_ledger(request))) {
		decide_ruled(&check->decision, &ruling);
		return true;
	}
	*err = make_charges(check, &ruling, &request->call);
	return *err < 0 && *err != ERR_NOMEM;
}

/* A conflict is refused like a malformed request: no verdict, no line in the log. */
static void
count_decision(struct check *check)
{
	const struct check_options *o = &check->engine->options;
	const struct decision *d = &check->decision;

	metric_add(o->cells, decide_metric(d), 1);
	if (UNLIKELY(d->degraded))
		metric_add(o->cells, decide_metric_degraded(d), 1);
	if (UNLIKELY(d->replayed))
		metric_add(o->cells, METRIC_CHECKS_REPLAYED, 1);
	if (UNLIKELY(check->mode == MODE_PEEK))
		metric_add(o->cells, METRIC_CHECKS_PEEKED, 1);
}

/* `done` may release the check. */
void
check_finish(struct check *check)
{
	struct check_engine *engine = check->engine;
	const struct check_options *o = &engine->options;
	bool asked = check->kind == CHECK_ASK;

	if (asked)
		count_decision(check);
	engine->pending--;
	if (check->state == CHECK_PENDING)
		check->state = CHECK_DONE;
	if (asked && o->observe && check->decision.cause != CAUSE_CONFLICT)
		o->observe(o->observe_arg, check);
	if (check->state == CHECK_DETACHED)
		recycle(check);
	else
		check->done(check, check->arg);
}

static void
on_taken(struct take *take)
{
	struct check *check = CONTAINER_OF(take, struct check, take);
	struct weighed weighed = {
		.limits = check->limits,
		.n = check->n_limits,
		.otherwise = check->engine->options.on_store_failure,
		.shares = check->local ? check->shares : NULL,
		.failed = check->failed,
	};

	if (UNLIKELY(take->ledger) && check_ledger_ask_again(check))
		return;
	if (UNLIKELY(take->status == TAKE_FAILED) && check_local_take(check, &weighed))
		return;
	decide_taken(&check->decision, take, &weighed, &check->note);
	if (UNLIKELY(take->ledger))
		check_ledger_taken(check);
	if (check->explaining)
		check_explain_taken(check);
	if (UNLIKELY(check->decision.degraded))
		check_local_stand(check);
	check_finish(check);
}

struct store *
check_store(const struct check *check)
{
	const struct check_options *o = &check->engine->options;

	return check->local ? o->local : o->store;
}

const struct check_options *
check_options_of(const struct check *check)
{
	return &check->engine->options;
}

int64_t
check_deadline_us(const struct check *check, int64_t timeout_ms)
{
	int64_t ms = timeout_ms > 0 ? timeout_ms : check->engine->options.deadline_ms;

	return check->started_us + ms * 1000;
}

/* There is no memory to decide it. */
static struct check *
abandon(struct check *check)
{
	check->engine->pending--;
	recycle(check);
	return NULL;
}

/* Once the charges are made: asks the store, if there is anything to ask. */
static void
ask_store(struct check *check, const struct check_request *request)
{
	struct take *take = &check->take;

	take->charges = check->charges;
	take->deadline_us = check_deadline_us(check, request->timeout_ms);
	take->done = on_taken;
	take->status = TAKE_ADMITTED;
	if (take->n > 0 || take->ledger)
		store_take(check->engine->options.store, take);
	else
		on_taken(take); /* only shadow limits, which cannot be charged */
}

struct check *
check_start(struct check_engine *engine, const struct check_request *request,
    void (*done)(struct check *check, void *arg), void *arg)
{
	struct check *check = obtain(engine);
	bool decided = false;
	int rc;

	if (!check)
		return NULL;
	check->started_us = clock_mono_us();
	check->done = done;
	check->arg = arg;
	check->kind = request->kind;
	check->mode = request->mode;
	check->take.look = check->kind == CHECK_EXPLAIN || check->mode == MODE_PEEK;
	check->take.ledger = NULL;
	check->local = false;
	rc = keep_names(check, request);
	if (rc == 0 && request->kind == CHECK_USAGE) {
		rc = check_count(check, request);
		return rc < 0 ? abandon(check) : check;
	}
	if (engine->options.keep && request->kind == CHECK_ASK) {
		buf_clear(&check->kept);
		engine->options.keep(
		    engine->options.observe_arg, request, &check->kept);
	}
	if (rc == 0)
		decided = decide_alone(check, request, &rc);
	if (rc == 0 && !decided && wants_ledger(request))
		rc = check_ledger_open(check, request);
	if (request->kind == CHECK_EXPLAIN && (decided || rc == 0))
		rc = check_explain(check, request, engine->scratch);
	if (rc == ERR_NOMEM)
		return abandon(check);
	if (decided)
		check_finish(check);
	else
		ask_store(check, request);
	return check;
}

bool
check_is_done(const struct check *check)
{
	return check->state == CHECK_DONE;
}

const struct decision *
check_decision(const struct check *check)
{
	return &check->decision;
}

enum check_mode
check_mode(const struct check *check)
{
	return check->mode;
}

int64_t
check_started_us(const struct check *check)
{
	return check->started_us;
}

const struct policy *
check_policy(const struct check *check)
{
	return check->policy;
}

struct slice
check_kept(const struct check *check)
{
	return check->kept.failed ? slice_make(NULL, 0) : buf_slice(&check->kept);
}

void
check_release(struct check *check)
{
	if (check->state == CHECK_PENDING)
		check->state = CHECK_DETACHED;
	else
		recycle(check);
}
