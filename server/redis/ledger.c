/* SPDX-License-Identifier: ISC */
#include "redis/ledger.h"

#include <string.h>

#include "base/num.h"
#include "redis/form.h"

static bool
has_id(const struct ledger *ledger)
{
	return ledger->id_key.len > 0;
}

static bool
is_held(const struct ledger *ledger)
{
	return ledger->held_key.len > 0;
}

bool
ledger_alike(const struct take *a, const struct take *b)
{
	const struct ledger *l = a->ledger;
	const struct ledger *m = b->ledger;

	if (!l || !m)
		return l == m;
	if (has_id(l) != has_id(m) || is_held(l) != is_held(m) ||
	    (has_id(l) && l->dedup_ms != m->dedup_ms) ||
	    (is_held(l) && l->ttl_ms != m->ttl_ms) || !slice_eq(l->parts, m->parts))
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->charges[i].corrects != b->charges[i].corrects)
			return false;
	return true;
}

size_t
ledger_count(const struct ledger *ledger)
{
	return (size_t)has_id(ledger) + (size_t)is_held(ledger);
}

void
ledger_add_front(struct buf *out, const struct take *take)
{
	const struct ledger *ledger = take->ledger;
	char corrects[TAKE_CHARGES_MAX];

	for (size_t i = 0; i < take->n; i++)
		corrects[i] = take->charges[i].corrects ? '1' : '0';
	form_add_bulk(out, slice_str("ledger"));
	form_add_number(out, has_id(ledger) ? ledger->dedup_ms : 0);
	form_add_number(out, is_held(ledger) ? ledger->ttl_ms : 0);
	form_add_start(out, (take->n > 0 ? take->n : 1) + ledger->parts.len);
	buf_add_slice(
	    out, take->n > 0 ? slice_make(corrects, take->n) : slice_str("-"));
	buf_add_slice(out, ledger->parts);
	buf_add(out, "\r\n", 2);
}

void
ledger_add_keys(struct buf *out, const struct ledger *ledger)
{
	if (has_id(ledger))
		form_add_bulk(out, ledger->id_key);
	if (is_held(ledger))
		form_add_bulk(out, ledger->held_key);
}

void
ledger_add_back(struct buf *out, const struct ledger *ledger)
{
	if (has_id(ledger))
		form_add_bulk(out, ledger->print);
	if (is_held(ledger))
		form_add_bulk(out, ledger->holder);
}

/* "REPLAYED TIME HOLDER". */
bool
ledger_read_replay(struct slice text, struct ledger_replay *out)
{
	static const char word[] = "REPLAYED ";
	size_t len = sizeof(word) - 1;
	struct slice time;
	const char *space;

	if (text.len < len || memcmp(text.ptr, word, len) != 0)
		return false;
	time = slice_make(text.ptr + len, text.len - len);
	space = memchr(time.ptr, ' ', time.len);
	if (!space)
		return false;
	out->holder = slice_make(space + 1, time.len - (size_t)(space + 1 - time.ptr));
	time.len = (size_t)(space - time.ptr);
	if (slice_eq_str(out->holder, "-"))
		out->holder.len = 0;
	return num_parse(time, &out->now_us) == 0 &&
	    (out->holder.len == 0 || out->holder.len == LEDGER_HOLDER_LEN);
}

static bool
read_replay(struct take *take, struct slice text)
{
	struct ledger *ledger = take->ledger;
	struct ledger_replay replay;

	if (!ledger_read_replay(text, &replay))
		return false;
	take->now_us = replay.now_us;
	ledger->replayed = true;
	memcpy(ledger->replayed_holder, replay.holder.ptr, replay.holder.len);
	ledger->replayed_holder[replay.holder.len] = '\0';
	return true;
}

enum ledger_answer
ledger_read(struct take *take, const struct reply *reply, size_t at)
{
	take->ledger->replayed = false;
	take->ledger->replayed_holder[0] = '\0';
	if (reply->values[at].kind == REPLY_INT)
		return LEDGER_FRESH;
	if (read_replay(take, reply_text(reply, at)))
		return LEDGER_REPLAYED;
	return slice_eq_str(reply_text(reply, at), "CONFLICT") ? LEDGER_CONFLICT
							       : LEDGER_ERROR;
}
