/* SPDX-License-Identifier: ISC */
/* The files that may change while rationd runs: the policies, the token file, and the
 * certificates and key of TLS to the store. */
#ifndef OPS_DOCUMENTS_H
#define OPS_DOCUMENTS_H

#include <stdint.h>

#include "base/err.h"
#include "net/tls.h"
#include "ops/config.h"
#include "policy/set.h"
#include "wire/token.h"

struct documents {
	struct policy_set *policies;
	struct token_set *tokens; /* NULL without --token-file */
	struct tls_context *tls;  /* NULL without TLS to the store */
	uint64_t stamp;           /* documents_stamp() before they were read */
	uint64_t tls_stamp;       /* the same for the files that `tls` was made of */
};

/* The path of the i-th file; NULL: there are no more. */
const char *documents_file_at(const struct config *config, size_t i);

/* A number that changes when one of the files was replaced or written to. Reads none of
 * them; it means nothing to another process. */
uint64_t documents_stamp(const struct config *config);

/*
 * Reads and parses all of them, whatever is wrong with any; adds every fault to `errors`.
 * What could be read is the caller's, and it is everything if no fault was added; the
 * caller calls documents_fini() after success and failure alike.
 * Threads: any; only reads `config`.
 */
void documents_load(
    struct documents *docs, const struct config *config, struct errlist *errors);
void documents_fini(struct documents *docs);

#endif
