/* SPDX-License-Identifier: ISC */
/*
 * Admission control: whether a take may wait for its turn, or is refused at once because
 * its turn would come too late. Without it a server that is asked for more than it can do
 * ends up doing nothing useful: whatever reaches it has waited for its whole deadline,
 * nobody wants the answer any more, and the charge is given back.
 *
 * - Takes are served in the order in which they come, so a take waits as long as the
 *   server needs for those before it (Little's law). The rate is what was answered in the
 *   last ADMISSION_SPAN_US of busy time, whatever limits it: the server, a link, or others
 *   who use them.
 * - A rate means something only while there is a queue: an idle server answers one take
 *   in the time in which it could have answered hundreds. So nothing is refused until
 *   takes were seen to wait for longer than they may.
 * - And it is what was done, not what could be done. So where waits are short although
 *   takes were refused, more are let in, until all are again; where waits are long, fewer.
 * - At most twice as many takes are under way as were answered in good time, and no more
 *   than could be at the pace of those: once sent they can no longer be refused, and how
 *   long they will take is not known beforehand.
 * - When waits turn out too long, an unsent take that would be answered too late at the
 *   rate of late is refused then, not at its deadline.
 * - A server that was idle for ADMISSION_SPAN_US longer than it was busy is not asked for
 *   more than it can do: what was seen before, such as a short stall, is forgotten.
 *
 * Pure: time is a parameter; times ending in _us are clock_mono_us() unless they are
 * durations. All zero is a valid struct admission, which knows nothing yet.
 * Threads: belongs to its owner's.
 */
#ifndef REDIS_ADMISSION_H
#define REDIS_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many quarters of the time to its deadline a take may wait; the rest is a reserve
 * for what cannot be foreseen. */
#define ADMISSION_QUARTERS 2
#define ADMISSION_SPAN_US 200000

struct admission {
	size_t waiting;  /* takes that the server has yet to deal with, including those
			   under way whose deadline has passed */
	bool limited;    /* waits were too long: takes may be refused */
	bool tightened;  /* fewer may wait than before; the owner clears it, see
			   admission_needs_us() */
	int64_t done;    /* takes that were answered ... */
	int64_t busy_us; /* ... in that much busy time */
	int64_t limited_us; /* when `limited` was set */
	int64_t idle_us;    /* since then: time idle less time busy, 0 ... */
	int64_t stretch; /* how many may wait, as a part of what done / busy_us implies;
			       ADMISSION_EVEN: exactly that many */
	int64_t answer_us;   /* when the last answer came */
	int64_t adjusted_us; /* when stretch was last changed */
	int64_t refused_us;  /* when a take was first refused since then; 0: none was */
	int64_t under_way;   /* takes that were sent */
	int64_t proven;      /* how many under way were answered in good time */
};

#define ADMISSION_EVEN 64
/* This many may always be under way. */
#define ADMISSION_FLIGHT 128

/* What each batch carries along. */
struct admission_note {
	int64_t born_us;
	int64_t
	    budget_us; /* time to the deadline of its first take, when it was born */
	int64_t own;   /* how many takes it has */
	int64_t sent_us;
	int64_t
	    flight; /* takes that were under way once it was sent, its own included */
};

/* Whether a take may wait whose deadline is in budget_us (negative: it has passed). */
bool admission_allows(struct admission *a, int64_t budget_us, int64_t now_us);

/* How many takes may be under way. */
size_t admission_flight_max(const struct admission *a);

/* A batch was begun, by a take whose deadline is in budget_us. */
void admission_begin(struct admission_note *note, int64_t budget_us, int64_t now_us);
/* A take joined the batch; `n` takes left it before it was sent. */
void admission_join(struct admission *a, struct admission_note *note);
void admission_leave(struct admission *a, struct admission_note *note, size_t n);

/* How long it takes until unsent takes are answered, `own` of them behind `ahead` others;
 * one whose deadline is sooner should be refused. To be asked for each batch that gathers
 * after `tightened` was set. 0: there is nothing to refuse. */
int64_t admission_needs_us(const struct admission *a, size_t ahead, size_t own);

/* Whether the batch may be sent now; it was sent. */
bool admission_may_send(const struct admission *a, const struct admission_note *note);
void admission_on_send(
    struct admission *a, struct admission_note *note, int64_t now_us);

/* The call was refused as a whole, and will be sent again. */
void admission_on_unsent(struct admission *a, const struct admission_note *note);

/* The oldest batch has no answer yet, which may already be too long. */
void admission_on_wait(
    struct admission *a, const struct admission_note *note, int64_t now_us);
/* The batch was answered. */
void admission_on_answer(
    struct admission *a, const struct admission_note *note, int64_t now_us);

#endif
