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
#include "limit/limit.h"
#include "limit/slots.h"

/* Why a store could not answer. One row each in the table of store.c. */
enum store_fault {
	FAULT_NONE,
	FAULT_TIMEOUT,      /* the deadline passed */
	FAULT_DISCONNECTED, /* no connection, or it was lost on the way */
	FAULT_OVERLOAD,     /* too many checks are waiting */
	FAULT_LOADING,      /* LOADING: reading its data set */
	FAULT_READONLY,     /* READONLY: a replica */
	FAULT_MASTERDOWN,   /* MASTERDOWN */
	FAULT_CLUSTER,      /* CLUSTERDOWN */
	FAULT_TRYAGAIN,     /* TRYAGAIN: a slot that moves has only some of the keys */
	FAULT_MOVED,        /* MOVED, ASK, CROSSSLOT: another node's keys */
	FAULT_BUSY,         /* BUSY: a script does not end */
	FAULT_MEMORY,       /* OOM, or the embedded store is full */
	FAULT_MISCONF,      /* MISCONF: it cannot save, and takes no writes */
	FAULT_NOREPLICAS,   /* NOREPLICAS: too few replicas follow */
	FAULT_MAXCLIENTS,   /* it has no room for another connection */
	FAULT_BREAKER,      /* not asked, since it keeps failing */
	FAULT_CONFIG,       /* NOAUTH, WRONGPASS, NOPERM, too old */
	FAULT_TLS,          /* no TLS with it: trust, names, dates, or none spoken */
	FAULT_WRONGTYPE,    /* a key holds something that is not a count */
	FAULT_OTHER,        /* anything else it said */
	FAULT_COUNT
};

struct store_fault_desc {
	const char *name;   /* as in metrics: "timeout" */
	const char *phrase; /* for people: "the store did not answer in time" */
	enum metric metric;
};
extern const struct store_fault_desc store_fault_table[FAULT_COUNT];

/* One line of what a check takes. */
struct charge {
	struct slice key;          /* borrowed until done */
	const struct limit *limit; /* borrowed until done */
	int64_t cost;              /* 0 ... NUM_MAX */
	/* out: after the take, or unchanged by a refusal */
	struct limit_count count;
	bool shadow;   /* made whenever the others fit, never refused */
	bool corrects; /* of a reservation: the cost that a commit gives takes the
	                  place of this one */
	bool lacked;  /* out, of a shadow charge: enforced it would have been refused */
	int64_t held; /* the store's own: how much of a shadow charge was made */
};

enum take_status {
	TAKE_ADMITTED,
	TAKE_REFUSED,
	TAKE_FAILED,
	TAKE_CONFLICT /* its request id was admitted for something else */
};

#define TAKE_DETAIL_MAX 160
#define TAKE_CHARGES_MAX 64

#define LEDGER_PRINT_LEN 32
#define LEDGER_HOLDER_LEN SLOT_HOLDER_LEN
#define LEDGER_TTL_MS_MAX INT64_C(86400000)

/*
 * What an admitted take leaves behind, beside its charges and in the same atomic step:
 * a record by which a retry finds the first answer, and one by which a reservation is
 * settled. A refused take leaves nothing.
 */
struct ledger {
	struct slice id_key; /* of the request id's record; len 0: it has no id */
	struct slice print;  /* with id_key: LEDGER_PRINT_LEN hex digits of what the id
	                        stands for (tool, mode, keys, costs) */
	int64_t dedup_ms;    /* with id_key: how long the record lives */
	struct slice held_key; /* of the reservation's record, ends with the holder;
	                          len 0: it is none */
	struct slice holder;   /* with held_key: its LEDGER_HOLDER_LEN hex digits, by
	                          which it holds slots */
	int64_t ttl_ms;        /* with held_key: how long it may be settled, and how
	                          long its slots are held; 1000 ... LEDGER_TTL_MS_MAX */
	struct slice parts; /* the store's own: behind the charges in the reservation's
	                          record */

	/* out */
	bool replayed; /* the id was admitted before, with the same print: counts, lacks
	                  and now_us are those of then and nothing was charged */
	char replayed_holder[LEDGER_HOLDER_LEN +
	    1]; /* then: the first one's, or "". Also
	                  where the take was admitted as what is left of an earlier try */
};

/*
 * One check's charges on their way. Keys within one take differ, and shadow charges
 * stand behind all others. A shadow charge is made past its max too, as far as
 * limit_charge() goes; where its counter cannot be charged (it holds no count, the
 * store is full) the take goes on without it: `lacked`, and nothing is counted.
 */
struct take {
	struct charge *charges; /* borrowed until done */
	size_t n;               /* 0 (only with a ledger), 1 ... TAKE_CHARGES_MAX */
	struct ledger *ledger;  /* borrowed until done; NULL: nothing is remembered, and
	                           no charge's limit is a concurrency limit (but in a
	                           look). A look reads the id's record and writes none */
	int64_t deadline_us;    /* clock_mono_us(); done is called by then, within a
	                           few ms, whatever the store does */
	void (*done)(struct take *take); /* exactly once; may run before store_take()
	                                    returns; may start other takes */
	bool look; /* says how the counters stand, admitted or refused as a take
	              would be, and charges nothing */

	/* out */
	enum take_status status;
	size_t refused; /* TAKE_REFUSED: the first charge that lacked room */
	int64_t now_us; /* the store's clock at the decision; 0 when it failed */
	enum store_fault fault;
	char detail[TAKE_DETAIL_MAX]; /* TAKE_FAILED: what the store said, or "" */

	/* the store's own while the take is under way */
	struct take *prev, *next;
	void *owner;
	void *late; /* while done of a failed take runs: what may still become of it */
	unsigned run;   /* of its batch */
	unsigned asked; /* how often it had to be asked again */
	unsigned moves; /* how often a Cluster sent it elsewhere */
	unsigned n_twins;
	struct take *twins, *last_twin; /* takes that ask for the same, told with it */
	struct take *leader;            /* the one that it is told with */
};

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
	/* The end of a loop turn: send what was gathered. NULL: nothing to do. */
	void (*flush)(struct store *store);
	/* Whether charges can be taken now; when not, `why` gets a line. */
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
void store_flush(struct store *store);
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
