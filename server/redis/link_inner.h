/* SPDX-License-Identifier: ISC */
/* The inside of a link: what link.c keeps and greeting.c fills in. */
#ifndef REDIS_LINK_INNER_H
#define REDIS_LINK_INNER_H

#include "net/conn.h"
#include "redis/link.h"

#define LINK_SHA_LEN 40
#define LINK_PAUSE_FIRST_US INT64_C(10000)
/* A connection that was ready for this long has proved itself. */
#define LINK_PROOF_US INT64_C(1000000)

enum link_state {
	LINK_WAITING, /* in the pause before the next attempt */
	LINK_CONNECTING,
	LINK_GREETING, /* greeting.c has it */
	LINK_READY,
	LINK_CLOSED
};

struct expected {
	link_reply_fn *fn;
	void *arg;
};

struct link {
	enum link_state state;
	struct link_options options; /* options.address points to the one below */
	struct address address;
	char shown[REDIS_SHOWN_MAX];
	struct conn *conn;
	struct reply_reader *reader;
	struct loop_timer *timer; /* the pause, the connect timeout, or the proof */
	int64_t pause_us;         /* the next pause; grows until there is proof */
	int64_t heard_us;         /* when something last came */
	struct expected *owed;    /* a ring: who waits for the replies to come */
	size_t owed_head, owed_n, owed_cap;
	char take_sha[LINK_SHA_LEN + 1];
	char settle_sha[LINK_SHA_LEN + 1];
	enum store_fault fault; /* why it is not ready */
	char why[512];
	bool told;         /* the present trouble was logged */
	bool proved;       /* this connection has proved itself */
	bool doubted;      /* see link_doubted() */
	bool heard;        /* bytes came over this connection */
	size_t unfinished; /* bytes since the last whole reply */
	bool served; /* it was ready once, so that TLS is set up as the URL says */
};

/* link.c: the greeting went well. */
void link_become_ready(struct link *link);

/* greeting.c: begins the greeting; link_become_ready() or link_drop() follows. */
void link_greet(struct link *link);

#endif
