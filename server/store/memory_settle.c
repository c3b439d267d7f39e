/* SPDX-License-Identifier: ISC */
/* Settlements of reservations, and resets. */
#include <stdlib.h>
#include <string.h>

#include "limit/charged.h"
#include "store/memory_inner.h"
#include "store/record.h"

/* A settlement under way. Only the reservation's note tells which shards it needs, so that
 * is read first, and again once all of them are locked. */
struct settling {
	struct memory *memory;
	struct settle *settle;
	struct note *note; /* a copy */
	struct record record;
	struct spot held;
	struct spot spots[TAKE_CHARGES_MAX];
	struct shard_set set;
	int64_t now_us;
};

enum step {
	STEP_DONE,  /* the status is known */
	STEP_READ,  /* there is something to settle */
	STEP_AGAIN, /* somebody else changed the note meanwhile */
	STEP_FULL   /* there was no room */
};

static enum step
end_with(struct settle *settle, enum settle_status status)
{
	settle->status = status;
	return STEP_DONE;
}

static size_t
note_bytes(const struct note *note)
{
	return sizeof(*note) + note->n * sizeof(note->after_ms[0]) + note->len;
}

/* The note as it is now; its shard must be locked. */
static enum step
find_note(struct settling *s, struct note **out)
{
	spot_find(s->memory, &s->held);
	if (!s->held.entry || limit_expired(&s->held.entry->state, s->now_us))
		return end_with(s->settle, SETTLE_UNKNOWN);
	*out = entry_block(s->held.entry);
	if (slice_eq_str(note_text(*out), RECORD_SETTLED))
		return end_with(s->settle, SETTLE_ALREADY);
	return STEP_READ;
}

/* Copies the note, and finds out what it is about. */
static enum step
read_note(struct settling *s)
{
	struct note *note;
	enum step step;

	s->set = (struct shard_set){ { 0 } };
	spot_set(&s->held, ENTRY_NOTE, s->settle->key, &s->set);
	memory_lock_all(s->memory, &s->set);
	s->now_us = memory_now_us(s->memory);
	step = find_note(s, &note);
	if (step == STEP_READ) {
		s->note = malloc(note_bytes(note));
		if (s->note)
			memcpy(s->note, note, note_bytes(note));
		else
			step = STEP_FULL;
	}
	memory_unlock_all(s->memory, &s->set);
	if (step == STEP_READ && record_parse(note_text(s->note), &s->record) < 0)
		return end_with(s->settle, SETTLE_UNKNOWN);
	return step;
}

static struct charged
charged_of(const struct settling *s, size_t i)
{
	const struct record_charge *c = &s->record.charges[i];

	return (struct charged){ .algorithm = c->algorithm,
		.a = c->a,
		.b = c->b,
		.after_ms = s->note->after_ms[i] };
}

/* What the charge is to cost in the end. */
static int64_t
true_cost(const struct settling *s, size_t i)
{
	const struct record_charge *c = &s->record.charges[i];

	if (s->settle->action == SETTLE_ROLLBACK)
		return 0;
	return c->corrects && s->settle->cost >= 0 ? s->settle->cost : c->cost;
}

/* Whether the counter is gone and has to be made again. */
static bool
begins(const struct settling *s, size_t i)
{
	struct charged at = charged_of(s, i);
	struct limit_state state = { 0 };

	if (s->spots[i].entry || s->spots[i].kind != ENTRY_COUNTER)
		return false;
	charged_correct(
	    &at, &state, s->record.charges[i].cost, true_cost(s, i), s->now_us);
	return !limit_expired(&state, s->now_us);
}

/* Makes entries for all counters that begin again, or for none of them. */
static bool
add_counters(struct settling *s)
{
	for (size_t i = 0; i < s->record.n; i++) {
		if (begins(s, i) && !spot_add(s->memory, &s->spots[i])) {
			spot_undo_all(s->memory, s->spots, i);
			return false;
		}
	}
	return true;
}

static void
free_slot(struct settling *s, struct spot *spot)
{
	struct slots *slots = entry_block(spot->entry);

	slots_free(slots, s->settle->holder, s->now_us);
	spot_set_slots(spot, slots, s->now_us);
}

/* Removes an entry that holds nothing any more. */
static void
drop_empty(struct settling *s, struct spot *spot)
{
	const struct limit_state *state = &spot->entry->state;

	if (limit_expired(state, s->now_us) ||
	    (spot->kind == ENTRY_COUNTER && state->used == 0 && state->before == 0))
		spot_drop(s->memory, spot);
}

static void
correct(struct settling *s, size_t i)
{
	struct spot *spot = &s->spots[i];
	struct charged at = charged_of(s, i);

	if (!spot->entry)
		return;
	if (spot->kind == ENTRY_SLOTS)
		free_slot(s, spot);
	else
		charged_correct(&at, &spot->entry->state, s->record.charges[i].cost,
		    true_cost(s, i), s->now_us);
	drop_empty(s, spot);
}

/* What remains of the note is that it was settled. */
static void
keep_settled(struct settling *s, struct note *note)
{
	struct note *small;

	note->n = 0;
	note->len = sizeof(RECORD_SETTLED) - 1;
	memcpy(note->after_ms, RECORD_SETTLED, note->len);
	small = realloc(note, note_bytes(note));
	entry_set_block(s->held.entry, small ? small : note);
	s->held.entry->state.end_ms = s->now_us / 1000 + s->settle->keep_ms;
}

/* Commit and rollback. */
static enum step
finish(struct settling *s, struct note *note)
{
	if (!add_counters(s))
		return STEP_FULL;
	for (size_t i = 0; i < s->record.n; i++)
		correct(s, i);
	keep_settled(s, note);
	return end_with(s->settle, SETTLE_DONE);
}

/* Whether all slots are still held, found out by renewals that change nothing, before any
 * slot is prolonged. */
static bool
holds_all(struct settling *s)
{
	for (size_t i = 0; i < s->record.n; i++) {
		struct spot *spot = &s->spots[i];

		if (spot->kind != ENTRY_SLOTS)
			continue;
		if (!spot->entry ||
		    !slots_renew(
			entry_block(spot->entry), s->settle->holder, 0, s->now_us))
			return false;
	}
	return true;
}

static enum step
renew(struct settling *s)
{
	int64_t until_ms = s->now_us / 1000 + s->settle->ttl_ms;
	struct limit_state *held = &s->held.entry->state;

	if (!holds_all(s))
		return end_with(s->settle, SETTLE_UNKNOWN);
	for (size_t i = 0; i < s->record.n; i++) {
		struct spot *spot = &s->spots[i];
		struct slots *slots;

		if (spot->kind != ENTRY_SLOTS)
			continue;
		slots = entry_block(spot->entry);
		if (slots_renew(slots, s->settle->holder, until_ms, s->now_us))
			spot_set_slots(spot, slots, s->now_us);
	}
	if (held->end_ms < until_ms)
		held->end_ms = until_ms;
	return end_with(s->settle, SETTLE_DONE);
}

/* All shards must be locked. */
static enum step
settle_locked(struct settling *s)
{
	struct note *note;
	enum step step;

	s->now_us = memory_now_us(s->memory);
	memory_prepare(s->memory, &s->set, s->record.n + 1, s->now_us);
	step = find_note(s, &note);
	if (step != STEP_READ)
		return step;
	if (note_bytes(note) != note_bytes(s->note) ||
	    memcmp(note, s->note, note_bytes(note)) != 0)
		return STEP_AGAIN;
	for (size_t i = 0; i < s->record.n; i++)
		spot_find(s->memory, &s->spots[i]);
	return s->settle->action == SETTLE_RENEW ? renew(s) : finish(s, note);
}

static enum step
settle_once(struct settling *s)
{
	enum step step = read_note(s);

	if (step == STEP_READ) {
		for (size_t i = 0; i < s->record.n; i++) {
			const struct record_charge *c = &s->record.charges[i];

			spot_set(
			    &s->spots[i], spot_kind(c->algorithm), c->key, &s->set);
		}
		memory_lock_all(s->memory, &s->set);
		step = settle_locked(s);
		memory_unlock_all(s->memory, &s->set);
	}
	free(s->note);
	s->note = NULL;
	return step;
}

void
memory_settle(struct store *store, struct settle *settle)
{
	struct settling s = { .memory = memory_of(store), .settle = settle };
	size_t sweeps = 0;
	enum step step;

	do {
		step = settle_once(&s);
	} while (step == STEP_AGAIN ||
	    (step == STEP_FULL && sweeps++ < TAKE_CHARGES_MAX &&
		memory_sweep(s.memory)));
	if (step == STEP_FULL) {
		store_fail_settle(store, settle, FAULT_MEMORY, NULL);
		return;
	}
	settle->fault = FAULT_NONE;
	settle->detail[0] = '\0';
	settle->done(settle);
}

/* --- reset -------------------------------------------------------------------- */

/* Whether the key held something. */
static bool
forget_key(struct memory *m, struct slice key, int64_t now_us)
{
	static const enum entry_kind counting[] = { ENTRY_COUNTER, ENTRY_SLOTS };
	struct shard_set unused = { { 0 } };
	bool held = false;

	for (size_t i = 0; i < ARRAY_LEN(counting); i++) {
		struct spot spot;

		spot_set(&spot, counting[i], key, &unused);
		spot_find(m, &spot);
		if (!spot.entry)
			continue;
		held |= spot.kind == ENTRY_SLOTS
		    ? slots_count(entry_block(spot.entry), now_us).used > 0
		    : !limit_expired(&spot.entry->state, now_us);
		spot_drop(m, &spot);
	}
	return held;
}

void
memory_reset(struct store *store, struct reset *reset)
{
	struct memory *m = memory_of(store);
	struct shard_set set = { { 0 } };
	struct spot spot;
	int64_t now_us;

	for (size_t i = 0; i < reset->n; i++)
		spot_set(&spot, ENTRY_COUNTER, reset->keys[i], &set);
	reset->held = 0;
	memory_lock_all(m, &set);
	now_us = memory_now_us(m);
	for (size_t i = 0; i < reset->n; i++)
		reset->held += forget_key(m, reset->keys[i], now_us);
	memory_unlock_all(m, &set);
	reset->fault = FAULT_NONE;
	reset->detail[0] = '\0';
	reset->done(reset);
}
