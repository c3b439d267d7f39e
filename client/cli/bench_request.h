/* SPDX-License-Identifier: ISC */
/*
 * The bytes of a request, made once: only the number of the grant, which always has the
 * same length, is written for each. Pure.
 */
#ifndef CLI_BENCH_REQUEST_H
#define CLI_BENCH_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

#define REQUEST_DIGITS 12
#define REQUEST_PLACES_MAX 16
/* Stands for the grant's name in the words of a command. */
#define REQUEST_GRANT "@grant@"

/* A zeroed one is empty. Owns its bytes. */
struct bench_request {
	struct buf text;
	size_t places[REQUEST_PLACES_MAX]; /* where the digits go */
	size_t n_places;
};

/* What a check asks. Borrows. */
struct request_words {
	const char *tool, *grant_prefix;
	const char *policy; /* NULL: none */
	int64_t cost;       /* -1: none */
	const char *host;   /* of HTTP */
	const char *token;  /* of HTTP; NULL: none */
};

/* 0 or ERR_NOMEM. */
int bench_request_check(
    struct bench_request *r, const struct request_words *w) MUST_CHECK;
int bench_request_http(
    struct bench_request *r, const struct request_words *w) MUST_CHECK;
int bench_request_auth(struct bench_request *r, const char *token) MUST_CHECK;

/* A command's words, separated by blanks; REQUEST_GRANT in any of them stands for the
 * grant. 0; ERR_INVALID when there are no words, or too many grants; ERR_NOMEM. */
int bench_request_command(
    struct bench_request *r, const char *words, const char *grant_prefix) MUST_CHECK;

void bench_request_fini(struct bench_request *r);

/* Appends the request for one grant; out->failed when out of memory. */
void bench_request_add(const struct bench_request *r, uint64_t grant, struct buf *out);

#endif
