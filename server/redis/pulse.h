/* SPDX-License-Identifier: ISC */
/*
 * Whether a single server, or the master that Sentinels name, still answers while no
 * checks are sent to it. The connection does not tell: it survives a server that is
 * frozen and a network that swallows packets; and the breaker only knows of calls. (For a
 * Cluster redis/cluster_health asks the masters, and for more than this.)
 *
 *	quiet   nothing has come over the node's connection for PULSE_QUIET_US. Then the
 *	        server is asked for its TIME, once. While replies come, nothing is asked.
 *	silent  PULSE_SILENT_LOOKS looks, PULSE_LOOK_US apart, found that the answer is
 *	        still owed and nothing else has come. That is a second: long compared to a
 *	        fork or a slow disk, which make Redis pause for some tenths of a second
 *	        and are no reason to send callers away.
 *	lost    PULSE_LOST_LOOKS looks did, which is LINK_STALL_US. The connection is made
 *	        anew, unless anything else is under way (node_give_up()). Waiting for TCP
 *	        instead could take as long again as the network was gone, since its
 *	        retries are further and further apart.
 *
 * Looks are counted, not time: if the daemon itself was stopped, the answer is long
 * overdue when it wakes up, although it may have come meanwhile.
 *
 * TIME costs Redis as little as PING, and needs no right of its own, since the scripts
 * call it. Any reply counts as an answer, even "no permission", except one that says that
 * the server serves nobody (BUSY, LOADING). After such a one it is asked again, once a
 * second, until it says otherwise.
 *
 * All that follows from this is what pulse_beats() says, for /readyz, and the new
 * connection. Takes are sent as ever. An answer closes no breaker, shortens no back-off
 * and proves no connection: a server that answers TIME may well fail every call.
 *
 * Threads: belongs to its loop's thread.
 */
#ifndef REDIS_PULSE_H
#define REDIS_PULSE_H

#include <stdbool.h>

#include "base/attr.h"
#include "net/loop.h"
#include "redis/node.h"

#define PULSE_QUIET_US INT64_C(1000000)
#define PULSE_LOOK_US INT64_C(250000)
#define PULSE_SILENT_LOOKS 4
#define PULSE_LOST_LOOKS 12

struct pulse;

/* Borrows the node, which must be freed before the pulse. NULL when out of memory. */
struct pulse *pulse_new(struct loop *loop, struct node *node) MUST_CHECK;
void pulse_free(struct pulse *pulse); /* NULL is fine */

/* Whether it answers, as far as is known; if not, *why (a view) says what is wrong. Only
 * of use while the node is ready. Cheap. */
bool pulse_beats(const struct pulse *pulse, const char **why);

#endif
