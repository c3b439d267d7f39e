/* SPDX-License-Identifier: ISC */
#include "mailbox.h"

#include <assert.h>
#include <stdlib.h>

#define PLACES (MAILBOX_MAX + MAILBOX_ORDERS)

/* Takes out the oldest letter; false: there is none. */
static bool
take_first(struct mailbox *box, struct letter *out)
{
	bool found;

	pthread_mutex_lock(&box->lock);
	found = box->n > 0;
	if (found) {
		*out = box->letters[box->first];
		box->first = (box->first + 1) % PLACES;
		box->n--;
	}
	pthread_mutex_unlock(&box->lock);
	return found;
}

/* Reads until the box is empty, since only a letter into an empty box wakes the reader. */
static void
on_wake(void *arg)
{
	struct mailbox *box = arg;
	struct letter letter;

	while (take_first(box, &letter))
		letter.kind->read(box->reader, &letter);
}

int
mailbox_init(struct mailbox *box, struct loop *loop, void *reader)
{
	box->letters = calloc(PLACES, sizeof(*box->letters));
	if (!box->letters)
		return ERR_NOMEM;
	pthread_mutex_init(&box->lock, NULL);
	box->loop = loop;
	box->reader = reader;
	loop_on_wake(loop, on_wake, box);
	return 0;
}

void
mailbox_fini(struct mailbox *box)
{
	struct letter letter;

	if (!box->letters)
		return;
	loop_on_wake(box->loop, NULL, NULL);
	while (take_first(box, &letter))
		if (letter.kind->drop)
			letter.kind->drop(&letter);
	pthread_mutex_destroy(&box->lock);
	free(box->letters);
	*box = (struct mailbox){ 0 };
}

static bool
put_last(struct mailbox *box, const struct letter *letter, size_t max)
{
	bool fits;
	bool was_empty;

	pthread_mutex_lock(&box->lock);
	fits = box->n < max;
	was_empty = box->n == 0;
	if (fits)
		box->letters[(box->first + box->n++) % PLACES] = *letter;
	pthread_mutex_unlock(&box->lock);
	if (fits && was_empty)
		loop_wake(box->loop);
	return fits;
}

bool
mailbox_post(struct mailbox *box, const struct letter *letter)
{
	return put_last(box, letter, MAILBOX_MAX);
}

void
mailbox_order(struct mailbox *box, const struct letter *letter)
{
	bool fits = put_last(box, letter, PLACES);

	assert(fits);
	(void)fits;
}

bool
mailbox_is_full(struct mailbox *box)
{
	bool full;

	pthread_mutex_lock(&box->lock);
	full = box->n >= MAILBOX_MAX;
	pthread_mutex_unlock(&box->lock);
	return full;
}
