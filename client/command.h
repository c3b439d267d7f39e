/* SPDX-License-Identifier: ISC */
/* Requests as the bytes of RESP commands, and what their replies mean. Pure. */
#ifndef CLIENT_COMMAND_H
#define CLIENT_COMMAND_H

#include <stddef.h>

#include "failure.h"
#include "reply.h"

#define COMMAND_BYTES_MAX (16u << 20) /* of all words together */

struct command {
	char *data; /* hiredis's memory; ration_command_fini() */
	size_t len;
};

/* Each makes a command: 0, RATION_ERR_ARGUMENT or RATION_ERR_NOMEM. `decide_ms` is how
 * long the daemon may take; 0 leaves that to it. */
int ration_command_check(struct command *c, const struct ration_request *request,
    int64_t decide_ms, struct failure *f);
/* The same without a charge; usage takes only grant and policy of the request. */
int ration_command_explain(struct command *c, const struct ration_request *request,
    int64_t decide_ms, struct failure *f);
int ration_command_usage(struct command *c, const struct ration_request *request,
    int64_t decide_ms, struct failure *f);
/* INFO; takes nothing of the request. */
int ration_command_info(struct command *c, const struct ration_request *request,
    int64_t decide_ms, struct failure *f);
/* The commands that settle a reservation. */
int ration_command_commit(struct command *c, const char *reservation,
    const struct ration_settle *how, struct failure *f);
int ration_command_rollback(struct command *c, const char *reservation,
    const struct ration_settle *how, struct failure *f);
int ration_command_renew(struct command *c, const char *reservation,
    const struct ration_settle *how, struct failure *f);
int ration_command_reset(
    struct command *c, const struct ration_counters *what, struct failure *f);
int ration_command_auth(struct command *c, const char *token, struct failure *f);
void ration_command_fini(struct command *c);

/* The enum ration_error that an error reply means; its text goes into *f. */
int ration_command_error(const struct reply_reader *rr, struct failure *f);

/* Fills in all of *answer but its size. 0 or RATION_ERR_PROTOCOL. */
int ration_command_answer(
    const struct reply_reader *rr, struct ration_answer *answer, struct failure *f);

#endif
