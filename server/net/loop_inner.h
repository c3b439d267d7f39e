/* SPDX-License-Identifier: ISC */
/* What the files of net/ share about a loop. Nobody else includes this. */
#ifndef NET_LOOP_INNER_H
#define NET_LOOP_INNER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "net/address.h"
#include "net/loop.h"

#define LOOP_READ_MAX 65536         /* bytes read from one conn in one turn */
#define LOOP_SPARE_MAX 512          /* buffers kept for re-use */
#define LOOP_SPARE_BYTES (1u << 20) /* what they may hold together */
#define LOOP_BUF_FIRST 4096         /* the size a buffer starts with */
#define LOOP_ROUNDS_MAX 16          /* of writing at the end of one turn */
#define LOOP_FATAL_EXIT 69          /* the same as EXIT_CODE_DEPENDENCY, in ops/ */

/* First member of what is freed at the end of the turn. */
struct loop_garbage {
	struct loop_garbage *next;
	void (*reclaim)(struct loop_garbage *garbage);
};

TAILQ_HEAD(conn_queue, conn);
LIST_HEAD(listener_list, listener);
LIST_HEAD(timer_list, loop_timer);
LIST_HEAD(signal_list, loop_signal);

struct loop {
	struct event_base *base;
	bool stopped;
	int64_t now_us; /* 0: not read in this turn yet */
	void (*turn_fn)(void *arg);
	void *turn_arg;
	bool (*look_fn)(void *arg);
	void *look_arg;
	void (*wake_fn)(void *arg);
	void *wake_arg;
	int wake_fd;
	struct event wake_event;

	struct conn *conns; /* a ring; the sweep turns it */
	size_t n_conns;
	_Atomic size_t
	    n_accepted; /* those of them that were accepted, and expected ones */
	bool met;       /* the next conn_accept() is counted already */
	struct conn_queue dirty; /* to be written and settled at the turn's end */
	size_t n_dirty;
	struct conn_queue again; /* kept input to be shown again */
	size_t n_again;
	struct conn_queue later; /* those that yielded until the next turn */
	size_t n_later;
	uint64_t turn;
	struct loop_group *group; /* borrowed, or &alone */
	struct loop_group alone;
	struct loop_timer *sweep; /* runs while there are conns */

	struct listener_list listeners;
	struct timer_list timers;
	struct signal_list signals;
	struct loop_garbage *garbage;

	char *in; /* LOOP_READ_MAX bytes, read into by whoever reads */
	struct buf spare[LOOP_SPARE_MAX];
	size_t n_spare;
	size_t spare_bytes;
	char peer_text[ADDRESS_TEXT_MAX];
};

/* Calls `reclaim` once no callback of this turn can be using it. */
void loop_discard(struct loop *loop, struct loop_garbage *garbage,
    void (*reclaim)(struct loop_garbage *garbage));

/* loop_buf_lend() gives an empty `b` the memory of a spare buffer, loop_buf_return()
 * takes it back and forgets the bytes in it. */
void loop_buf_lend(struct loop *loop, struct buf *b);
void loop_buf_return(struct loop *loop, struct buf *b);

#endif
