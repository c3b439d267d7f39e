/* SPDX-License-Identifier: ISC */
/* Takes with a ledger and what settles them, at the embedded store, which answers before
 * it returns. */
#ifndef LEDGER_FIXTURE_H
#define LEDGER_FIXTURE_H

#include "memory_fixture.h"

#define DEDUP_MS 600000
#define TTL_MS 30000
#define KEEP_MS 600000

/* A ledger with the memory behind it. */
struct paper {
	char id[40];
	char print[LEDGER_PRINT_LEN + 1];
	char held[60];
	char holder[LEDGER_HOLDER_LEN + 1];
	struct ledger ledger;
};

static inline void
ignore_take(struct take *take)
{
	(void)take;
}

static inline void
ignore_settle(struct settle *settle)
{
	(void)settle;
}

static inline void
ignore_reset(struct reset *reset)
{
	(void)reset;
}

/* `id`: NULL for none. `what` stands for what the id is admitted for. `holder`: 0 where it
 * is no reservation. */
static inline void
paper_set(struct paper *p, const char *id, unsigned what, unsigned holder)
{
	snprintf(p->id, sizeof(p->id), "%s", id ? id : "");
	snprintf(p->print, sizeof(p->print), "%032x", what);
	snprintf(p->holder, sizeof(p->holder), "%032x", holder);
	snprintf(p->held, sizeof(p->held), "#=%s", p->holder);
	p->ledger = (struct ledger){ .id_key = slice_str(p->id),
		.print = slice_str(p->print),
		.dedup_ms = DEDUP_MS,
		.held_key = slice_str(holder ? p->held : ""),
		.holder = slice_str(p->holder),
		.ttl_ms = TTL_MS };
}

static inline enum take_status
take_with(struct store *store, struct charge *charges, size_t n, struct paper *paper,
    struct take *take)
{
	*take = (struct take){ .charges = charges,
		.n = n,
		.ledger = &paper->ledger,
		.done = ignore_take };
	store_take(store, take);
	return take->status;
}

static inline enum settle_status
settle_with(struct store *store, enum settle_action action, unsigned holder,
    int64_t cost, int64_t ttl_ms)
{
	struct paper p;
	struct settle settle;

	paper_set(&p, NULL, 0, holder);
	settle = (struct settle){ .action = action,
		.key = slice_str(p.held),
		.holder = slice_str(p.holder),
		.cost = cost,
		.ttl_ms = ttl_ms,
		.keep_ms = KEEP_MS,
		.done = ignore_settle };
	store_settle(store, &settle);
	return settle.status;
}

#endif
