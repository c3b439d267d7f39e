/* SPDX-License-Identifier: ISC */
/* The random parts of run_property: policies, checks and time. The same seed gives the
 * same ones on every machine. */
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

/* A policy document that policy_parse() accepts; `moments`: also with limits whose state
 * may change at any moment: token buckets and slots. Returns owned. */
json_t *random_policy(struct rng *rng, bool moments);
/* Changes a policy so that a Cluster's answers to many checks at once can be compared with
 * others. Either all limits get one scope, so that the counters of a check share a slot; or
 * there are no token buckets, where a refused check may leave a trace: another one may have
 * been charged before its part was given back. Returns whether there is one scope. */
bool policy_suit_cluster(struct rng *rng, json_t *policy);
/* Changes it so that it does not matter who comes first: a counter has the same max wherever
 * it is charged, and nobody charges it past that. */
void policy_level(json_t *policy);
/* Changes it to the usual limits alone: fixed windows, enforced, without calendars. */
void policy_plain(json_t *policy);
/* A "check" in the words of README.md. Returns owned. */
json_t *random_check(struct rng *rng);
/* Changes a check so that it may peek, reserve, or have a request id. */
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

/* Prints the last steps about the counters of the very last one, and writes all of them
 * into a file, as a case that fails at its end with the backend that differs:
 * ration-property-SEED.json in TMPDIR, or /tmp. */
void story_tell(const struct story *story);

/* The clock of a run. */
struct walk {
	int64_t now_us;
	int64_t latest_us; /* it was never later than this */
	int64_t moment_us; /* when something else ends, a lease say; 0: nothing does */
	bool goes_back;    /* it may also go back */
	bool calm;         /* most steps are short, or 0 */
};

/* Starts somewhere in the years for which the changes of the zones' clocks are known. */
void walk_start(struct walk *walk, struct rng *rng, bool goes_back);
/* A step of the clock; `edge_ms` is the time to the next moment at which something happens,
 * or 0. */
void walk_step(struct walk *walk, struct rng *rng, int64_t edge_ms);

#endif
