/* SPDX-License-Identifier: ISC */
/*
 * What a take's ledger adds to the call of lua/take.lua, and to the answer. All functions
 * but ledger_alike() are for takes that have one. Pure.
 */
#ifndef REDIS_LEDGER_H
#define REDIS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "redis/reply.h"
#include "store/store.h"

#define LEDGER_ARGS 4 /* arguments before a run */

/* Whether two takes with the same charges may share a run, as far as their ledgers are
 * concerned. */
bool ledger_alike(const struct take *a, const struct take *b);

/* How many keys a check has for its ledger; as many arguments follow the run. */
size_t ledger_count(const struct ledger *ledger);

void ledger_add_front(struct buf *out, const struct take *take);
void ledger_add_keys(struct buf *out, const struct ledger *ledger);
void ledger_add_back(struct buf *out, const struct ledger *ledger);

enum ledger_answer {
	LEDGER_FRESH,    /* the numbers that follow are this take's */
	LEDGER_REPLAYED, /* they are the first one's; sets the ledger and take->now_us */
	LEDGER_CONFLICT,
	LEDGER_ERROR /* the text says what went wrong */
};

/* What a retry is told besides the numbers: when the first one was admitted, and its
 * holder, len 0 without a reservation. */
struct ledger_replay {
	int64_t now_us;
	struct slice holder; /* a view */
};

/* Whether the element before a check's numbers says that it was a retry; reads it. */
bool ledger_read_replay(struct slice text, struct ledger_replay *out) MUST_CHECK;

/* Reads the element before a check's numbers; `at` is its index. */
enum ledger_answer ledger_read(
    struct take *take, const struct reply *reply, size_t at) MUST_CHECK;

#endif
