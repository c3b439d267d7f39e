/* SPDX-License-Identifier: ISC */
/*
 * One event loop, the only place (with its neighbours in net/) that knows libevent.
 *
 * A turn: wait for events, run their callbacks, then end the turn: call the on_turn hook
 * (which sends batches), write what connections gathered, free what was closed. So all
 * replies of one turn leave a connection in one write, and nothing is freed inside its
 * own callback. Where the loop_look_again_if() hook asks for it, the turn has a second
 * look before it ends: it writes, then runs the callbacks of what has arrived by then.
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
/* Closes what is still open (conns, listeners, timers) without callbacks; pointers to
 * them are invalid afterwards. NULL is fine. */
void loop_free(struct loop *loop);

/* Runs until loop_stop(); 0 or ERR_IO. */
int loop_run(struct loop *loop) MUST_CHECK;
void loop_stop(struct loop *loop);

/*
 * What the loops of a process count together, each client and byte once. Its owner
 * zeroes it and keeps it until the last of the loops is freed. A loop that joins no
 * group is a group of its own.
 */
struct loop_group {
	_Atomic size_t clients;  /* see loop_clients() */
	_Atomic size_t in_bytes; /* memory that accepted connections hold for requests
				    that have not arrived in full */
	size_t in_bytes_max;     /* of it; 0: no limit; see CONN_END_CROWDED. Set it
				    before the loops run */
};

/* Borrows the group. Call before the first conn. */
void loop_join(struct loop *loop, struct loop_group *group);

/* Accepted connections that are not closed yet, including those that only have their
 * last bytes written, and those that are expected. Any thread. */
size_t loop_clients(const struct loop *loop);
/* The same for all loops of the group. */
size_t loop_group_clients(const struct loop *loop);

/*
 * loop_expect_client(): a descriptor that another loop's thread has accepted is on its
 * way to this loop, and counts as its client from now on. Either loop_meet_client()
 * follows, in this loop's thread, when it has arrived – the conn_accept() after that
 * does not count it again – or loop_miss_client(), when it will not come.
 */
void loop_expect_client(struct loop *loop);
void loop_meet_client(struct loop *loop);
void loop_miss_client(struct loop *loop);
/* The number of the turn: two calls within one turn return the same. */
uint64_t loop_turn(const struct loop *loop);

/* Whether bytes still wait to be written to an accepted connection. Looks at each. */
bool loop_owes_bytes(const struct loop *loop);

/* Called at the end of each turn, before writing. */
void loop_on_turn(struct loop *loop, void (*fn)(void *arg), void *arg);

/* Asked once a turn, after its callbacks, when there is something to write. If `fn`
 * returns true, that is written at once, and what has arrived by then still belongs to
 * this turn. */
void loop_look_again_if(struct loop *loop, bool (*fn)(void *arg), void *arg);

/* loop_wake() makes the loop call `fn` soon, in its own thread, ahead of the other
 * events that wait by then. It is async-signal-safe. */
void loop_on_wake(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_wake(struct loop *loop);

/* clock_mono_us() as of this turn's start, or of its second look; cheap. */
int64_t loop_now_us(const struct loop *loop);

/* A one-shot timer: never early, and while the loop is free at most a few ms late.
 * Re-arm it in its callback to repeat it. Moving it further off is cheap. NULL: out of
 * memory. */
struct loop_timer *loop_timer_new(
    struct loop *loop, void (*fn)(void *arg), void *arg) MUST_CHECK;
void loop_timer_set(struct loop_timer *timer, int64_t delay_us); /* (re)arms */
void loop_timer_cancel(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* also inside its callback */

/* Calls `fn` in the loop's thread when the process gets signal `signo`. To be set once
 * per signal number, and in one loop of the process only. 0 or ERR_NOMEM. */
int loop_on_signal(struct loop *loop, int signo, void (*fn)(void *arg, int signo),
    void *arg) MUST_CHECK;

#endif
