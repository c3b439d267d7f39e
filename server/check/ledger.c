/* SPDX-License-Identifier: ISC */
/* For checks that have a request id, or reserve: what they leave in the store's ledger, and
 * what the ledger says about them. Other checks never come here. */
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "check/check_inner.h"
#include "check/reservation.h"

#define DEFAULT_PREFIX "ration"
#define DEFAULT_DEDUP_TTL_MS 600000

/* Notes what was appended to the text. The text may still move, so the slice has just its
 * length until point_text(). */
static void
note_len(const struct buf *text, size_t begin, struct slice *out)
{
	*out = slice_make(NULL, text->len - begin);
}

static const char *
prefix_of(const struct check_options *o)
{
	return o->key_prefix ? o->key_prefix : DEFAULT_PREFIX;
}

static void
add_id_key(struct check *check, const struct check_request *request)
{
	struct check_ledger *cl = &check->ledger;
	const struct check_options *o = check_options_of(check);
	size_t begin = cl->text.len;

	cl->ledger.id_key.len = 0;
	if (request->id.len == 0)
		return;
	request_id_key(&cl->text, prefix_of(o), check->decision.policy,
	    check->decision.grant, request->id);
	note_len(&cl->text, begin, &cl->ledger.id_key);
	cl->ledger.dedup_ms =
	    o->dedup_ttl_ms > 0 ? o->dedup_ttl_ms : DEFAULT_DEDUP_TTL_MS;
}

/* Every check with a ledger gets the text of a reservation's id, even if it does not
 * reserve: a replay, or a look, may have to tell an earlier one's id, which differs only
 * in the holder. */
static void
add_reservation(struct check *check, const struct check_request *request)
{
	struct check_ledger *cl = &check->ledger;
	struct ledger *ledger = &cl->ledger;
	const struct decision *d = &check->decision;
	size_t begin = cl->text.len;
	int64_t ttl_s = request->ttl_s > 0 ? request->ttl_s : REQUEST_TTL_DEFAULT_S;

	hash_random_hex(cl->holder, LEDGER_HOLDER_LEN);
	reservation_format(
	    &cl->text, d->policy, d->grant, slice_make(cl->holder, LEDGER_HOLDER_LEN));
	note_len(&cl->text, begin, &cl->reservation);
	ledger->held_key.len = 0;
	ledger->holder.len = 0;
	if (check->mode != MODE_RESERVE || check->take.look)
		return;
	begin = cl->text.len;
	ledger->holder = slice_make(cl->holder, LEDGER_HOLDER_LEN);
	reservation_key_raw(&cl->text, prefix_of(check_options_of(check)), d->policy,
	    d->grant, ledger->holder);
	note_len(&cl->text, begin, &ledger->held_key);
	ledger->ttl_ms = ttl_s * 1000;
}

static void
point_text(struct check_ledger *cl)
{
	struct slice *slices[] = { &cl->ledger.id_key, &cl->reservation,
		&cl->ledger.held_key };
	const char *at = cl->text.data;

	for (size_t i = 0; i < ARRAY_LEN(slices); i++) {
		slices[i]->ptr = slices[i]->len > 0 ? at : NULL;
		at += slices[i]->len;
	}
}

/* A digest of what the request id stands for, the same in every daemon. The tool's length
 * comes first, so that no other tool and keys can give the same text. */
static int
make_print(struct check *check, enum check_mode mode)
{
	static const char *const modes[] = {
		[MODE_ENFORCE] = "enforce",
		[MODE_PEEK] = "peek",
		[MODE_RESERVE] = "reserve",
	};
	struct check_ledger *cl = &check->ledger;
	struct buf *text = &check->note;

	buf_clear(text);
	buf_printf(text, "%s %zu ", modes[mode], check->decision.tool.len);
	buf_add_slice(text, check->decision.tool);
	for (size_t i = 0; i < check->take.n; i++) {
		buf_add_char(text, '\n');
		buf_add_slice(text, check->charges[i].key);
		buf_printf(text, " %" PRId64, check->charges[i].cost);
	}
	if (text->failed)
		return ERR_NOMEM;
	hash_sha256_hex(buf_slice(text), cl->print, LEDGER_PRINT_LEN);
	cl->ledger.print = slice_make(cl->print, LEDGER_PRINT_LEN);
	return 0;
}

/* A peek does not say with which mode its id was used. A guess: calls that hold slots were
 * reserved, others were not. If the ledger knows the id with another print, it is asked
 * again with the other mode. */
static enum check_mode
first_guess(const struct check *check)
{
	if (check->mode != MODE_PEEK)
		return check->mode;
	for (size_t i = 0; i < check->take.n; i++)
		if (check->charges[i].limit->algorithm == ALGORITHM_CONCURRENCY)
			return MODE_RESERVE;
	return MODE_ENFORCE;
}

int
check_ledger_open(struct check *check, const struct check_request *request)
{
	struct check_ledger *cl = &check->ledger;

	buf_clear(&cl->text);
	cl->ledger.replayed = false;
	cl->ledger.parts.len = 0;
	cl->ledger.replayed_holder[0] = '\0';
	cl->asked_as = first_guess(check);
	cl->asked_twice = false;
	add_id_key(check, request);
	add_reservation(check, request);
	if (cl->text.failed)
		return ERR_NOMEM;
	point_text(cl);
	check->take.ledger = &cl->ledger;
	return cl->ledger.id_key.len > 0 ? make_print(check, cl->asked_as) : 0;
}

bool
check_ledger_ask_again(struct check *check)
{
	struct check_ledger *cl = &check->ledger;

	if (check->take.status != TAKE_CONFLICT || check->mode != MODE_PEEK ||
	    cl->asked_twice)
		return false;
	cl->asked_twice = true;
	cl->asked_as = cl->asked_as == MODE_RESERVE ? MODE_ENFORCE : MODE_RESERVE;
	if (make_print(check, cl->asked_as) < 0)
		return false;
	store_take(check_store(check), &check->take);
	return true;
}

void
check_ledger_taken(struct check *check)
{
	struct check_ledger *cl = &check->ledger;
	struct decision *d = &check->decision;
	const char *holder = cl->ledger.held_key.len > 0 ? cl->holder : "";

	if (check->take.status != TAKE_ADMITTED)
		return;
	if (cl->ledger.replayed || cl->ledger.replayed_holder[0])
		holder = cl->ledger.replayed_holder;
	if (strlen(holder) != LEDGER_HOLDER_LEN)
		return;
	memcpy(cl->text.data + (cl->reservation.ptr - cl->text.data) +
		cl->reservation.len - LEDGER_HOLDER_LEN,
	    holder, LEDGER_HOLDER_LEN);
	d->reservation = cl->reservation;
}
