/* SPDX-License-Identifier: ISC */
#include "redis/span.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "redis/late.h"

#define ID_DIGITS 32
/* In a try that is answered, the last record is at most this much younger than the first. */
#define EXPIRING_US INT64_C(5000000)

/* What is taken in one slot. */
struct part {
	struct take take;
	struct span *span;
	unsigned slot;
	struct ledger ledger;
	size_t id_at, held_at; /* offsets of its keys in span.text */
};

struct span {
	struct cluster *cluster;
	struct take *whole;
	size_t n_parts;
	size_t at;      /* index of the part under way; those before it are taken */
	size_t pending; /* how many looks are under way */
	size_t
	    refused; /* of the whole's charges, the first that lacked room; n: none */
	struct buf text;
	char holder[LEDGER_HOLDER_LEN + 1];
	bool adopted; /* the holder is an earlier try's */
	size_t
	    *origin; /* of each charge, in the order of the parts: which of the whole */
	struct charge *charges;
	struct part parts[];
};

static struct part *
part_of(struct take *take)
{
	return CONTAINER_OF(take, struct part, take);
}

static bool
is_home(const struct part *part)
{
	return part == &part->span->parts[part->span->n_parts - 1];
}

/* --- the ledger's keys ------------------------------------------------------------ */

/* From '{' to '}'. */
static struct slice
tag_of(struct slice key)
{
	const char *open = memchr(key.ptr, '{', key.len);
	const char *close =
	    open ? memchr(open, '}', key.len - (size_t)(open - key.ptr)) : NULL;

	return close ? slice_make(open, (size_t)(close + 1 - open)) : slice_make("", 0);
}

/* Writes a key PREFIX:POLICY:{SCOPE}REST with another scope. Returns where REST begins in
 * the original key. */
static size_t
add_front(struct buf *out, struct slice key, struct slice tag)
{
	struct slice own = tag_of(key);
	size_t front = (size_t)(own.ptr - key.ptr);

	buf_add(out, key.ptr, front);
	buf_add_slice(out, tag);
	return front + own.len;
}

/* A request id is unique only within its policy and grant. In another scope's slot, which
 * others share, a digest of its original key stands for it. */
static void
add_id_key(struct buf *out, struct slice key, struct slice tag)
{
	char digits[ID_DIGITS + 1];

	add_front(out, key, tag);
	hash_sha256_hex(key, digits, ID_DIGITS);
	buf_add_str(out, ":#~");
	buf_add_str(out, digits);
}

/* A key that ends with the span's holder. */
static void
add_held_key(struct span *span, struct slice key, struct slice tag)
{
	size_t rest = add_front(&span->text, key, tag);

	buf_add(&span->text, key.ptr + rest, key.len - rest - LEDGER_HOLDER_LEN);
	buf_add(&span->text, span->holder, LEDGER_HOLDER_LEN);
}

static void
add_part_keys(struct part *part)
{
	struct span *span = part->span;
	const struct ledger *whole = span->whole->ledger;
	struct slice home = whole->id_key.len > 0 ? whole->id_key : whole->held_key;
	struct slice tag =
	    is_home(part) ? tag_of(home) : tag_of(part->take.charges[0].key);

	part->id_at = span->text.len;
	if (whole->id_key.len > 0 && is_home(part))
		buf_add_slice(&span->text, whole->id_key);
	else if (whole->id_key.len > 0)
		add_id_key(&span->text, whole->id_key, tag);
	part->held_at = span->text.len;
	if (whole->held_key.len > 0)
		add_held_key(span, whole->held_key, tag);
}

static void
point_part(struct part *part, size_t end)
{
	const char *text = part->span->text.data;
	struct ledger *ledger = &part->ledger;

	ledger->id_key = slice_make(text + part->id_at, part->held_at - part->id_at);
	ledger->held_key = slice_make(text + part->held_at, end - part->held_at);
	if (ledger->held_key.len > 0)
		ledger->holder = slice_make(part->span->holder, LEDGER_HOLDER_LEN);
}

/* Writes the keys of all parts, and for the last one the names of the others' records. With
 * another holder it can be done again: the text keeps its length and its place. False: out
 * of memory. */
static bool
write_keys(struct span *span)
{
	struct part *home = &span->parts[span->n_parts - 1];
	size_t begin;

	buf_clear(&span->text);
	for (size_t i = 0; i < span->n_parts; i++)
		add_part_keys(&span->parts[i]);
	begin = span->text.len;
	for (size_t i = 0; i + 1 < span->n_parts && !span->text.failed; i++) {
		const struct part *part = &span->parts[i];
		size_t len = span->parts[i + 1].id_at - part->held_at;

		if (len == 0 || !buf_reserve(&span->text, len + 3))
			continue;
		buf_add_str(&span->text, " " RECORD_PART " ");
		buf_add(&span->text, span->text.data + part->held_at, len);
	}
	if (span->text.failed)
		return false;
	for (size_t i = 0; i < span->n_parts; i++)
		point_part(&span->parts[i],
		    i + 1 < span->n_parts ? span->parts[i + 1].id_at : begin);
	home->ledger.parts =
	    slice_make(span->text.data + begin, span->text.len - begin);
	return true;
}

/* --- the end ---------------------------------------------------------------------- */

static void
span_free(struct span *span)
{
	buf_fini(&span->text);
	free(span->charges);
	free(span->origin);
	free(span);
}

static void
finish(struct span *span, enum take_status status)
{
	struct take *whole = span->whole;

	span_free(span);
	whole->status = status;
	whole->fault = FAULT_NONE;
	whole->detail[0] = '\0';
	whole->done(whole);
}

static void
fail(struct span *span, enum store_fault fault, const char *detail)
{
	struct cluster *cluster = span->cluster;
	struct take *whole = span->whole;
	char text[TAKE_DETAIL_MAX] = "";

	if (detail)
		memcpy(text, detail, strnlen(detail, sizeof(text) - 1));
	span_free(span);
	store_fail(&cluster->store, whole, fault, text);
}

/* The failure was counted already, as the part's. */
static void
fail_as(struct span *span, const struct take *take)
{
	struct take *whole = span->whole;

	whole->status = TAKE_FAILED;
	whole->fault = take->fault;
	whole->now_us = 0;
	memcpy(whole->detail, take->detail, sizeof(whole->detail));
	span_free(span);
	whole->done(whole);
}

/* --- giving back -------------------------------------------------------------------- */

static void
give_back(struct part *part)
{
	struct give_back gb = { 0 };
	struct buf command = { 0 };

	if (late_take_back(&gb, &part->take)) {
		give_back_format(&gb, &command);
		if (command.len > 0)
			errand_start(
			    part->span->cluster, part->slot, buf_slice(&command));
	}
	buf_fini(&command);
}

/* Gives back the parts before `end`. For those of an earlier try this only takes back that
 * the retry was answered. */
static void
undo(struct span *span, size_t end)
{
	for (size_t i = 0; i < end; i++)
		give_back(&span->parts[i]);
}

/* --- what the parts say ------------------------------------------------------------- */

/* Copies the part's charges, as they stand, to their places in the whole. */
static void
copy_counts(struct part *part)
{
	struct span *span = part->span;
	size_t first = (size_t)(part->take.charges - span->charges);

	for (size_t i = 0; i < part->take.n; i++) {
		struct charge *to = &span->whole->charges[span->origin[first + i]];

		to->count = part->take.charges[i].count;
		to->lacked = part->take.charges[i].lacked;
	}
	span->whole->now_us = part->take.now_us;
}

static void
note_refusal(struct part *part)
{
	struct span *span = part->span;
	size_t first = (size_t)(part->take.charges - span->charges);
	size_t index = span->origin[first + part->take.refused];

	if (index < span->refused)
		span->refused = index;
}

static void
look_over(struct span *span)
{
	const struct ledger *home = &span->parts[span->n_parts - 1].ledger;
	struct take *whole = span->whole;
	bool replayed = whole->look && whole->ledger && home->replayed;

	whole->refused = span->refused;
	if (replayed) {
		whole->ledger->replayed = true;
		memcpy(whole->ledger->replayed_holder, home->replayed_holder,
		    sizeof(home->replayed_holder));
	}
	finish(
	    span, replayed || span->refused == whole->n ? TAKE_ADMITTED : TAKE_REFUSED);
}

/* A look at one part is done: of a check that is already refused, or of a look. */
static void
on_looked(struct take *take)
{
	struct part *part = part_of(take);
	struct span *span = part->span;

	if (take->status == TAKE_ADMITTED || take->status == TAKE_REFUSED)
		copy_counts(part);
	if (take->status == TAKE_REFUSED)
		note_refusal(part);
	if (--span->pending > 0)
		return;
	for (size_t i = 0; span->whole->look && i < span->n_parts; i++) {
		const struct take *each = &span->parts[i].take;

		if (each->status == TAKE_FAILED) {
			fail_as(span, each);
			return;
		}
		if (each->status == TAKE_CONFLICT && is_home(&span->parts[i])) {
			span->whole->now_us = each->now_us;
			finish(span, TAKE_CONFLICT);
			return;
		}
	}
	look_over(span);
}

static void
set_take(struct part *part, bool look, void (*done)(struct take *take))
{
	struct take *whole = part->span->whole;
	struct charge *charges = part->take.charges;
	size_t n = part->take.n;

	part->take = (struct take){ .charges = charges,
		.n = n,
		.deadline_us = whole->deadline_us,
		.look = look,
		.done = done };
	if (whole->ledger && look == whole->look)
		part->take.ledger = &part->ledger;
}

/* Looks at all parts but one. A part without charges has something to say only if there is
 * a ledger. */
static void
look_at_others(struct span *span, const struct part *but)
{
	span->pending = 1;
	for (size_t i = 0; i < span->n_parts; i++) {
		struct part *part = &span->parts[i];

		if (part == but || (part->take.n == 0 && !span->whole->look))
			continue;
		set_take(part, true, on_looked);
		span->pending++;
		cluster_send_take(span->cluster, &part->take);
	}
	if (--span->pending == 0)
		look_over(span);
}

/* --- one after another --------------------------------------------------------------- */

static void send_next(struct span *span);

/* Whether an earlier try was complete, and its other records have just expired before the
 * last one, which has so little time left. If not, that try failed and they were given
 * back. */
static bool
is_expiring(const struct part *part, const struct part *home)
{
	int64_t dedup_us = part->ledger.dedup_ms * 1000;
	int64_t left_us = home->take.now_us + dedup_us - part->take.now_us;

	return left_us < (dedup_us < 2 * EXPIRING_US ? dedup_us / 2 : EXPIRING_US);
}

/* The last part was taken by an earlier try. If that was complete, what this try took again
 * must not stand. If it was late, and its other parts were given back, it stands. */
static void
undo_again(struct span *span)
{
	const struct part *home = &span->parts[span->n_parts - 1];

	for (struct part *part = span->parts; part < home; part++)
		if (!part->ledger.replayed && is_expiring(part, home))
			give_back(part);
}

/* All parts are taken. */
static void
all_taken(struct span *span)
{
	struct part *home = &span->parts[span->n_parts - 1];
	struct ledger *ledger = span->whole->ledger;

	if (ledger && home->ledger.replayed) {
		undo_again(span);
		ledger->replayed = true;
		memcpy(ledger->replayed_holder, home->ledger.replayed_holder,
		    sizeof(ledger->replayed_holder));
	} else if (ledger && span->adopted) {
		memcpy(ledger->replayed_holder, span->holder,
		    sizeof(ledger->replayed_holder));
	}
	finish(span, TAKE_ADMITTED);
}

/* Whether undo_again() would give back everything that this try took before the last
 * part. */
static bool
is_whole(const struct span *span)
{
	const struct part *home = &span->parts[span->n_parts - 1];

	for (const struct part *part = span->parts; part < home; part++)
		if (!part->ledger.replayed && !is_expiring(part, home))
			return false;
	return true;
}

/* Goes on under the holder of an earlier try that reserved. False: this try has already
 * begun under its own, because the other's records are about to expire, or are being given
 * back. */
static bool
adopt(struct span *span, const struct part *part)
{
	const char *holder = part->ledger.replayed_holder;

	if (!part->ledger.replayed || !holder[0] || strcmp(holder, span->holder) == 0)
		return true;
	if (is_home(part))
		return is_whole(span);
	for (size_t i = 0; i < span->at; i++)
		if (!span->parts[i].ledger.replayed)
			return false;
	memcpy(span->holder, holder, sizeof(span->holder));
	span->adopted = true;
	return write_keys(span);
}

static void
on_taken(struct take *take)
{
	struct part *part = part_of(take);
	struct span *span = part->span;

	if (take->status == TAKE_ADMITTED && !adopt(span, part)) {
		undo(span, span->at + 1);
		fail(span, FAULT_OTHER, "an earlier try of the request id is ending");
		return;
	}
	if (take->status == TAKE_ADMITTED) {
		copy_counts(part);
		span->at++;
		send_next(span);
		return;
	}
	undo(span, span->at);
	if (take->status == TAKE_REFUSED) {
		copy_counts(part);
		note_refusal(part);
		look_at_others(span, part);
	} else if (take->status == TAKE_CONFLICT) {
		span->whole->now_us = take->now_us;
		finish(span, TAKE_CONFLICT);
	} else {
		fail_as(span, take);
	}
}

static void
send_next(struct span *span)
{
	struct part *part = &span->parts[span->at];

	if (span->at == span->n_parts) {
		all_taken(span);
		return;
	}
	set_take(part, false, on_taken);
	cluster_send_take(span->cluster, &part->take);
}

/* --- making the parts ------------------------------------------------------------------ */

static unsigned
home_slot(const struct ledger *ledger)
{
	return slot_of(ledger->id_key.len > 0 ? ledger->id_key : ledger->held_key);
}

/* Where a slot's part comes in the order: by its number, but the ledger's slot last. */
static unsigned
rank_of(const struct take *take, unsigned slot)
{
	return take->ledger && slot == home_slot(take->ledger) ? SLOTS : slot;
}

static void
sort_charges(struct span *span, unsigned *slots)
{
	const struct take *whole = span->whole;

	for (size_t i = 0; i < whole->n; i++) {
		unsigned slot = slot_of(whole->charges[i].key);
		size_t at = i;

		for (; at > 0 && rank_of(whole, slots[at - 1]) > rank_of(whole, slot);
		     at--) {
			slots[at] = slots[at - 1];
			span->origin[at] = span->origin[at - 1];
		}
		slots[at] = slot;
		span->origin[at] = i;
	}
}

static struct part *
add_part(struct span *span, unsigned slot, size_t first)
{
	struct part *part = &span->parts[span->n_parts++];
	const struct ledger *ledger = span->whole->ledger;

	part->span = span;
	part->slot = slot;
	part->take.charges = &span->charges[first];
	if (ledger)
		part->ledger = (struct ledger){ .print = ledger->print,
			.dedup_ms = ledger->dedup_ms,
			.ttl_ms = ledger->ttl_ms };
	return part;
}

static void
make_parts(struct span *span)
{
	const struct take *whole = span->whole;
	unsigned slots[TAKE_CHARGES_MAX];
	struct part *part = NULL;

	sort_charges(span, slots);
	for (size_t i = 0; i < whole->n; i++) {
		const struct charge *c = &whole->charges[span->origin[i]];

		if (!part || part->slot != slots[i])
			part = add_part(span, slots[i], i);
		span->charges[i] = (struct charge){ .key = c->key,
			.limit = c->limit,
			.cost = c->cost,
			.shadow = c->shadow,
			.corrects = c->corrects };
		part->take.n++;
	}
	if (whole->ledger && part->slot != home_slot(whole->ledger))
		add_part(span, home_slot(whole->ledger), whole->n);
}

static struct span *
span_new(struct cluster *cluster, struct take *whole)
{
	struct span *span =
	    calloc(1, sizeof(*span) + (whole->n + 1) * sizeof(span->parts[0]));

	if (!span)
		return NULL;
	span->cluster = cluster;
	span->whole = whole;
	span->refused = whole->n;
	span->charges = calloc(whole->n + 1, sizeof(span->charges[0]));
	span->origin = calloc(whole->n + 1, sizeof(span->origin[0]));
	if (!span->charges || !span->origin)
		goto no_memory;
	make_parts(span);
	if (whole->ledger && whole->ledger->holder.len == LEDGER_HOLDER_LEN)
		memcpy(span->holder, whole->ledger->holder.ptr, LEDGER_HOLDER_LEN);
	if (whole->ledger && !write_keys(span))
		goto no_memory;
	return span;
no_memory:
	span_free(span);
	return NULL;
}

int
span_slot(const struct take *take)
{
	const struct ledger *ledger = take->ledger;
	bool home = ledger && ledger->id_key.len + ledger->held_key.len > 0;
	int slot = home ? (int)home_slot(ledger) : -1;

	for (size_t i = 0; i < take->n; i++) {
		int own = (int)slot_of(take->charges[i].key);

		if (slot >= 0 && own != slot)
			return -1;
		slot = own;
	}
	return slot;
}

void
span_take(struct cluster *cluster, struct take *whole)
{
	struct span *span = span_new(cluster, whole);

	if (!span)
		store_fail(&cluster->store, whole, FAULT_OTHER, "out of memory");
	else if (whole->look)
		look_at_others(span, NULL);
	else
		send_next(span);
}
