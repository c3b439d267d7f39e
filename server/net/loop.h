/* SPDX-License-Identifier: ISC */
/*
 * One event loop, the only place (with its neighbours in net/) that knows libevent.
 *
 * A turn: wait for events, run their callbacks, then end the turn: the on_turn hook
 * (send batches), write what connections gathered, free what was closed. So all
 * replies of one turn leave in one write, and nothing is freed inside its own callback.
 * Between, where loop_look_again_if() says so: write, and run the callbacks of what has
 * arrived by then.
 *
 * Threads: a loop belongs to the thread that runs it; only loop_wake(), loop_clients(),
 * loop_expect_client() and loop_miss_client() may be called from another thread,
 * loop_wake() also from a signal handler.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct loop;
struct loop_timer;

struct loop *loop_new(void) MUST_CHECK; /* NULL: out of memory or descriptors */
/* Closes what is still open (conns, listeners, timers) without callbacks; their
 * pointers die with it. NULL is fine. */
void loop_free(struct loop *loop);

/* Runs until loop_stop(); 0 or ERR_IO. */
int loop_run(struct loop *loop) MUST_CHECK;
void loop_stop(struct loop *loop);

/*
 * What the loops of a process count together, each client and byte once; zeroed by its
 * owner, who keeps it until the last of them is freed. A loop that joined none is alone.
 */
struct loop_group {
	_Atomic size_t clients;
	_Atomic size_t in_bytes;
	size_t in_bytes_max; /* 0: no limit; set before the loops run */
};

/* Before the first conn. Borrows it. */
void loop_join(struct loop *loop, struct loop_group *group);

/* Accepted connections that are not closed yet, those that are only written out to and
 * those that are expected included. Any thread. */
size_t loop_clients(const struct loop *loop);
/* The same of all loops of its group. */
size_t loop_group_clients(const struct loop *loop);

/*
 * A descriptor that one loop's thread has accepted is on its way to another loop: it
 * counts as that one's client from now on. What follows is loop_meet_client() in the
 * loop's own thread, and the conn_accept() after it does not count it again – or
 * loop_miss_client(): it does not come.
 */
void loop_expect_client(struct loop *loop);
void loop_meet_client(struct loop *loop);
void loop_miss_client(struct loop *loop);
/* Counts the turns: two calls in one turn give the same number. */
uint64_t loop_turn(const struct loop *loop);

/* Bytes of memory that accepted connections of the group may hold for requests that are
 * not whole yet, all together; see CONN_END_CROWDED. 0, the default: no limit. */
void loop_limit_input(struct loop *loop, size_t max);

/* Whether bytes still wait to be written to one of them. Looks at each. */
bool loop_owes_bytes(const struct loop *loop);

/* At the end of each turn, before writing. */
void loop_on_turn(struct loop *loop, void (*fn)(void *arg), void *arg);

/* Asked once a turn, when its callbacks have run and there is something to write. True:
 * it is written now, and what has arrived by then belongs to the same turn. */
void loop_look_again_if(struct loop *loop, bool (*fn)(void *arg), void *arg);

/* Makes the loop call `fn` soon in its own thread, before what else has happened by
 * then; async-signal-safe. */
void loop_on_wake(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_wake(struct loop *loop);

/* clock_mono_us() as of this turn's start, or of its second look; cheap. */
int64_t loop_now_us(const struct loop *loop);

/* A one-shot timer, never early, late by a few ms at most while the loop is free;
 * re-arm it in its callback to repeat. Pushing it further off is cheap. */
struct loop_timer *loop_timer_new(
    struct loop *loop, void (*fn)(void *arg), void *arg) MUST_CHECK;
void loop_timer_set(struct loop_timer *timer, int64_t delay_us); /* (re)arms */
void loop_timer_cancel(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* also inside its callback */

/* Calls `fn` in the loop's thread when the process gets signal `signo`; once per
 * signal number, and in one loop of the process only. 0 or ERR_NOMEM. */
int loop_on_signal(struct loop *loop, int signo, void (*fn)(void *arg, int signo),
    void *arg) MUST_CHECK;

#endif
