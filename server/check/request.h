/* SPDX-License-Identifier: ISC */
/* What a front read: a check, a settlement of a reservation, a reset. Types only. */
#ifndef CHECK_REQUEST_H
#define CHECK_REQUEST_H

#include <stdint.h>

#include "base/slice.h"
#include "policy/call.h"
#include "store/store.h"

/* What is asked. */
enum check_kind {
	CHECK_ASK,     /* may the call go ahead? If so, it is charged */
	CHECK_EXPLAIN, /* the same, and why; nothing is charged */
	CHECK_USAGE    /* how do the grant's counters stand? `call` has no tool */
};

/* What becomes of the charges of a check that is admitted. */
enum check_mode {
	MODE_ENFORCE, /* they stand */
	MODE_PEEK,   /* none are made: the verdict as if they were, the counters as they
			 stand */
	MODE_RESERVE /* they are held under an id, later committed or rolled back */
};

#define REQUEST_ID_MAX 128      /* bytes of a request id */
#define REQUEST_TTL_MAX_S 86400 /* of a reservation */
#define REQUEST_TTL_DEFAULT_S 600

struct check_request {
	enum check_kind kind;
	enum check_mode mode;
	struct slice id; /* the request id, 1 ... REQUEST_ID_MAX bytes; absent: none */
	int64_t ttl_s;   /* of a reservation, 1 ... REQUEST_TTL_MAX_S; 0: the default.
	                    Only with MODE_RESERVE */
	struct call call;
	struct slice policy; /* absent: the default one */
	int64_t timeout_ms;  /* the caller's own deadline, instead of the daemon's;
	                        0: the daemon's */
};

/* The end, or the prolongation, of a reservation. */
struct settlement_request {
	enum settle_action action;
	struct slice reservation;
	struct slice grant; /* whose it must be; absent: anybody's */
	int64_t cost;       /* of a commit: 0 ... NUM_MAX; -1: as it was charged */
	int64_t ttl_s;      /* of a renewal: 1 ... REQUEST_TTL_MAX_S; 0: the default */
	int64_t timeout_ms; /* the caller's own deadline; 0: the daemon's */
};

/* Counters that are to start again at zero. */
struct reset_request {
	struct slice policy;  /* absent: the default one */
	struct slice counter; /* absent, together with the window: all counters of this
				 scope value */
	struct slice window;  /* as in keys: "minute", "90s", with its suffixes
	                         "day@Europe%2FBerlin", "minute.sliding"; or "slots" */
	struct slice scope; /* "global", or name=value joined by '&' in any order; bytes
				 that have a meaning here are percent-encoded */
};

#endif
