/* SPDX-License-Identifier: ISC */
/* What a run of ration bench is to do: its options, read. Open data; nothing in it
 * changes while the run goes on. */
#ifndef CLI_BENCH_PLAN_H
#define CLI_BENCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bench_pick.h"
#include "bench_request.h"
#include "daemon.h"

/* Borrows argv. */
struct bench_plan {
	struct daemon daemon; /* first: its options go into it */

	/* what is asked, of whom */
	const char *http;    /* NULL: RESP, at daemon.server */
	const char *command; /* NULL: checks */
	const char *tool, *policy;
	int64_t cost; /* -1: none is sent */
	const char *grant_prefix;
	int64_t grants;
	const char *skew_text;
	enum bench_skew skew;
	double skew_parameter;

	/* how much of it */
	int64_t connections, pipeline, threads;
	int64_t rate;       /* checks a second; 0: as fast as possible */
	int64_t duration_s; /* 0: until `requests` were sent */
	int64_t requests;
	int64_t warmup_s;
	int64_t seed; /* -1: to be drawn */

	/* made of them before the start */
	const char *address; /* of the two */
	const char *token;   /* NULL: none */
	struct sockaddr_storage to;
	socklen_t to_len;
	struct bench_request request; /* one check */
	struct bench_request
	    greeting; /* what a connection begins with; len 0: nothing */
};

/* 0, or the status to exit with after saying why: fills what is made of the options.
 * The plan is to be given to bench_plan_fini() in both cases. */
int bench_plan_make(struct bench_plan *plan, const char *token);
void bench_plan_fini(struct bench_plan *plan);

#endif
