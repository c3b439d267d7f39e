/* SPDX-License-Identifier: ISC */
/*
 * The records of the ledger, as text, so that what one daemon wrote any other can
 * settle: docs/redis.md is the contract, and the Redis scripts write and read the same.
 * The embedded store keeps the same text of a reservation, and a struct of a request
 * id. Words are separated by one space; none is empty. Pure.
 *
 *	of a request id    PRINT CLAIMED NOW_US HOLDER N...
 *	    CLAIMED is how many retries were given the answer. Whoever was not told in
 *	    time, a retry or the first, takes one off; where it is 0 already, nobody was
 *	    told, and the charges are given back.
 *	    HOLDER is the reservation's, or "-". N are the numbers by which the script
 *	    of lua/take.lua answers.
 *	of a reservation   h (KEY COST CORRECTS WORD A B)... (+ PART)...
 *	    once settled   s
 *
 * COST is what was really charged; a charge of 0 has its place, but not a shadow charge
 * that could not be made. CORRECTS is 1 where the cost of a commit takes its
 * place, else 0. WORD is one of record_words, A and B are those of limit/charged.h.
 * PART is the key of a reservation's record that is settled with it and before it: over a
 * Cluster what was charged in another slot has a record there.
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

/* Reads a reservation's record; the keys point into `text`. 0, or ERR_SYNTAX. */
int record_parse(struct slice text, struct record *out) MUST_CHECK;

/* Appends a reservation's record. */
void record_format(const struct record *record, struct buf *out);

#endif
