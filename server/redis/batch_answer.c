/* SPDX-License-Identifier: ISC */
#include "redis/batch_inner.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "redis/fault.h"
#include "redis/form.h"
#include "redis/ledger.h"
#include "redis/redirect.h"

/* How often a take may be asked again with other dates. Usually once is enough. */
#define ASK_MAX 3

/* A look charged nothing: the first limit without room for its cost refuses it. */
static void
weigh_look(struct take *take)
{
	for (size_t j = take->n; j > 0; j--) {
		const struct charge *c = &take->charges[j - 1];

		/* For a shadow charge the script has said whether it lacks room. */
		if (c->shadow || limit_fits(c->limit, c->count, c->cost, take->now_us))
			continue;
		take->status = TAKE_REFUSED;
		take->refused = j - 1;
	}
}

/* What is no count of ours may be any number, and the arithmetic of limits goes so far. */
static int64_t
read_count(int64_t number)
{
	if (number < 0)
		return 0;
	return number < NUM_MAX ? number : NUM_MAX;
}

/* Reads one check's numbers into its take. */
static void
read_numbers(struct take *take, const struct reply_value *v)
{
	for (size_t j = 0; j < take->n; j++) {
		struct charge *c = &take->charges[j];

		c->lacked = v->number < 0;
		c->count.used = read_count(c->lacked ? -1 - v->number : v->number);
		c->count.before =
		    form_of(c->limit)->n_numbers > 1 ? read_count(v[1].number) : 0;
		if (c->lacked && !c->shadow) {
			take->status = TAKE_REFUSED;
			take->refused = j;
		}
		v += form_numbers(c->limit, c->shadow);
		c->held = c->shadow ? v[-1].number : 0;
	}
}

static void
apply_one(struct batch *batch, struct take *take, const struct reply_value *v,
    const struct batch_outcome *out)
{
	take->status = TAKE_ADMITTED;
	take->now_us = out->now_us;
	take->fault = FAULT_NONE;
	read_numbers(take, v);
	if (UNLIKELY(take->look))
		weigh_look(take);
	else if (take->status == TAKE_REFUSED && out->denials)
		deny_cache_put(out->denials, take, &batch->moment);
	take->done(take);
}

/* Reads a replay, whose numbers are those of a check that was admitted. */
static void
apply_replay(struct take *take, const struct reply_value *v)
{
	read_numbers(take, v);
	take->status = TAKE_ADMITTED;
	take->fault = FAULT_NONE;
	take->done(take);
}

static void
apply_conflict(struct take *take, int64_t now_us)
{
	take->status = TAKE_CONFLICT;
	take->now_us = now_us;
	take->fault = FAULT_NONE;
	take->done(take);
}

/* Whether the reply has what the batch asked for: the time, and each check's elements. */
static bool
reply_fits(const struct batch *batch, const struct reply *reply)
{
	size_t want = 1;

	for (size_t i = 0; i < batch->n; i++)
		want += batch->entries[i].n;
	return reply->kind == REPLY_ARRAY && reply->n == want &&
	    reply->values[0].kind == REPLY_INT;
}

int64_t
batch_began_us(const struct reply *reply)
{
	if (reply->kind != REPLY_ARRAY || reply->n == 0 ||
	    reply->values[0].kind != REPLY_INT)
		return 0;
	return reply->values[0].number;
}

static void
fail_one(struct take *take, struct store *store, struct slice text,
    struct batch_outcome *out)
{
	enum store_fault fault = redis_fault_of(text);
	char detail[TAKE_DETAIL_MAX];

	snprintf(detail, sizeof(detail), "%.*s", SLICE_ARG(text));
	if (out->fault == FAULT_NONE) {
		out->fault = fault;
		memcpy(out->detail, detail, sizeof(detail));
	}
	store_fail(store, take, fault, detail);
}

/* None of the windows that were sent holds the server's time: the take is asked again. */
static void
ask_again(struct take *take, struct store *store, struct batch_outcome *out)
{
	if (take->asked++ == ASK_MAX) {
		store_fail(store, take, FAULT_OTHER,
		    "the clock of Redis moved on faster than it could be followed");
		return;
	}
	take->next = out->again;
	out->again = take;
}

/* The script met an error in this check. */
static void
apply_error(struct take *take, struct store *store, struct slice text,
    struct batch_outcome *out)
{
	if (slice_eq_str(text, "DATES")) {
		ask_again(take, store, out);
	} else if (redirect_is_astray(text)) {
		take->next = out->astray;
		out->astray = take;
	} else {
		fail_one(take, store, text, out);
	}
}

/* The same for a take with a ledger, whose answer begins with one more element. */
static void
apply_ledger(struct batch *batch, struct take *take, const struct reply *reply,
    size_t at, struct store *store, struct batch_outcome *out)
{
	const struct reply_value *numbers = &reply->values[at + 1];

	switch (ledger_read(take, reply, at)) {
	case LEDGER_FRESH:
		apply_one(batch, take, numbers, out);
		break;
	case LEDGER_REPLAYED:
		apply_replay(take, numbers);
		break;
	case LEDGER_CONFLICT:
		apply_conflict(take, out->now_us);
		break;
	case LEDGER_ERROR:
		apply_error(take, store, reply_text(reply, at), out);
		break;
	}
}

/* The answer to twins: how many of them were granted, and the counts after that. Takes that
 * still wait come first; what was granted beyond them is given back for those that left. */
static void
apply_many(struct batch *batch, const struct entry *e, const struct reply_value *v,
    struct give_back *gb, struct batch_outcome *out)
{
	int64_t granted = v->number;
	int64_t n = 0;
	struct take *next;

	for (struct take *t = e->take; t; t = next) {
		next = t->next;
		t->status = TAKE_ADMITTED;
		t->now_us = out->now_us;
		t->fault = FAULT_NONE;
		read_numbers(t, v + 1);
		if (++n <= granted)
			twins_rewind(t, granted - n);
		else if (n == granted + 1 && out->denials)
			deny_cache_put(out->denials, t, &batch->moment);
		t->done(t);
	}
	out->late += e->n_late;
	for (size_t i = 0; i < e->n_late && n < granted; i++) {
		n++;
		/* Twins are alike, so what is granted goes first to calls that went ahead. */
		if (i < late_standing(e->late)) {
			out->stood++;
			continue;
		}
		out->admitted++;
		late_give_back_twin(gb, e->late, v + 1, granted - n, out->now_us);
	}
}

/* The answer to a take that has left. */
static void
apply_late(const struct entry *e, const struct reply *reply, size_t at,
    struct give_back *gb, struct batch_outcome *out)
{
	out->late++;
	if (late_standing(e->late) > 0)
		out->stood += late_was_charged(e->late, reply, at);
	else
		out->admitted += late_give_back(gb, e->late, reply, at);
}

/* Applies one entry's answer, whose elements begin at `at`. */
static void
apply_entry(struct batch *batch, const struct entry *e, const struct reply *reply,
    size_t at, struct store *store, struct give_back *gb, struct batch_outcome *out)
{
	const struct reply_value *v = &reply->values[at];
	struct take *next;

	if (e->many && v->kind == REPLY_INT) {
		apply_many(batch, e, v, gb, out);
	} else if (e->many) {
		out->late += e->n_late;
		for (struct take *t = e->take; t; t = next) {
			next = t->next;
			apply_error(t, store, reply_text(reply, at), out);
		}
	} else if (e->late) {
		apply_late(e, reply, at, gb, out);
	} else if (e->take && e->take->ledger) {
		apply_ledger(batch, e->take, reply, at, store, out);
	} else if (e->take && v->kind != REPLY_INT) {
		apply_error(e->take, store, reply_text(reply, at), out);
	} else if (e->take) {
		apply_one(batch, e->take, v, out);
	}
}

/* The server's clock showed now_us at some moment between the call and its reply. */
static void
read_clock(struct batch *batch, struct batch_outcome *out)
{
	int64_t least_us = out->now_us - out->answered_us;
	int64_t most_us = out->now_us - batch->moment.sent_us;

	if (out->ahead_us < least_us)
		out->ahead_us = least_us;
	if (out->ahead_us > most_us)
		out->ahead_us = most_us;
	batch->moment.decided_us = out->now_us - out->ahead_us;
}

/* In a Cluster each check's charges are given back apart: some of many keys may have moved. */
static void
tell_late(struct give_back *gb, struct batch_outcome *out)
{
	if (!out->on_late || gb->n_keys == 0)
		return;
	give_back_format(gb, &out->give_back);
	*gb = (struct give_back){ 0 };
	if (out->give_back.len > 0)
		out->on_late(out->arg, buf_slice(&out->give_back));
	buf_clear(&out->give_back);
}

int
batch_apply(struct batch *batch, const struct reply *reply, struct store *store,
    struct batch_outcome *out)
{
	struct give_back gb = { 0 };
	size_t at = 1;

	out->late = out->admitted = out->stood = 0;
	out->again = out->astray = NULL;
	out->now_us = 0;
	out->fault = FAULT_NONE;
	buf_clear(&out->give_back);
	if (!reply_fits(batch, reply)) {
		batch_fail(
		    batch, store, FAULT_OTHER, "the script's answer makes no sense");
		return ERR_SYNTAX;
	}
	out->now_us = reply->values[0].number;
	read_clock(batch, out);
	for (size_t i = 0; i < batch->n; i++) {
		apply_entry(batch, &batch->entries[i], reply, at, store, &gb, out);
		tell_late(&gb, out);
		at += batch->entries[i].n;
	}
	give_back_format(&gb, &out->give_back);
	batch_clear(batch);
	return 0;
}
