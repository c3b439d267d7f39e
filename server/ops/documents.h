/* SPDX-License-Identifier: ISC */
/* The files that may change while rationd runs: the policies, the token file, and what
 * TLS to the store stands on. */
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
	uint64_t tls_stamp;       /* the same of what tls was made of */
};

/* The path of the i-th; NULL: there are no more. */
const char *documents_file_at(const struct config *config, size_t i);

/* Another number when one of the files is another one or was written since. Reads none
 * of them; differs from process to process. */
uint64_t documents_stamp(const struct config *config);

/*
 * Reads and parses all of them, whatever is wrong with one; every fault is added to
 * `errors`. The caller owns what was found, which is all when no fault was added, and
 * calls documents_fini() after success and failure alike.
 * Threads: any; only reads `config`.
 */
void documents_load(
    struct documents *docs, const struct config *config, struct errlist *errors);
void documents_fini(struct documents *docs);

#endif
