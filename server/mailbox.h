/* SPDX-License-Identifier: ISC */
/*
 * How other threads tell something to a thread that runs a loop: by letters, which are
 * read there soon, each once, in the order of posting. A letter costs no malloc.
 *
 * Threads: mailbox_post(), mailbox_order() and mailbox_is_full() from any; the rest in
 * the reader's, or while that does not run.
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
#define MAILBOX_ORDERS 16 /* further places, for letters that must not be refused */

struct letter;

struct letter_kind {
	void (*read)(void *reader, const struct letter *letter);
	/* Releases what the letter carries when it will never be read. NULL: it carries
	 * nothing. */
	void (*drop)(const struct letter *letter);
};

/* Open data. A kind uses the fields it needs; its reader takes what they own. */
struct letter {
	const struct letter_kind *kind; /* borrowed */
	size_t front;                   /* a client: the front it is for, */
	int fd;                         /* its descriptor, */
	bool local; /* and whether only this host reaches its listener */
	int stage;  /* an enum drain_stage */
	struct documents documents; /* owned references */
};

struct mailbox {
	pthread_mutex_t lock;
	struct loop *loop; /* borrowed */
	void *reader;
	struct letter *letters; /* a ring of MAILBOX_MAX + MAILBOX_ORDERS; NULL: none */
	size_t first, n;
};

/* The box must be zeroed. From now on the loop's loop_on_wake() belongs to the mailbox.
 * 0 or ERR_NOMEM. */
int mailbox_init(struct mailbox *box, struct loop *loop, void *reader) MUST_CHECK;
/* Drops what is unread. Call before loop_free(). A zeroed box is fine. */
void mailbox_fini(struct mailbox *box);

/* Copies the letter and wakes the reader. False: the box is full. */
bool mailbox_post(struct mailbox *box, const struct letter *letter) MUST_CHECK;
/* The same for letters that cannot be refused; at most MAILBOX_ORDERS may wait. */
void mailbox_order(struct mailbox *box, const struct letter *letter);
/* Whether mailbox_post() would be refused now. */
bool mailbox_is_full(struct mailbox *box) MUST_CHECK;

#endif
