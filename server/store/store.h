/* SPDX-License-Identifier: ISC */
/*
 * Where counters live, as a contract. A store takes all charges of a check or none,
 * at one moment of its own clock, and says how every limit stands.
 *
 * A backend is a struct store_ops; it exports only its constructor. A store belongs
 * to one worker and is used in that worker's thread alone; what lies behind it may be
 * shared.
 *
 * A failed take leaves no charge behind: what turns out, after its deadline, to have been
 * charged is given back, unless store_stand() asked to let it stand. A take whose fate is
 * unknown is never sent again.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metric.h"
#include "base/slice.h"
#include "store/fault.h"
#include "store/take.h"

enum settle_action { SETTLE_COMMIT, SETTLE_ROLLBACK, SETTLE_RENEW };

enum settle_status {
	SETTLE_DONE,
	SETTLE_ALREADY, /* it had been settled before; nothing changed */
	SETTLE_UNKNOWN, /* there is no such reservation, or no longer */
	SETTLE_FAILED
};

/*
 * The end, or the prolongation, of one reservation. It changes only the windows that were
 * charged, as far as they still count, and never takes them below zero. It is idempotent,
 * so it may be sent again.
 */
struct settle {
	enum settle_action action;
	struct slice key;    /* of the reservation's record; borrowed until done */
	struct slice holder; /* as in struct ledger; borrowed until done */
	int64_t cost; /* SETTLE_COMMIT: the true cost, 0 ... NUM_MAX; -1: as charged */
	int64_t ttl_ms;      /* SETTLE_RENEW: from now on; never shortens */
	int64_t keep_ms;     /* how long the record then says that it was settled */
	int64_t deadline_us; /* as in struct take */
	void (*done)(struct settle *settle); /* exactly once; may run before
	                                        store_settle() returns */

	/* out */
	enum settle_status status;
	enum store_fault fault;
	char detail[TAKE_DETAIL_MAX];

	/* private to the store while it is under way */
	void *owner;
	unsigned moves;  /* how often a Cluster sent it elsewhere */
	bool parts_done; /* the parts in other slots are settled */
};

#define RESET_KEYS_MAX 1000

/* Deletes counters, all of them at one moment. */
struct reset {
	const struct slice *keys;          /* borrowed until done */
	size_t n;                          /* 1 ... RESET_KEYS_MAX */
	int64_t deadline_us;               /* as in struct take */
	void (*done)(struct reset *reset); /* exactly once; may run before store_reset()
	                                      returns */

	/* out */
	size_t held;            /* how many of them held something */
	enum store_fault fault; /* FAULT_NONE: it is done */
	char detail[TAKE_DETAIL_MAX];

	/* private to the store while it is under way */
	void *owner;
	unsigned moves; /* how often a Cluster sent it elsewhere */
};

struct store;

struct store_ops {
	const char *name; /* "memory", "redis" */
	void (*take)(struct store *store, struct take *take);
	void (*settle)(struct store *store, struct settle *settle);
	void (*reset)(struct store *store, struct reset *reset);
	/* See store_stand(). NULL: what fails in this store was never charged. */
	void (*stand)(struct store *store, struct take *take);
	/* See store_wants_more(). NULL: never. */
	bool (*wants_more)(struct store *store);
	/* At the end of a loop turn: sends what was gathered. NULL: nothing to do. */
	void (*flush)(struct store *store);
	/* Whether charges can be taken now; if not, `why` says why not. True with a text
	 * in `why`: of some counters only. Asked in every turn of the loop. */
	bool (*ready)(struct store *store, struct errinfo *why);
	/* Ends everything under way with FAULT_DISCONNECTED, then frees. */
	void (*close)(struct store *store);
};

/* The first member of a backend's own struct. */
struct store {
	const struct store_ops *ops;
	struct metric_cells *cells; /* borrowed; this worker's */
};

/* Counts the take (METRIC_STORE_TAKES) and hands it to the backend. */
void store_take(struct store *store, struct take *take);
/*
 * To be called from within `done` of a failed take, at most once, when its call goes ahead
 * all the same: what turns out to have been charged for it then stands. In between, the
 * take may have been given to another store that has no stand().
 */
void store_stand(struct store *store, struct take *take);
void store_settle(struct store *store, struct settle *settle);
void store_reset(struct store *store, struct reset *reset);
/* Asked before store_flush(): whether so little would be sent that it is better to look
 * for more first, from clients that were answered in this turn and may have asked
 * again. */
bool store_wants_more(struct store *store);
void store_flush(struct store *store);
/* `why` may be NULL; its text is "" where all is well. */
bool store_ready(struct store *store, struct errinfo *why);
void store_close(struct store *store); /* NULL is fine */

/* For backends: fill in a failure, count it, call `done`. `detail` may be NULL. */
void store_fail(
    struct store *store, struct take *take, enum store_fault fault, const char *detail);
void store_fail_settle(struct store *store, struct settle *settle,
    enum store_fault fault, const char *detail);
void store_fail_reset(struct store *store, struct reset *reset, enum store_fault fault,
    const char *detail);

#endif
