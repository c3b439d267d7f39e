/* SPDX-License-Identifier: ISC */
/*
 * The life of one check: request -> ruling -> charges -> store -> decision.
 *
 * An engine belongs to one worker. A check belongs to whoever started it, from
 * check_start() until check_release(); it outlives connections, and the decision's
 * slices stay valid until the release. In the steady state starting one costs no
 * malloc: checks come from a free list and keep their buffers.
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/metric.h"
#include "check/decision.h"
#include "check/explanation.h"
#include "check/request.h"
#include "policy/set.h"
#include "store/store.h"

struct check;
struct check_engine;

#define CHECK_USAGE_MAX 1000 /* counters that one CHECK_USAGE tells */

struct check_options {
	struct store *store;        /* borrowed, must outlive the engine */
	struct metric_cells *cells; /* borrowed */
	/* Answers before store_take() returns; for limits that say "local". Borrowed, the
	 * same; NULL: those deny. */
	struct store *local;
	int64_t local_share; /* of how many it is one, 1 ...; with local */
	int64_t deadline_ms; /* of every check that brings none, 1 ... */
	/* Of limits whose documents say nothing; UNSAID: deny. */
	enum store_failure on_store_failure;
	/* Sees every decision once, before the owner; NULL: nobody. For the decision
	 * log: what only explains, CHECK_USAGE and a conflict are no decision. `check`
	 * may be asked with the functions below. */
	void (*observe)(void *arg, const struct check *check);
	void *observe_arg;
	/* Sees every request before it is decided and may write into `kept` what the
	 * observer will want to know of it: its arguments are gone by then. With the
	 * same argument; NULL: nothing is kept. */
	void (*keep)(void *arg, const struct check_request *request, struct buf *kept);
	const char *key_prefix; /* of the ledger's keys, borrowed; NULL: "ration" */
	int64_t dedup_ttl_ms;   /* how long a request id is known; 0: ten minutes */
};

/* What the engine shares with the other files of check/ that work for its worker. */
const struct check_options *check_engine_options(const struct check_engine *engine);
/* Something else than a check is under way: counts it among the pending ones. */
void check_engine_hold(struct check_engine *engine);
void check_engine_let_go(struct check_engine *engine);

/* `policies` is ref'd. NULL when out of memory. */
struct check_engine *check_engine_new(
    const struct check_options *options, struct policy_set *policies) MUST_CHECK;
/* Only when no check is under way. */
void check_engine_free(struct check_engine *engine);

/* Swaps the policies; checks under way keep the set they began with. */
void check_engine_set_policies(
    struct check_engine *engine, struct policy_set *policies);
struct policy_set *check_engine_policies(const struct check_engine *engine);

/* Checks, and resettings, between start and done. */
size_t check_engine_pending(const struct check_engine *engine);

/*
 * Starts a check. The request's slices and arguments are copied or used up before
 * the call returns. `done` runs exactly once, possibly before the return, in which
 * case the decision is there when check_start returns; never after check_release().
 * Returns the check, owned by the caller until check_release(); NULL when out of
 * memory (then done does not run).
 */
struct check *check_start(struct check_engine *engine,
    const struct check_request *request, void (*done)(struct check *check, void *arg),
    void *arg) MUST_CHECK;

/* Whether the decision is there. */
bool check_is_done(const struct check *check);
/* Valid once done, until the release. */
const struct decision *check_decision(const struct check *check);
/* What CHECK_EXPLAIN and CHECK_USAGE asked for, valid as the decision; else NULL. The
 * decision of CHECK_USAGE says why there is nothing to tell, where that is so. */
const struct explanation *check_explanation(const struct check *check);
const struct usage *check_usage(const struct check *check);
/* As it was asked. */
enum check_mode check_mode(const struct check *check);
/* clock_mono_us() at the start. */
int64_t check_started_us(const struct check *check);
/* The policy that decided, until the release; NULL: there is none of that name. */
const struct policy *check_policy(const struct check *check);
/* What check_options.keep wrote; empty when it was too much for the memory. */
struct slice check_kept(const struct check *check);

/* Gives the check back. When it is still under way `done` will not run any more, and
 * the check is reclaimed when the store has answered. */
void check_release(struct check *check);

#endif
