/* SPDX-License-Identifier: ISC */
/* The random parts of run_property: policies, checks and time. The same seed gives the
 * same of each, on every machine. */
#ifndef VECTORS_PROPERTY_H
#define VECTORS_PROPERTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct rng {
	uint64_t state; /* any value is a seed */
};

uint64_t rng_next(struct rng *rng);
/* 0 ... n - 1; n > 0. */
size_t rng_below(struct rng *rng, size_t n);
bool rng_percent(struct rng *rng, size_t percent);

/* A policy document that policy_parse() takes; `moments`: also with limits that may
 * change at any moment, token buckets and slots. Returns owned. */
json_t *random_policy(struct rng *rng, bool moments);
/* Makes a policy one of which a Cluster's answers to many checks at once can be compared:
 * with limits of one scope, so that the counters of a check share a slot, or of several, and
 * no token buckets, of which a check that is refused may leave a trace where another was
 * charged before it was given back. Returns whether it is one scope. */
bool policy_suit_cluster(struct rng *rng, json_t *policy);
/* Makes it one under which it does not matter who comes first: a counter has the same max
 * wherever it is charged, and nobody charges it past that. */
void policy_level(json_t *policy);
/* Makes it one of fixed windows alone, enforced and without calendars: the usual limits. */
void policy_plain(json_t *policy);
/* A "check" in the words of README.md. Returns owned. */
json_t *random_check(struct rng *rng);
/* Makes a check one that looks, reserves, or has a request id. */
void random_ledger(struct rng *rng, json_t *check);
/* A cost, mostly a small one. */
int64_t random_cost(struct rng *rng);
/* How long a reservation lives, in seconds; 0: nothing is said. */
int64_t random_ttl(struct rng *rng);

/* What was done with one policy. */
struct story {
	uint64_t seed;
	int64_t dedup_ms;
	json_t *policy;
	json_t *steps; /* in the words of README.md, */
	json_t *keys;  /* and the names of the counters that each is about */
};

/* Prints the last steps that are about the counters of the very last one, and writes all
 * of them into a file, as a case that fails at its end against the backend that differs:
 * ration-property-SEED.json in TMPDIR, or /tmp. */
void story_tell(const struct story *story);

/* The clock of a run. */
struct walk {
	int64_t now_us;
	int64_t latest_us; /* it was never later than this */
	int64_t moment_us; /* of something else that ends; 0: nothing does */
	bool goes_back;    /* whether it also does that */
	bool calm;         /* whether most steps are none, or short */
};

/* Somewhere in the years in which changes of the clock are known. */
void walk_start(struct walk *walk, struct rng *rng, bool goes_back);
/* A step of the clock; `edge_ms` is how far off the next moment is at which something
 * happens, or 0. */
void walk_step(struct walk *walk, struct rng *rng, int64_t edge_ms);

#endif
