/* SPDX-License-Identifier: ISC */
/*
 * One event loop, the only place (with its neighbours in net/) that knows libevent.
 *
 * A turn: wait for events, run their callbacks, then end the turn: the on_turn hook
 * (send batches), write what connections gathered, free what was closed. So all
 * replies of one turn leave in one write, and nothing is freed inside its own callback.
 *
 * Threads: a loop belongs to the thread that runs it; only loop_wake() may be called
 * from another thread or a signal handler.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

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

/* Accepted connections that are not closed yet, those that are only written out to
 * included. */
size_t loop_clients(const struct loop *loop);
/* Counts the turns: two calls in one turn give the same number. */
uint64_t loop_turn(const struct loop *loop);

/* Bytes of memory that accepted connections may hold for requests that are not whole
 * yet, all together; see CONN_END_CROWDED. 0, the default: no limit. */
void loop_limit_input(struct loop *loop, size_t max);

/* Whether bytes still wait to be written to one of them. Looks at each. */
bool loop_owes_bytes(const struct loop *loop);

/* At the end of each turn, before writing. */
void loop_on_turn(struct loop *loop, void (*fn)(void *arg), void *arg);

/* Makes the loop call `fn` soon in its own thread; async-signal-safe. */
void loop_on_wake(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_wake(struct loop *loop);

/* clock_mono_us() as of this turn's start; cheap. */
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
