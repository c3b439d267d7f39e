/* SPDX-License-Identifier: ISC */
/*
 * Whether a take may wait for its turn, or is refused at once, since its turn would come
 * too late. Without that a server that is asked for more than it can do does nothing in
 * the end: whatever reaches it has waited for its whole deadline, nobody wants the
 * answer, and the charge is given back.
 *
 * - Takes are served in the order of their coming, so a take waits for as long as the
 *   server needs for those before it (Little's law). What it needs is what it did in the
 *   last ADMISSION_SPAN_US in which it had something to do, whatever made it so: itself,
 *   a link, others who use them.
 * - That holds only while there is a queue: an idle server answers one take in the time
 *   in which it would have answered hundreds. So nothing is refused before takes were
 *   seen to wait for longer than that.
 * - And it is what was done, not what can be: where waits are short although takes were
 *   refused more are let in, until all are again; where waits are long, fewer.
 * - At most twice as many are under way as were answered in good time, and no more than
 *   could be by what those took: they cannot be refused any more, and how long they take
 *   is not known before.
 * - When waits turn out to be too long, whoever waits unsent and would be answered too
 *   late by what was done is refused then, not at his deadline.
 * - A server that had nothing to do for ADMISSION_SPAN_US longer than it had something
 *   is not asked for more than it can do: what was seen before, a short stop of it say,
 *   is forgotten.
 *
 * Pure: time is a parameter. All zero is a valid struct admission: nothing is known.
 * Threads: belongs to its owner's.
 */
#ifndef REDIS_ADMISSION_H
#define REDIS_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many quarters of its time a take may wait; the rest is for what cannot be
 * foreseen. */
#define ADMISSION_QUARTERS 2
#define ADMISSION_SPAN_US 200000

struct admission {
	size_t waiting; /* takes that the server has to deal with, also those under way
	                     whose deadline passed */
	bool limited;   /* waits were too long */
	/* And by that less may wait than before: see admission_needs_us(). */
	bool tightened;
	int64_t done;       /* takes that were answered... */
	int64_t busy_us;    /* ...in so long */
	int64_t limited_us; /* since when it is limited */
	int64_t idle_us;    /* so much longer it had nothing to do since then */
	int64_t stretch;   /* of ADMISSION_EVEN: so much more may wait than follows from
	                     that */
	int64_t answer_us; /* when the last answer came */
	int64_t adjusted_us; /* when stretch was changed */
	int64_t refused_us;  /* when one was first refused since then; 0: none was */
	int64_t under_way;   /* takes that were sent */
	int64_t proven;      /* so many under way were answered in good time */
};

#define ADMISSION_EVEN 64
/* So many may always be under way. */
#define ADMISSION_FLIGHT 128

/* What a batch notes. */
struct admission_note {
	int64_t born_us;
	int64_t budget_us; /* what the first one's deadline left it */
	int64_t own;       /* its takes */
	int64_t sent_us;
	int64_t flight; /* takes that were under way then, with its own */
};

/* Whether a take may wait whose deadline is in budget_us (which may have passed). */
bool admission_allows(struct admission *a, int64_t budget_us, int64_t now_us);

/* How many takes may be under way. */
size_t admission_flight_max(const struct admission *a);

/* A batch is begun, by a take whose deadline is in budget_us. */
void admission_begin(struct admission_note *note, int64_t budget_us, int64_t now_us);
/* A take joined the batch; `n` left it, before it was sent. */
void admission_join(struct admission *a, struct admission_note *note);
void admission_leave(struct admission *a, struct admission_note *note, size_t n);

/* In what time those are answered who wait unsent: `own` of them behind `ahead`. Its
 * owner asks when `tightened` was set, and clears it. 0: it may be any. */
int64_t admission_needs_us(const struct admission *a, size_t ahead, size_t own);

/* Whether it may be sent now; and it is. */
bool admission_may_send(const struct admission *a, const struct admission_note *note);
void admission_on_send(
    struct admission *a, struct admission_note *note, int64_t now_us);

/* It was refused as a whole, and will be sent again. */
void admission_on_unsent(struct admission *a, const struct admission_note *note);

/* The oldest batch is still not answered: perhaps that is too long already. */
void admission_on_wait(
    struct admission *a, const struct admission_note *note, int64_t now_us);
/* It is answered. */
void admission_on_answer(
    struct admission *a, const struct admission_note *note, int64_t now_us);

#endif
