/* SPDX-License-Identifier: ISC */
/*
 * Whether a single server, or the master that Sentinels name, still answers while nobody
 * asks it for anything. Its connection does not tell: a server that is frozen, or a
 * network that swallows packets, breaks none, and the breaker knows of calls alone. (Over
 * a Cluster redis/cluster_health asks the masters, and more than this.)
 *
 *	quiet   for PULSE_QUIET_US nothing has come over the node's connection, whatever
 *	        it was: the server is asked, once. While replies come nothing is asked.
 *	silent  PULSE_SILENT_LOOKS looks, PULSE_LOOK_US apart, have found the answer owed
 *	        and nothing heard. A second: checks fail long before that, but what asks
 *	        nothing can wait, and a fork or a slow disk makes a busy server pause for
 *	        some tenths of one, by which nobody shall be sent away.
 *	lost    PULSE_LOST_LOOKS have, which is LINK_STALL_US. Where nothing else is under
 *	        way (node_give_up()) the connection is made anew: TCP, whose retries are
 *	        ever further apart, may take as long again to find that a way that was shut
 *	        is open.
 *
 * It is looks that are counted, not time: a daemon that was frozen itself finds the answer
 * overdue by much, and accuses nobody until it has looked again.
 *
 * The question is TIME. It costs what a PING does, and whoever may run our scripts may ask
 * it, since they do: no user needs a right for this. Any answer will do, also that it may
 * not be asked, but one that says that the server answers nobody (BUSY, LOADING); then it
 * is asked again until it says otherwise.
 *
 * All that comes of it is what pulse_beats() says, for /readyz, and the new connection.
 * Checks are asked for as ever, and the breaker, the back-off and the proof of a
 * connection hear nothing of the answer: a server that answers this may well fail them.
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

/* Borrows the node, which is to be freed first. NULL when out of memory. */
struct pulse *pulse_new(struct loop *loop, struct node *node) MUST_CHECK;
void pulse_free(struct pulse *pulse); /* NULL is fine */

/* Whether it answers, as far as is known; else *why, a view, says what is amiss. Says
 * nothing of a node that is not ready. Cheap. */
bool pulse_beats(const struct pulse *pulse, const char **why);

#endif
