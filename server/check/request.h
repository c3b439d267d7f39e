/* SPDX-License-Identifier: ISC */
/* One check as a front read it. Types only. */
#ifndef CHECK_REQUEST_H
#define CHECK_REQUEST_H

#include <stdint.h>

#include "base/slice.h"
#include "policy/call.h"

/* What is asked. */
enum check_kind {
	CHECK_ASK,     /* may the call go ahead? If so, it is charged */
	CHECK_EXPLAIN, /* the same, and why; nothing is charged */
	CHECK_USAGE    /* how do the grant's counters stand? The call has no tool */
};

struct check_request {
	enum check_kind kind;
	struct call call;
	struct slice policy; /* absent: the default one */
	int64_t timeout_ms;  /* the caller's own deadline; 0: the daemon's */
};

#endif
