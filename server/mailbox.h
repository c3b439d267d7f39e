/* SPDX-License-Identifier: ISC */
/*
 * What other threads tell a thread that runs a loop: letters, read there soon, each once
 * and in the order in which they were posted. Nothing is allocated for a letter.
 *
 * Threads: post and look from any; the rest in the reader's, or when it does not run.
 */
#ifndef SERVER_MAILBOX_H
#define SERVER_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "net/loop.h"
#include "ops/documents.h"

#define MAILBOX_MAX 1024  /* letters that may wait */
#define MAILBOX_ORDERS 16 /* places besides, for what must not be refused */

struct letter;

struct letter_kind {
	void (*read)(void *reader, const struct letter *letter);
	/* Gives back what it carries, when nobody reads it any more. NULL: nothing. */
	void (*drop)(const struct letter *letter);
};

/* Open data; a kind uses what it needs, and whoever reads it takes what it carries. */
struct letter {
	const struct letter_kind *kind; /* borrowed */
	size_t front;                   /* a client: for which front */
	int fd;                         /* and its descriptor */
	bool local;
	int stage;                  /* of a drain */
	struct documents documents; /* its references */
};

struct mailbox {
	pthread_mutex_t lock;
	struct loop *loop; /* borrowed */
	void *reader;
	struct letter
	    *letters; /* a ring of MAILBOX_MAX + MAILBOX_ORDERS; NULL: not open */
	size_t first, n;
};

/* For a zeroed box. From then on the loop's wake call is the mailbox's. 0, ERR_NOMEM. */
int mailbox_init(struct mailbox *box, struct loop *loop, void *reader) MUST_CHECK;
/* Drops what is unread. Before loop_free(). A zeroed one is fine. */
void mailbox_fini(struct mailbox *box);

/* Copies the letter and wakes the reader. False: the box is full. */
bool mailbox_post(struct mailbox *box, const struct letter *letter) MUST_CHECK;
/* The same for the few that cannot be refused: at most MAILBOX_ORDERS at once. */
void mailbox_order(struct mailbox *box, const struct letter *letter);
/* Whether mailbox_post() would be refused now. */
bool mailbox_is_full(struct mailbox *box) MUST_CHECK;

#endif
