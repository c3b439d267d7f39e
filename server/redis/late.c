/* SPDX-License-Identifier: ISC */
#include "redis/late.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "redis/form.h"
#include "redis/ledger.h"
#include "redis/script.h"
#include "store/record.h"

/* What has to be known of a charge once its take is gone. */
struct late_charge {
	size_t key_at; /* offset in late.keys */
	size_t key_len;
	int64_t cost;
	bool shadow;
	struct limit limit; /* without its zone, which belongs to the policy */
	int64_t cuts_ms[WINDOW_CUTS];
};

/* A take that left its batch after it was sent. */
struct late {
	unsigned refs;
	size_t standing;
	bool has_ledger;
	struct slice id_key, print, held_key; /* as in its ledger, if any */
	struct slice holder;                  /* with held_key */
	size_t n;
	char *keys; /* in the same block: all keys, then the bytes of the slices */
	struct late_charge charges[];
};

static void
late_set(struct late_charge *late, const struct charge *c, int64_t around_us)
{
	*late = (struct late_charge){ .key_len = c->key.len,
		.cost = c->cost,
		.shadow = c->shadow,
		.limit = *c->limit };
	if (window_is_calendar(&c->limit->window))
		window_cuts(&c->limit->window, around_us, late->cuts_ms);
	late->limit.window.zone = NULL;
}

static char *
copy_slice(struct slice *to, struct slice from, char *at)
{
	if (from.len > 0)
		memcpy(at, from.ptr, from.len);
	*to = slice_make(at, from.len);
	return at + from.len;
}

static void
copy_ledger(struct late *late, const struct ledger *ledger, char *at)
{
	if (!ledger)
		return;
	at = copy_slice(&late->id_key, ledger->id_key, at);
	at = copy_slice(&late->print, ledger->print, at);
	at = copy_slice(&late->held_key, ledger->held_key, at);
	if (late->held_key.len > 0)
		copy_slice(&late->holder, ledger->holder, at);
}

struct late *
late_new(const struct take *take, int64_t around_us)
{
	const struct ledger *ledger = take->ledger;
	size_t bytes = ledger ? ledger->id_key.len + ledger->print.len +
		ledger->held_key.len + ledger->holder.len
			      : 0;
	struct late *late;

	for (size_t j = 0; j < take->n; j++)
		bytes += take->charges[j].key.len;
	late = malloc(sizeof(*late) + take->n * sizeof(late->charges[0]) + bytes);
	if (!late)
		return NULL;
	*late = (struct late){ .refs = 1, .n = take->n, .has_ledger = ledger != NULL };
	late->keys = (char *)&late->charges[take->n];
	bytes = 0;
	for (size_t j = 0; j < take->n; j++) {
		const struct charge *c = &take->charges[j];

		late_set(&late->charges[j], c, around_us);
		late->charges[j].key_at = bytes;
		memcpy(late->keys + bytes, c->key.ptr, c->key.len);
		bytes += c->key.len;
	}
	copy_ledger(late, ledger, late->keys + bytes);
	return late;
}

struct late *
late_ref(struct late *late)
{
	if (late)
		late->refs++;
	return late;
}

void
late_unref(struct late *late)
{
	if (late && --late->refs == 0)
		free(late);
}

/* The batch may be freed while `done` runs, and the take is its owner's again afterwards. */
void
late_tell(struct store *store, struct take *take, enum store_fault fault)
{
	struct late *late = take->late;

	store_fail(store, take, fault, NULL);
	late_unref(late);
}

void
late_stand(struct late *late)
{
	late->standing++;
}

size_t
late_standing(const struct late *late)
{
	return late->standing;
}

/* The window that was charged, and the end of the next one, as the script chose them. */
static void
charged_window(const struct late_charge *c, int64_t now_us, int64_t bounds_ms[3])
{
	size_t i = 0;

	if (window_is_calendar(&c->limit.window)) {
		while (i < WINDOW_CUTS - 3 && c->cuts_ms[i + 1] <= now_us / 1000)
			i++;
		memcpy(bounds_ms, &c->cuts_ms[i], 3 * sizeof(bounds_ms[0]));
		return;
	}
	window_bounds(&c->limit.window, now_us, &bounds_ms[0], &bounds_ms[1]);
	bounds_ms[2] = bounds_ms[1] + c->limit.window.len_ms;
}

/* A and B of a reservation's record: the end of the charged window, and its length or the
 * end of the next one. */
static void
window_args(struct buf *out, const struct late_charge *c, int64_t now_us)
{
	bool slides = c->limit.algorithm == ALGORITHM_SLIDING;
	int64_t bounds_ms[3];

	charged_window(c, now_us, bounds_ms);
	form_add_number(out, bounds_ms[1]);
	form_add_number(out, slides ? bounds_ms[2] : bounds_ms[1] - bounds_ms[0]);
}

/* What was charged, as the script's answer tells. */
struct late_count {
	int64_t held, used, before;
};

static void
give_back_args(struct buf *out, const struct late_charge *c,
    const struct late_count *count, int64_t now_us)
{
	const struct limit *l = &c->limit;

	form_add_number(out, count->held);
	form_add_bulk(out, slice_str(record_words[l->algorithm]));
	if (l->algorithm == ALGORITHM_TOKEN_BUCKET) {
		form_add_number(out, now_us + count->used + count->before);
		form_add_number(out, l->interval_us);
	} else if (l->algorithm == ALGORITHM_CONCURRENCY) {
		form_add_number(out, 0);
		form_add_number(out, 0);
	} else {
		window_args(out, c, now_us);
	}
}

static bool
was_admitted(const struct late *late, const struct reply_value *v)
{
	for (size_t j = 0; j < late->n; j++) {
		const struct late_charge *c = &late->charges[j];

		if (v->kind != REPLY_INT || (v->number < 0 && !c->shadow))
			return false;
		v += form_numbers(&c->limit, c->shadow);
	}
	return true;
}

/* How much was charged; of slots, one is taken whatever the cost is. */
static int64_t
held_of(const struct late_charge *c, const struct reply_value *v)
{
	if (c->shadow)
		return v[form_numbers(&c->limit, true) - 1].number;
	return c->limit.algorithm == ALGORITHM_CONCURRENCY ? 1 : c->cost;
}

static void
read_counts(const struct late *late, const struct reply_value *v, int64_t later,
    struct late_count *counts)
{
	for (size_t j = 0; j < late->n; j++) {
		const struct late_charge *c = &late->charges[j];

		/* For a shadow limit the sign says whether there was room. */
		counts[j].used = v->number < 0 ? -1 - v->number : v->number;
		counts[j].used -= later * form_step(&c->limit, c->cost);
		counts[j].before = form_of(&c->limit)->n_numbers > 1 ? v[1].number : 0;
		counts[j].held = held_of(c, v);
		v += form_numbers(&c->limit, c->shadow);
	}
}

static size_t
add_charges(struct give_back *gb, const struct late *late,
    const struct late_count *counts, int64_t now_us, struct buf *args)
{
	size_t n = 0;

	for (size_t j = 0; j < late->n; j++) {
		const struct late_charge *c = &late->charges[j];

		if (counts[j].held == 0)
			continue;
		form_add_bulk(
		    &gb->keys, slice_make(late->keys + c->key_at, c->key_len));
		give_back_args(args, c, &counts[j], now_us);
		n++;
	}
	return n;
}

/* What the record of the id says, except how many were given the answer. */
static void
add_id_start(struct buf *out, const struct late *late, const struct ledger_replay *told)
{
	char text[LEDGER_PRINT_LEN + NUM_TEXT_MAX + LEDGER_HOLDER_LEN + 8] = "";

	if (late->id_key.len > 0)
		snprintf(text, sizeof(text), "%.*s %" PRId64 " %.*s",
		    SLICE_ARG(late->print), told->now_us,
		    SLICE_ARG(told->holder.len > 0 ? told->holder : slice_str("-")));
	form_add_bulk(out, slice_str(text));
}

/* The reservation that was answered. For a retry that is the first one's, whose key differs
 * only in the holder at its end. */
static void
add_held_key(
    struct give_back *gb, const struct late *late, const struct ledger_replay *told)
{
	struct buf key = { 0 };

	buf_add_slice(&key, late->held_key);
	if (told->holder.ptr != late->holder.ptr && !key.failed)
		memcpy(key.data + key.len - told->holder.len, told->holder.ptr,
		    told->holder.len);
	form_add_bulk(&gb->keys, buf_slice(&key));
	gb->keys.failed |= key.failed;
	buf_fini(&key);
}

/* Reads what comes before the numbers. False: it was neither charged, nor a retry of
 * something that was. */
static bool
read_told(const struct late *late, const struct reply *reply, size_t at,
    struct ledger_replay *told)
{
	told->now_us = reply->values[0].number;
	told->holder = late->holder;
	if (!late->has_ledger || reply->values[at].kind == REPLY_INT)
		return true;
	return ledger_read_replay(reply_text(reply, at), told) &&
	    told->holder.len == late->holder.len &&
	    told->holder.len <= late->held_key.len;
}

static void
add_check(struct give_back *gb, const struct late *late,
    const struct late_count *counts, const struct ledger_replay *told)
{
	struct buf charges = { 0 };
	size_t n;

	if (late->id_key.len > 0)
		form_add_bulk(&gb->keys, late->id_key);
	if (late->held_key.len > 0)
		add_held_key(gb, late, told);
	n = add_charges(gb, late, counts, told->now_us, &charges);
	form_add_number(&gb->args, (int64_t)n);
	add_id_start(&gb->args, late, told);
	form_add_bulk(&gb->args, told->holder);
	buf_add_slice(&gb->args, buf_slice(&charges));
	gb->args.failed |= charges.failed;
	buf_fini(&charges);
	gb->n_keys += n + (late->id_key.len > 0) + (late->held_key.len > 0);
	gb->n_args += 3 + 4 * n;
}

bool
late_was_charged(const struct late *late, const struct reply *reply, size_t at)
{
	struct ledger_replay told;

	return read_told(late, reply, at, &told) &&
	    was_admitted(late, &reply->values[at + late->has_ledger]);
}

bool
late_give_back(
    struct give_back *gb, const struct late *late, const struct reply *reply, size_t at)
{
	const struct reply_value *v = &reply->values[at + late->has_ledger];
	struct late_count counts[TAKE_CHARGES_MAX];
	struct ledger_replay told;

	if (!read_told(late, reply, at, &told) || !was_admitted(late, v))
		return false;
	read_counts(late, v, 0, counts);
	add_check(gb, late, counts, &told);
	return true;
}

void
late_give_back_twin(struct give_back *gb, const struct late *late,
    const struct reply_value *v, int64_t later, int64_t now_us)
{
	struct late_count counts[TAKE_CHARGES_MAX];
	struct ledger_replay told = { .now_us = now_us };

	read_counts(late, v, later, counts);
	add_check(gb, late, counts, &told);
}

bool
late_take_back(struct give_back *gb, const struct take *take)
{
	struct late *late = late_new(take, take->now_us);
	struct late_count counts[TAKE_CHARGES_MAX];
	struct ledger_replay told = { .now_us = take->now_us };

	if (!late)
		return false;
	for (size_t j = 0; j < take->n; j++) {
		const struct charge *c = &take->charges[j];
		bool slot = c->limit->algorithm == ALGORITHM_CONCURRENCY;

		counts[j] = (struct late_count){ c->shadow ? c->held
			    : slot                         ? 1
							   : c->cost,
			c->count.used, c->count.before };
	}
	told.holder = late->holder;
	if (take->ledger && take->ledger->replayed)
		told.holder = slice_str(take->ledger->replayed_holder);
	add_check(gb, late, counts, &told);
	late_unref(late);
	return true;
}

void
give_back_format(struct give_back *gb, struct buf *out)
{
	if (gb->n_keys > 0) {
		buf_printf(out, "*%zu\r\n", 3 + gb->n_keys + gb->n_args);
		form_add_bulk(out, slice_str("EVAL"));
		form_add_bulk(out, slice_str(lua_give_back));
		form_add_number(out, (int64_t)gb->n_keys);
		buf_add_slice(out, buf_slice(&gb->keys));
		buf_add_slice(out, buf_slice(&gb->args));
		if (gb->keys.failed || gb->args.failed)
			buf_clear(out);
	}
	buf_fini(&gb->keys);
	buf_fini(&gb->args);
}

void
give_back_by_sha(struct slice eval, struct buf *out)
{
	struct buf head = { 0 };
	const char *first = memchr(eval.ptr, '\n', eval.len);
	size_t count_len = first ? (size_t)(first + 1 - eval.ptr) : 0;

	form_add_bulk(&head, slice_str("EVAL"));
	form_add_bulk(&head, slice_str(lua_give_back));
	if (count_len > 0 && count_len + head.len < eval.len && !head.failed) {
		buf_add_slice(out, slice_make(eval.ptr, count_len));
		form_add_bulk(out, slice_str("EVALSHA"));
		form_add_bulk(out, slice_str(lua_give_back_sha));
		buf_add_slice(out,
		    slice_make(eval.ptr + count_len + head.len,
			eval.len - count_len - head.len));
	}
	buf_fini(&head);
}
