/* SPDX-License-Identifier: ISC */
/*
 * All charges of a check, on their way to a store and back, and the records that they
 * leave there besides the counts. What a store does with a take is in store/store.h.
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
	bool shadow; /* never refused, and made whenever the others fit */
	bool
	    corrects; /* of a reservation: the cost that a commit gives replaces this one */
	bool
	    lacked; /* out, of a shadow charge: it would have been refused if enforced */
	int64_t held; /* private to the store: how much of a shadow charge was made */
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
 * What an admitted take leaves behind besides its charges, in the same atomic step: a
 * record by which a retry finds the first answer, and one by which a reservation is
 * settled. A refused take leaves none.
 */
struct ledger {
	struct slice id_key; /* of the request id's record; len 0: it has no id */
	struct slice
	    print;        /* with id_key: LEDGER_PRINT_LEN hex digits, a digest of what
	                        the id stands for (tool, mode, keys, costs) */
	int64_t dedup_ms; /* with id_key: how long the record lives */
	struct slice held_key; /* of the reservation's record, ends with the holder;
	                          len 0: it is no reservation */
	struct slice holder;   /* with held_key: LEDGER_HOLDER_LEN hex digits, the name
	                          under which it holds slots */
	int64_t ttl_ms;        /* with held_key: how long it may be settled, and how
	                          long its slots are held; 1000 ... LEDGER_TTL_MS_MAX */
	struct slice parts;    /* private to the store: what follows the charges in the
	                       reservation's record */

	/* out */
	bool replayed; /* the id was admitted before, with the same print: counts, lacks
	                  and now_us are of that time, and nothing was charged */
	/* While replayed, and where the take was admitted as what is left of an earlier
	 * try: the holder of the first one, or "". */
	char replayed_holder[LEDGER_HOLDER_LEN + 1];
};

/*
 * One check's charges on their way. Keys within one take differ, and shadow charges
 * come after all others. A shadow charge is made even past its max, as far as
 * limit_charge() goes; if its counter cannot be charged (its key holds no count, the
 * store is full) the take goes on without it: it is `lacked`, and nothing is counted.
 */
struct take {
	struct charge *charges; /* borrowed until done */
	size_t n;               /* 0 (only with a ledger), 1 ... TAKE_CHARGES_MAX */
	struct ledger *ledger;  /* borrowed until done; NULL: nothing is recorded, and
	                           unless it is a look no charge has a concurrency limit.
	                           A look reads the id's record and writes none */
	int64_t deadline_us; /* clock_mono_us(); done is called by then, give or take a
	                           few ms, whatever the store does */
	void (*done)(struct take *take); /* exactly once; may run before store_take()
	                                    returns; may start other takes */
	bool look; /* only asks how the counters stand: is admitted or refused as a take
	              would be, and charges nothing */

	/* out */
	enum take_status status;
	size_t refused; /* TAKE_REFUSED: index of the first charge that lacked room */
	int64_t now_us; /* the store's clock at the decision; 0 when it failed */
	enum store_fault fault;
	char detail[TAKE_DETAIL_MAX]; /* TAKE_FAILED: the store's own words, or "" */

	/* private to the store while the take is under way */
	struct take *prev, *next;
	void *owner;
	void *late;   /* while done of a failed take runs: the note by which its charges
		       would be given back (redis/late.h) */
	unsigned run; /* index of its run in its batch */
	unsigned asked; /* how often it had to be asked again */
	unsigned moves; /* how often a Cluster sent it elsewhere */
	unsigned n_twins;
	struct take *twins, *last_twin; /* identical takes, answered together with it */
	struct take *leader;            /* the twin that it is answered with */
};

#endif
