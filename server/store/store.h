/* SPDX-License-Identifier: ISC */
/*
 * Where counters live, as a contract. A store takes all charges of a check or none,
 * at one moment of its own clock, and says how every limit stands.
 *
 * A backend is a struct store_ops; it exports only its constructor. A store belongs
 * to one worker and is used from that worker's thread alone; what lies behind it may
 * be shared.
 *
 * A take that fails charges nothing that stays: what turns out to have been charged
 * after its deadline is given back, unless store_stand() asked for the contrary. When it
 * cannot be known, it is never sent again.
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
	SETTLE_ALREADY, /* it was settled before; nothing changed */
	SETTLE_UNKNOWN, /* there is no such reservation, or not any more */
	SETTLE_FAILED
};

/*
 * The end, or the prolongation, of one reservation. Acts only on the windows that were
 * charged, where they still count, and never goes below zero. May safely be sent again.
 */
struct settle {
	enum settle_action action;
	struct slice key;    /* of the reservation's record; borrowed until done */
	struct slice holder; /* as in struct ledger; borrowed until done */
	int64_t cost; /* SETTLE_COMMIT: the true cost, 0 ... NUM_MAX; -1: as charged */
	int64_t ttl_ms;      /* SETTLE_RENEW: from now on; never shortens */
	int64_t keep_ms;     /* how long it is known then that it was settled */
	int64_t deadline_us; /* as in struct take */
	void (*done)(struct settle *settle); /* exactly once; may run before
	                                        store_settle() returns */

	/* out */
	enum settle_status status;
	enum store_fault fault;
	char detail[TAKE_DETAIL_MAX];

	/* the store's own while it is under way */
	void *owner;
	unsigned moves;  /* how often a Cluster sent it elsewhere */
	bool parts_done; /* those in other slots are settled */
};

#define RESET_KEYS_MAX 1000

/* Forgets what counters hold, all of them at one moment. */
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

	/* the store's own while it is under way */
	void *owner;
	unsigned moves; /* how often a Cluster sent it elsewhere */
};

struct store;

struct store_ops {
	const char *name; /* "memory", "redis" */
	void (*take)(struct store *store, struct take *take);
	void (*settle)(struct store *store, struct settle *settle);
	void (*reset)(struct store *store, struct reset *reset);
	/* See store_stand(). NULL: what failed here was never charged. */
	void (*stand)(struct store *store, struct take *take);
	/* See store_wants_more(). NULL: never. */
	bool (*wants_more)(struct store *store);
	/* The end of a loop turn: send what was gathered. NULL: nothing to do. */
	void (*flush)(struct store *store);
	/* Whether charges can be taken now; when not, `why` gets a line. True with a
	 * line: those of some counters only. It is asked at every turn of the loop. */
	bool (*ready)(struct store *store, struct errinfo *why);
	/* Ends everything under way with FAULT_DISCONNECTED, then frees. */
	void (*close)(struct store *store);
};

/* Embedded as the first member of a backend's own struct. */
struct store {
	const struct store_ops *ops;
	struct metric_cells *cells; /* borrowed; this worker's */
};

/* Counts the take (METRIC_STORE_TAKES) and hands it to the backend. */
void store_take(struct store *store, struct take *take);
/*
 * From within done of a take that failed, at most once: its call goes ahead all the same.
 * What it turns out to have been charged stands then. Between, the take may have been
 * through another store that has no stand().
 */
void store_stand(struct store *store, struct take *take);
void store_settle(struct store *store, struct settle *settle);
void store_reset(struct store *store, struct reset *reset);
/* Before store_flush(): whether what would leave is so little that it gains by what has
 * arrived meanwhile, and some were answered who may have asked again. */
bool store_wants_more(struct store *store);
void store_flush(struct store *store);
/* `why` may be NULL; its text is "" where all is well. */
bool store_ready(struct store *store, struct errinfo *why);
void store_close(struct store *store); /* NULL is fine */

/* For backends: fills in a failure, counts it, calls done. `detail` may be NULL. */
void store_fail(
    struct store *store, struct take *take, enum store_fault fault, const char *detail);
void store_fail_settle(struct store *store, struct settle *settle,
    enum store_fault fault, const char *detail);
void store_fail_reset(struct store *store, struct reset *reset, enum store_fault fault,
    const char *detail);

#endif
