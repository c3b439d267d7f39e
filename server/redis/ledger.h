/* SPDX-License-Identifier: ISC */
/*
 * What the ledger of a take adds to the call of lua/take.lua and to its answer. All
 * functions but ledger_alike() are for takes that have one. Pure.
 */
#ifndef REDIS_LEDGER_H
#define REDIS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "redis/reply.h"
#include "store/store.h"

#define LEDGER_ARGS 4 /* in front of a run */

/* Whether two takes of the same charges may share a run, as far as their ledgers go. */
bool ledger_alike(const struct take *a, const struct take *b);

/* Keys, and arguments behind the run, of each check; the two are as many. */
size_t ledger_count(const struct ledger *ledger);

void ledger_add_front(struct buf *out, const struct take *take);
void ledger_add_keys(struct buf *out, const struct ledger *ledger);
void ledger_add_back(struct buf *out, const struct ledger *ledger);

enum ledger_answer {
	LEDGER_FRESH,    /* the numbers behind it are of this take */
	LEDGER_REPLAYED, /* they are of the first; the ledger and take->now_us are set */
	LEDGER_CONFLICT,
	LEDGER_ERROR /* the text is what went wrong */
};

/* What a retry is told beside the numbers: when the first one was admitted, and its
 * holder, len 0 without a reservation. */
struct ledger_replay {
	int64_t now_us;
	struct slice holder; /* a view */
};

/* Whether the element in front of a check's numbers says that it was a retry. */
bool ledger_read_replay(struct slice text, struct ledger_replay *out) MUST_CHECK;

/* Reads the element in front of a check's numbers. */
enum ledger_answer ledger_read(
    struct take *take, const struct reply *reply, size_t at) MUST_CHECK;

#endif
