/* SPDX-License-Identifier: ISC */
/*
 * One connection: the checks that wait on it, their requests and answers. One that failed
 * or was closed is opened again for the next check.
 */
#ifndef PACER_CONN_H
#define PACER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report.h"
#include "route.h"

#define FIFO_MAX 8192 /* checks under way on one connection */

enum conn_state { CLOSED, CONNECTING, OPEN };

struct conn {
	struct route *route; /* borrowed */
	bool is_http;
	size_t target; /* its index */
	int fd;
	enum conn_state state;
	bool last; /* HTTP said "Connection: close" */
	int64_t retry_us;
	struct asked *fifo; /* a ring of FIFO_MAX */
	size_t first, n;
	char *in, *out;
	size_t in_len, out_len;
	bool wants_write;
};

/* Where the events of all of them come; their data.ptr is the conn. */
int conns_epoll(void);
/* Checks that wait, on all of them. */
size_t conns_under_way(void);

/* Returns one that connects. */
struct conn *conn_new(struct route *route, bool is_http, size_t target);
void conn_on_event(struct conn *conn, uint32_t what);
/* Whether it can take a check while less than `max` wait; one that the other side has
 * closed is dropped before. */
bool conn_has_room(struct conn *conn, size_t max);
void conn_ask(struct conn *conn, size_t call);
/* Gives up what has waited for longer than timeout_us; connects again. */
void conn_look_after(struct conn *conn, int64_t now, int64_t timeout_us);

#endif
