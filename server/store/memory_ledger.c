/* SPDX-License-Identifier: ISC */
/* Takes that leave a record behind: request ids, reservations, slots. */
#include <stdlib.h>
#include <string.h>

#include "limit/charged.h"
#include "store/memory_inner.h"
#include "store/record.h"

/* The most bytes that a charge adds to a record's text, besides its key. */
#define CHARGE_TEXT_MAX 80

/* The records, allocated before and filled in after the take is charged. */
struct papers {
	struct answer *answer; /* NULL: the take has no request id */
	struct buf note;       /* all its memory is reserved */
	struct record record;
	int64_t
	    counted[TAKE_CHARGES_MAX]; /* how much of each charge's cost was counted */
};

static struct spot *
id_spot(const struct take *take, struct spot *spots)
{
	return take->ledger->id_key.len > 0 ? &spots[take->n] : NULL;
}

static struct spot *
held_spot(const struct take *take, struct spot *spots)
{
	return take->ledger->held_key.len > 0 ? &spots[take->n + 1] : NULL;
}

void
ledger_set_spots(const struct take *take, struct spot *spots, struct shard_set *set)
{
	const struct ledger *ledger = take->ledger;

	memset(&spots[take->n], 0, LEDGER_SPOTS * sizeof(spots[0]));
	if (id_spot(take, spots))
		spot_set(&spots[take->n], ENTRY_ANSWER, ledger->id_key, set);
	if (held_spot(take, spots))
		spot_set(&spots[take->n + 1], ENTRY_NOTE, ledger->held_key, set);
}

/* --- a request id that was admitted before ------------------------------------ */

static void
replay(struct take *take, const struct answer *answer)
{
	struct ledger *ledger = take->ledger;

	for (size_t i = 0; i < take->n; i++) {
		take->charges[i].count = answer->charges[i].count;
		take->charges[i].lacked = answer->charges[i].lacked;
	}
	take->now_us = answer->now_us;
	take->refused = take->n;
	take->status = TAKE_ADMITTED;
	ledger->replayed = true;
	memcpy(ledger->replayed_holder, answer->holder, sizeof(answer->holder));
}

bool
ledger_answers(struct memory *m, struct take *take, struct spot *spots)
{
	struct ledger *ledger = take->ledger;
	struct spot *spot = id_spot(take, spots);
	const struct answer *answer;

	ledger->replayed = false;
	ledger->replayed_holder[0] = '\0';
	if (!spot)
		return false;
	spot_find(m, spot);
	if (!spot->entry || limit_expired(&spot->entry->state, take->now_us))
		return false;
	answer = entry_block(spot->entry);
	if (answer->n == take->n &&
	    slice_eq(slice_make(answer->print, LEDGER_PRINT_LEN), ledger->print))
		replay(take, answer);
	else
		take->status = TAKE_CONFLICT;
	return true;
}

/* --- an admitted take --------------------------------------------------------- */

/* Allocates everything that could fail, before anything is charged. */
static bool
papers_init(struct papers *p, const struct take *take)
{
	const struct ledger *ledger = take->ledger;
	size_t text = 1;

	p->answer = NULL;
	buf_init(&p->note);
	if (ledger->id_key.len > 0) {
		p->answer = malloc(
		    sizeof(*p->answer) + take->n * sizeof(p->answer->charges[0]));
		if (!p->answer)
			return false;
	}
	if (ledger->held_key.len == 0)
		return true;
	for (size_t i = 0; i < take->n; i++)
		text += take->charges[i].key.len + CHARGE_TEXT_MAX;
	return buf_reserve(&p->note,
		   sizeof(struct note) + take->n * sizeof(int64_t) + text) != NULL;
}

static void
papers_fini(struct papers *p)
{
	free(p->answer);
	buf_fini(&p->note);
}

static void
free_slots(struct take *take, struct spot *spots, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slots *slots;

		if (spots[i].kind != ENTRY_SLOTS || !spots[i].entry)
			continue;
		slots = entry_block(spots[i].entry);
		slots_free(slots, take->ledger->holder, take->now_us);
		spot_set_slots(&spots[i], slots, take->now_us);
	}
}

static bool
take_slot(struct take *take, struct spot *spot)
{
	const struct ledger *ledger = take->ledger;
	struct slots *slots = slots_take(entry_block(spot->entry), ledger->holder,
	    take->now_us / 1000 + ledger->ttl_ms, take->now_us);

	if (slots)
		spot_set_slots(spot, slots, take->now_us);
	return slots != NULL;
}

/* Takes a slot of each concurrency limit, or none at all. */
static bool
take_slots(struct memory *m, struct take *take, struct spot *spots)
{
	for (size_t i = 0; i < take->n; i++) {
		struct charge *c = &take->charges[i];

		if (spots[i].kind != ENTRY_SLOTS || !spots[i].entry ||
		    take_slot(take, &spots[i]))
			continue;
		if (!c->shadow) {
			free_slots(take, spots, i);
			return false;
		}
		c->lacked = true;
		if (spots[i].added)
			spot_drop(m, &spots[i]);
		spots[i].entry = NULL;
	}
	return true;
}

/* Makes an entry for each record; one that has expired is used again. */
static bool
add_records(struct memory *m, const struct take *take, struct spot *spots)
{
	struct spot *both[] = { id_spot(take, spots), held_spot(take, spots) };

	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		if (!both[i])
			continue;
		spot_find(m, both[i]);
		if (!both[i]->entry && !spot_add(m, both[i]))
			return false;
	}
	return true;
}

static void
keep_block(struct spot *spot, void *block, int64_t end_ms)
{
	free(entry_block(spot->entry));
	entry_set_block(spot->entry, block);
	spot->entry->state.end_ms = end_ms;
}

static void
keep_note(struct papers *p, const struct take *take, struct spot *spots)
{
	struct record *record = &p->record;
	int64_t after_ms[TAKE_CHARGES_MAX];
	struct note head;
	struct note *note;

	record->settled = false;
	record->n = record->n_parts = 0;
	for (size_t i = 0; i < take->n; i++) {
		const struct charge *c = &take->charges[i];
		struct charged at;

		/* A shadow charge that could not be made. */
		if (p->counted[i] == 0 && c->cost > 0)
			continue;
		at = charged_at(c->limit, c->count, take->now_us);
		after_ms[record->n] = at.after_ms;
		record->charges[record->n++] = (struct record_charge){ c->key,
			p->counted[i], c->corrects, at.algorithm, at.a, at.b };
	}
	head = (struct note){ .n = (uint32_t)record->n };
	buf_add(&p->note, &head, sizeof(head));
	buf_add(&p->note, after_ms, record->n * sizeof(after_ms[0]));
	record_format(record, &p->note);
	/* More was reserved than it takes. */
	note = realloc(p->note.data, p->note.len);
	if (!note)
		note = (struct note *)(void *)p->note.data;
	note->len =
	    (uint32_t)(p->note.len - sizeof(head) - record->n * sizeof(after_ms[0]));
	keep_block(
	    held_spot(take, spots), note, take->now_us / 1000 + take->ledger->ttl_ms);
}

static void
keep_answer(struct answer *answer, const struct take *take, struct spot *spots)
{
	const struct ledger *ledger = take->ledger;
	size_t len = ledger->held_key.len > 0 ? LEDGER_HOLDER_LEN : 0;

	memcpy(answer->print, ledger->print.ptr, LEDGER_PRINT_LEN);
	if (len > 0)
		memcpy(answer->holder, ledger->holder.ptr, len);
	answer->holder[len] = '\0';
	answer->now_us = take->now_us;
	answer->n = take->n;
	for (size_t i = 0; i < take->n; i++) {
		answer->charges[i].count = take->charges[i].count;
		answer->charges[i].lacked = take->charges[i].lacked;
	}
	keep_block(
	    id_spot(take, spots), answer, take->now_us / 1000 + ledger->dedup_ms);
}

bool
ledger_take(struct memory *m, struct take *take, struct spot *spots)
{
	struct papers papers;
	bool ok = papers_init(&papers, take) && memory_add_spots(m, take, spots) &&
	    add_records(m, take, spots) && take_slots(m, take, spots);

	if (!ok) {
		spot_undo_all(m, spots, take->n + LEDGER_SPOTS);
		papers_fini(&papers);
		return false;
	}
	for (size_t i = 0; i < take->n; i++)
		papers.counted[i] =
		    memory_charge(&take->charges[i], &spots[i], take->now_us);
	if (held_spot(take, spots))
		keep_note(&papers, take, spots);
	if (papers.answer)
		keep_answer(papers.answer, take, spots);
	return true;
}
