/* SPDX-License-Identifier: ISC */
/* What can become of one request, and the word for it. */
#ifndef CLI_BENCH_OUTCOME_H
#define CLI_BENCH_OUTCOME_H

/* name, its key in JSON and its word in text. From REFUSED on they are errors. */
#define BENCH_OUTCOMES(X)                                                          \
	X(ALLOW, "allow")                                                          \
	X(DENY, "deny")                                                            \
	X(APPROVAL, "require_approval")                                            \
	X(OTHER, "other")             /* of --command: any answer but an error */  \
	X(REFUSED, "refused")         /* -ERR, 4xx, an answer without a verdict */ \
	X(UNAVAILABLE, "unavailable") /* the store; 503 */                         \
	X(TIMEOUT, "timeout")         /* none came in --timeout-ms */              \
	X(LOST, "lost")               /* the connection ended before */

enum bench_outcome {
#define X(name, word) BENCH_##name,
	BENCH_OUTCOMES(X)
#undef X
	    BENCH_N_OUTCOMES
};

#define BENCH_FIRST_ERROR BENCH_REFUSED

#endif
