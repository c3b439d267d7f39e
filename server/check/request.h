/* SPDX-License-Identifier: ISC */
/* One check as a front read it. Types only. */
#ifndef CHECK_REQUEST_H
#define CHECK_REQUEST_H

#include <stdint.h>

#include "base/slice.h"
#include "policy/call.h"

struct check_request {
	struct call call;
	struct slice policy; /* absent: the default one */
	int64_t timeout_ms;  /* the caller's own deadline; 0: the daemon's */
};

#endif
