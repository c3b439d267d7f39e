/* SPDX-License-Identifier: ISC */
/* What the files of check/ share: the inside of a check. Nobody else includes this. */
#ifndef CHECK_CHECK_INNER_H
#define CHECK_CHECK_INNER_H

#include "base/buf.h"
#include "base/spares.h"
#include "check/check.h"
#include "check/decide.h"

enum check_state {
	CHECK_FREE,    /* spare */
	CHECK_PENDING, /* being decided, or with the store */
	CHECK_DONE,    /* decided; its owner's until the release */
	CHECK_DETACHED /* released while the store had it */
};

/* What a check has in addition when it has a request id, or reserves. */
struct check_ledger {
	struct ledger ledger;
	struct buf text; /* the id's key, the reservation's id, the reservation's key */
	struct slice reservation; /* its id, as callers get it */
	char print[LEDGER_PRINT_LEN + 1];
	char holder[LEDGER_HOLDER_LEN + 1];
	enum check_mode asked_as; /* the mode that went into the print */
	bool asked_twice;         /* the second try, with the other mode's print */
};

struct explaining;
struct counting;

struct check {
	struct spare spare; /* must stay first */
	struct check_engine *engine;
	enum check_state state;
	enum check_kind kind;
	enum check_mode mode;
	struct policy_set *policies; /* what the decision points into */
	uint64_t epoch;              /* the engine's when the check began */
	int64_t started_us;
	void (*done)(struct check *check, void *arg);
	void *arg;
	const struct policy *policy; /* NULL: there is none of that name */
	struct decision decision;
	struct buf kept;  /* what check_options.keep wrote */
	struct buf names; /* the request's names, copied */
	struct buf keys;  /* of all charges, one after another */
	struct buf note;  /* a composed message */
	struct decision_limit *limits;
	struct charge *charges;
	size_t cap;      /* of limits and charges */
	size_t n_limits; /* weighed: those charged, and shadow ones that cannot be */
	struct take take;
	struct explaining *explaining; /* CHECK_EXPLAIN; owned */
	struct counting *counting;     /* CHECK_USAGE; owned */
	struct share *shares;          /* used while `local`; owned */
	size_t shares_cap;
	bool local;                 /* the store failed, and this process counts */
	enum store_fault failed;    /* with `local`: how the store failed */
	struct check_ledger ledger; /* used where take.ledger points into it */
};

/* check.c: ends a check whose decision is made, telling its owner. The check may be gone
 * afterwards. */
void check_finish(struct check *check);
/* clock_mono_us(); timeout_ms is the caller's own, 0 for the engine's. */
int64_t check_deadline_us(const struct check *check, int64_t timeout_ms);
/* The store that answers the check at present: the engine's, or the local one. */
struct store *check_store(const struct check *check);
const struct check_options *check_options_of(const struct check *check);
/* Whether the limit counts slots and this check cannot hold one: only a reservation
 * does. A peek looks as if it reserved. */
bool check_needs_reserve(const struct check *check, const struct policy_limit *limit);

/*
 * local.c: for a check whose take the store failed; `weighed` are its limits. True: this
 * process's own store was asked instead and has answered, and the check may be gone.
 */
bool check_local_take(struct check *check, const struct weighed *weighed);
/* For a check that was decided without the store, from within done of the failed take:
 * if its call goes ahead, what the store turns out to have charged for it stands. */
void check_local_stand(struct check *check);

/* ledger.c: gives the take its ledger, once its charges are made. 0 or ERR_NOMEM. */
int check_ledger_open(
    struct check *check, const struct check_request *request) MUST_CHECK;
/* Once the store has answered. True: it was asked once more, and the check may be gone. */
bool check_ledger_ask_again(struct check *check);
/* Once the decision is made: gives it its reservation. */
void check_ledger_taken(struct check *check);

/* explain.c: fills in what the steps found; call it once the decision is made, or the
 * charges are. 0 or ERR_NOMEM. */
int check_explain(struct check *check, const struct check_request *request,
    struct regex_scratch *scratch) MUST_CHECK;
/* The same for the counters, once they were read. */
void check_explain_taken(struct check *check);
void check_explaining_free(struct explaining *explaining);

/* usage.c: begins to read the counters; check_finish() follows, possibly before the
 * return. 0, or ERR_NOMEM: then it does not follow. */
int check_count(struct check *check, const struct check_request *request) MUST_CHECK;
void check_counting_free(struct counting *counting);

#endif
