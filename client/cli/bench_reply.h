/* SPDX-License-Identifier: ISC */
/*
 * Answers of a daemon or of Redis, read from bytes: how long one is and what it says, and
 * no more. To be tried again when more bytes have come; nothing is kept in between. Pure.
 */
#ifndef CLI_BENCH_REPLY_H
#define CLI_BENCH_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/slice.h"
#include "bench_outcome.h"

struct bench_reply {
	enum bench_outcome outcome;
	bool degraded;      /* decided without the store */
	bool close;         /* no further answer comes on this connection */
	struct slice error; /* REFUSED, UNAVAILABLE: the words, a view into `data` */
};

/*
 * Reads one answer at the beginning of `data`. Returns its length (> 0); ERR_AGAIN: there
 * is more to come; ERR_SYNTAX: it is none, and the stream cannot be followed any further.
 *
 * _check: the answer to CHECK over RESP, or an error. _any: any of RESP2 and RESP3.
 * _http: the answer to POST /v1/check, with Content-Length.
 */
ptrdiff_t bench_reply_check(
    const char *data, size_t len, struct bench_reply *out) MUST_CHECK;
ptrdiff_t bench_reply_any(
    const char *data, size_t len, struct bench_reply *out) MUST_CHECK;
ptrdiff_t bench_reply_http(
    const char *data, size_t len, struct bench_reply *out) MUST_CHECK;

#endif
