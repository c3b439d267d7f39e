/* SPDX-License-Identifier: ISC */
/*
 * All charges of a check on their way to a store and back, and what they leave behind
 * there beside the counts. What a store makes of a take is store/store.h.
 */
#ifndef STORE_TAKE_H
#define STORE_TAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "limit/limit.h"
#include "limit/slots.h"
#include "store/fault.h"

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

#endif
