/* SPDX-License-Identifier: ISC */
/*
 * The records of the ledger, as text, so that any daemon can settle what another one
 * wrote: docs/redis.md is the contract, and the Redis scripts read and write the same.
 * The embedded store keeps the same text for a reservation, but a struct for a request
 * id. Words are separated by one space; none is empty. Pure.
 *
 *	of a request id    PRINT CLAIMED NOW_US HOLDER N...
 *	    CLAIMED is how many retries have got the answer. Whoever could not be told in
 *	    time, a retry or the first, takes one off; if it is 0 already, nobody was
 *	    told, and the charges are given back.
 *	    HOLDER is the reservation's, or "-". N are the numbers with which lua/take.lua
 *	    answers a take.
 *	of a reservation   h (KEY COST CORRECTS WORD A B)... (+ PART)...
 *	    once settled   s
 *
 * COST is what was really charged; a charge of 0 is listed, a shadow charge that could
 * not be made is not. CORRECTS is 1 if the cost of a commit replaces it, else 0. WORD is
 * one of record_words, A and B are those of limit/charged.h.
 * PART is the key of another reservation's record that is settled together with this one,
 * and before it: over a Cluster, what was charged in another slot has a record there.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/slice.h"
#include "store/store.h"

/* One charge of a reservation. */
struct record_charge {
	struct slice key; /* a view */
	int64_t cost;
	bool corrects;
	enum algorithm algorithm;
	int64_t a, b; /* of struct charged */
};

struct record {
	bool settled;
	struct record_charge charges[TAKE_CHARGES_MAX];
	size_t n;
	struct slice parts[TAKE_CHARGES_MAX]; /* keys; views */
	size_t n_parts;
};

#define RECORD_PART "+"
#define RECORD_SETTLED "s"

/* The WORD of each enum algorithm. */
extern const char *const record_words[];

/* Reads a reservation's record; the keys are views into `text`. 0 or ERR_SYNTAX. */
int record_parse(struct slice text, struct record *out) MUST_CHECK;

/* Appends a reservation's record. */
void record_format(const struct record *record, struct buf *out);

#endif
