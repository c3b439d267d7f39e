/* SPDX-License-Identifier: ISC */
#include "check/reservation.h"

#include "limit/key.h"
#include "store/store.h"

/* Cuts off and returns what comes before the first colon; ptr NULL when there is none. */
static struct slice
cut_part(struct slice *text)
{
	const char *colon = text->len > 0 ? memchr(text->ptr, ':', text->len) : NULL;
	struct slice part = slice_make(NULL, 0);

	if (!colon)
		return part;
	part = slice_make(text->ptr, (size_t)(colon - text->ptr));
	*text = slice_make(colon + 1, text->len - part.len - 1);
	return part;
}

static bool
is_holder(struct slice text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < text.len; i++)
		if (!memchr(digits, text.ptr[i], sizeof(digits) - 1))
			return false;
	return text.len == LEDGER_HOLDER_LEN;
}

int
reservation_parse(struct slice id, struct reservation *out, struct errinfo *ei)
{
	out->policy = cut_part(&id);
	out->grant = cut_part(&id);
	out->holder = id;
	if (out->policy.len > 0 && key_is_part(out->policy) && out->grant.len > 0 &&
	    key_is_part(out->grant) && is_holder(out->holder))
		return 0;
	return err_set(ei, ERR_INVALID,
	    "reservation is malformed; give it as the check's answer had it");
}

void
reservation_format(
    struct buf *out, struct slice policy, struct slice grant, struct slice holder)
{
	key_add_part(out, policy);
	buf_add_char(out, ':');
	key_add_part(out, grant);
	buf_add_char(out, ':');
	buf_add_slice(out, holder);
}

bool
reservation_is_of(const struct reservation *reservation, struct slice grant)
{
	struct buf part = { 0 };
	bool same;

	key_add_part(&part, grant);
	same = !part.failed && slice_eq(buf_slice(&part), reservation->grant);
	buf_fini(&part);
	return same;
}

void
reservation_key(
    struct buf *out, const char *prefix, const struct reservation *reservation)
{
	buf_add_str(out, prefix);
	buf_add_char(out, ':');
	buf_add_slice(out, reservation->policy);
	buf_add_str(out, ":{grant=");
	buf_add_slice(out, reservation->grant);
	buf_add_str(out, "}:#=");
	buf_add_slice(out, reservation->holder);
}

/* Appends the part that all keys of one grant's ledger have in common. */
static void
add_head(struct buf *out, const char *prefix, struct slice policy, struct slice grant)
{
	buf_add_str(out, prefix);
	buf_add_char(out, ':');
	key_add_part(out, policy);
	buf_add_str(out, ":{grant=");
	key_add_part(out, grant);
	buf_add_str(out, "}:#");
}

void
reservation_key_raw(struct buf *out, const char *prefix, struct slice policy,
    struct slice grant, struct slice holder)
{
	add_head(out, prefix, policy, grant);
	buf_add_char(out, '=');
	buf_add_slice(out, holder);
}

void
request_id_key(struct buf *out, const char *prefix, struct slice policy,
    struct slice grant, struct slice id)
{
	add_head(out, prefix, policy, grant);
	key_add_part(out, id);
}
