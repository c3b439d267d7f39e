/* SPDX-License-Identifier: ISC */
/*
 * The life of one check: request -> ruling -> charges -> store -> decision.
 *
 * An engine belongs to one worker, and to its thread. A check belongs to whoever started
 * it, from check_start() until check_release(); it may outlive the connection it came
 * over, and the decision's slices stay valid until the release. In the steady state
 * starting one costs no malloc: checks come from a free list and keep their buffers.
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

#define CHECK_USAGE_MAX 1000 /* counters that one CHECK_USAGE reports */

struct check_options {
	struct store *store;        /* borrowed, must outlive the engine */
	struct metric_cells *cells; /* borrowed */
	/* Counts, while `store` fails, for limits that say "local"; it must answer before
	 * store_take() returns. Borrowed, must outlive the engine; NULL: they deny. */
	struct store *local;
	int64_t
	    local_share; /* `local` gives one of this many parts of a limit, 1 ... */
	int64_t deadline_ms; /* of every check that brings none, 1 ... */
	/* For limits of which the document says nothing; UNSAID: deny. */
	enum store_failure on_store_failure;
	/* Called once with every decision, before its owner is told; NULL: nobody is. For
	 * the decision log, so not for CHECK_EXPLAIN, CHECK_USAGE or a conflict, which
	 * decide nothing. `check` may be passed to the getters below. */
	void (*observe)(void *arg, const struct check *check);
	void *observe_arg;
	/* Called with every request before it is decided; may write into `kept` what
	 * `observe` will need of the arguments, which are gone by then. `arg` is
	 * observe_arg. NULL: nothing is kept. */
	void (*keep)(void *arg, const struct check_request *request, struct buf *kept);
	const char *key_prefix; /* of the ledger's keys, borrowed; NULL: "ration" */
	int64_t dedup_ttl_ms;   /* how long a request id is known; 0: ten minutes */
};

/* For the other files of check/ that work with this engine's store. */
const struct check_options *check_engine_options(const struct check_engine *engine);
/* Count something other than a check as pending, and no longer so. */
void check_engine_hold(struct check_engine *engine);
void check_engine_let_go(struct check_engine *engine);

/* `policies` is ref'd. NULL when out of memory. */
struct check_engine *check_engine_new(
    const struct check_options *options, struct policy_set *policies) MUST_CHECK;
/* Only while nothing is pending. NULL is fine. */
void check_engine_free(struct check_engine *engine);

/* Swaps the policies; checks under way keep the set they began with. */
void check_engine_set_policies(
    struct check_engine *engine, struct policy_set *policies);
struct policy_set *check_engine_policies(const struct check_engine *engine);

/* How many checks and resettings are between start and done. */
size_t check_engine_pending(const struct check_engine *engine);

/*
 * Starts a check. Copies what it needs of the request, which need not outlive the call.
 * `done` runs exactly once, possibly before the return, when the decision is there;
 * never after check_release(). Returns the check, owned by the caller until
 * check_release(); NULL when out of memory (then `done` does not run).
 */
struct check *check_start(struct check_engine *engine,
    const struct check_request *request, void (*done)(struct check *check, void *arg),
    void *arg) MUST_CHECK;

/* Whether the decision is there. */
bool check_is_done(const struct check *check);
/* Valid once done, until the release. */
const struct decision *check_decision(const struct check *check);
/* What CHECK_EXPLAIN and CHECK_USAGE asked for, valid as long as the decision; NULL for
 * other kinds. Where CHECK_USAGE has nothing to report, its decision says why. */
const struct explanation *check_explanation(const struct check *check);
const struct usage *check_usage(const struct check *check);
/* The mode it was asked with. */
enum check_mode check_mode(const struct check *check);
/* clock_mono_us() at the start. */
int64_t check_started_us(const struct check *check);
/* The policy that decided, valid until the release; NULL: there is none of that name. */
const struct policy *check_policy(const struct check *check);
/* What check_options.keep wrote; empty when it ran out of memory. */
struct slice check_kept(const struct check *check);

/* Gives the check back. If it is still under way, `done` will not run, and the check is
 * reclaimed once the store has answered. */
void check_release(struct check *check);

#endif
