/* SPDX-License-Identifier: ISC */
#include "limit/slots.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SLOTS_FIRST 2
#define SLOTS_SMALL 16 /* a block of this size is not made smaller */
#define SLOTS_MAX (UINT32_C(1) << 30)
#define NOBODY UINT32_MAX

/* How many expired leases a look may have to pass by each time; more are dropped. */
#define ENDED_MANY 256

struct slot {
	char holder[SLOT_HOLDER_LEN];
	uint32_t lease; /* index in the heap */
	uint32_t next;  /* the next slot in the same bucket, or NOBODY */
};

static size_t
block_bytes(size_t cap)
{
	return sizeof(struct slots) +
	    cap * (sizeof(struct slot_lease) + sizeof(struct slot) + sizeof(uint32_t));
}

static struct slot *
holders(struct slots *s)
{
	return (struct slot *)(void *)&s->leases[s->cap];
}

static uint32_t *
bucket_of(struct slots *s, struct slice holder)
{
	uint32_t *buckets = (uint32_t *)(void *)&holders(s)[s->cap];

	return &buckets[hash_bytes(holder.ptr, holder.len) & (s->cap - 1)];
}

static struct slice
holder_of(const struct slot *slot)
{
	return slice_make(slot->holder, SLOT_HOLDER_LEN);
}

/* --- the heap of leases --------------------------------------------------------- */

/* Leases end at whole ms. */
static bool
is_held(struct slot_lease lease, int64_t now_us)
{
	return lease.until_ms > now_us / 1000;
}

static void
place(struct slots *s, uint32_t at, struct slot_lease lease)
{
	s->leases[at] = lease;
	holders(s)[lease.slot].lease = at;
}

/* Puts the lease into the hole at `at`, or further towards the front. */
static void
sift_up(struct slots *s, uint32_t at, struct slot_lease lease)
{
	while (at > 0) {
		uint32_t parent = (at - 1) / 2;

		if (s->leases[parent].until_ms <= lease.until_ms)
			break;
		place(s, at, s->leases[parent]);
		at = parent;
	}
	place(s, at, lease);
}

/* The same, or further towards the back. */
static void
sift_down(struct slots *s, uint32_t at, struct slot_lease lease)
{
	while (2 * at + 1 < s->n) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < s->n &&
		    s->leases[child + 1].until_ms < s->leases[child].until_ms)
			child++;
		if (lease.until_ms <= s->leases[child].until_ms)
			break;
		place(s, at, s->leases[child]);
		at = child;
	}
	place(s, at, lease);
}

static void
settle(struct slots *s, uint32_t at, struct slot_lease lease)
{
	if (at > 0 && lease.until_ms < s->leases[(at - 1) / 2].until_ms)
		sift_up(s, at, lease);
	else
		sift_down(s, at, lease);
}

static void
set_until(struct slots *s, uint32_t slot, int64_t until_ms)
{
	settle(s, holders(s)[slot].lease, (struct slot_lease){ until_ms, slot });
	if (s->end_ms < until_ms)
		s->end_ms = until_ms;
}

struct ended {
	uint32_t n;
	int64_t first_ms; /* when the first of the others ends */
};

/* Expired leases are at the front of the heap: only they and their children are looked at.
 * Recursion is as deep as the heap. */
static void
count_ended(const struct slots *s, uint32_t at, int64_t now_us, struct ended *out)
{
	if (at >= s->n)
		return;
	if (is_held(s->leases[at], now_us)) {
		if (s->leases[at].until_ms < out->first_ms)
			out->first_ms = s->leases[at].until_ms;
		return;
	}
	out->n++;
	count_ended(s, 2 * at + 1, now_us, out);
	count_ended(s, 2 * at + 2, now_us, out);
}

/* --- the holders ---------------------------------------------------------------- */

static void
link_holder(struct slots *s, uint32_t slot)
{
	uint32_t *bucket = bucket_of(s, holder_of(&holders(s)[slot]));

	holders(s)[slot].next = *bucket;
	*bucket = slot;
}

static void
unlink_holder(struct slots *s, uint32_t slot)
{
	uint32_t *at = bucket_of(s, holder_of(&holders(s)[slot]));

	while (*at != slot)
		at = &holders(s)[*at].next;
	*at = holders(s)[slot].next;
}

/* The holder's slot, whether held or expired; or NOBODY. */
static uint32_t
find(struct slots *s, struct slice holder)
{
	uint32_t at = s ? *bucket_of(s, holder) : NOBODY;

	while (at != NOBODY && !slice_eq(holder_of(&holders(s)[at]), holder))
		at = holders(s)[at].next;
	return at;
}

/* Makes a heap of leases in any order, and builds the hash table. */
static void
put_in_order(struct slots *s)
{
	memset(&holders(s)[s->cap], 0xff, s->cap * sizeof(uint32_t));
	for (uint32_t i = 0; i < s->n; i++) {
		place(s, i, s->leases[i]);
		link_holder(s, i);
	}
	for (uint32_t i = s->n / 2; i-- > 0;)
		sift_down(s, i, s->leases[i]);
}

/* Removes a slot; the last one moves to its place. */
static void
take_out(struct slots *s, uint32_t slot)
{
	uint32_t at = holders(s)[slot].lease;
	uint32_t last = --s->n;

	unlink_holder(s, slot);
	if (at != last)
		settle(s, at, s->leases[last]);
	if (slot != last) {
		unlink_holder(s, last);
		holders(s)[slot] = holders(s)[last];
		s->leases[holders(s)[slot].lease].slot = slot;
		link_holder(s, slot);
	}
	if (s->n == 0)
		s->end_ms = 0;
}

/* Removes all expired leases by going through everything. */
static void
take_out_ended(struct slots *s, int64_t now_us)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		struct slot_lease *lease = &s->leases[holders(s)[i].lease];

		lease->slot = NOBODY;
		if (!is_held(*lease, now_us))
			continue;
		lease->slot = n;
		holders(s)[n++] = holders(s)[i];
	}
	for (uint32_t i = 0, to = 0; i < s->n; i++)
		if (s->leases[i].slot != NOBODY)
			s->leases[to++] = s->leases[i];
	s->n = n;
	if (n == 0)
		s->end_ms = 0;
	put_in_order(s);
}

/* Removes expired leases, one by one where they are few among many. */
static void
drop_ended(struct slots *s, uint32_t ended, int64_t now_us)
{
	if (ended > s->n / 8) {
		take_out_ended(s, now_us);
		return;
	}
	while (s->n > 0 && !is_held(s->leases[0], now_us))
		take_out(s, s->leases[0].slot);
}

/* --- the block ------------------------------------------------------------------ */

static struct slots *
resize(struct slots *s, uint32_t cap)
{
	struct slots *fresh = cap <= SLOTS_MAX ? malloc(block_bytes(cap)) : NULL;

	if (!fresh)
		return NULL;
	*fresh = (struct slots){ .cap = cap };
	if (s) {
		fresh->n = s->n;
		fresh->end_ms = s->end_ms;
		memcpy(fresh->leases, s->leases, s->n * sizeof(s->leases[0]));
		memcpy(holders(fresh), holders(s), s->n * sizeof(struct slot));
	}
	put_in_order(fresh);
	free(s);
	return fresh;
}

/* Makes room for one more, and not far too much. */
static struct slots *
fit(struct slots *s)
{
	struct slots *smaller;

	if (!s)
		return resize(s, SLOTS_FIRST);
	if (s->n == s->cap)
		return resize(s, s->cap * 2);
	if (s->cap <= SLOTS_SMALL || s->n >= s->cap / 8)
		return s;
	smaller = resize(s, s->cap / 4);
	return smaller ? smaller : s;
}

/* --- what stores ask ------------------------------------------------------------ */

struct limit_count
slots_count(struct slots *slots, int64_t now_us)
{
	struct ended ended = { 0, INT64_MAX };
	struct limit_count count = { 0 };

	if (!slots)
		return count;
	count_ended(slots, 0, now_us, &ended);
	count.used = slots->n - ended.n;
	if (count.used > 0)
		count.before = ended.first_ms - now_us / 1000;
	if (ended.n > ENDED_MANY)
		drop_ended(slots, ended.n, now_us);
	return count;
}

int64_t
slots_end_ms(const struct slots *slots, int64_t now_us)
{
	return slots && slots->end_ms > now_us / 1000 ? slots->end_ms : 0;
}

struct slots *
slots_take(struct slots *slots, struct slice holder, int64_t until_ms, int64_t now_us)
{
	struct ended ended = { 0, INT64_MAX };
	uint32_t slot;

	if (slots) {
		count_ended(slots, 0, now_us, &ended);
		drop_ended(slots, ended.n, now_us);
	}
	slot = find(slots, holder);
	if (slot == NOBODY) {
		slots = fit(slots);
		if (!slots)
			return NULL;
		slot = slots->n++;
		memcpy(holders(slots)[slot].holder, holder.ptr, SLOT_HOLDER_LEN);
		holders(slots)[slot].lease = slot;
		link_holder(slots, slot);
	}
	set_until(slots, slot, until_ms);
	return slots;
}

bool
slots_free(struct slots *slots, struct slice holder, int64_t now_us)
{
	uint32_t slot = find(slots, holder);
	bool held;

	if (slot == NOBODY)
		return false;
	held = is_held(slots->leases[holders(slots)[slot].lease], now_us);
	take_out(slots, slot);
	return held;
}

bool
slots_renew(struct slots *slots, struct slice holder, int64_t until_ms, int64_t now_us)
{
	uint32_t slot = find(slots, holder);
	struct slot_lease lease;

	if (slot == NOBODY)
		return false;
	lease = slots->leases[holders(slots)[slot].lease];
	if (!is_held(lease, now_us))
		return false;
	if (lease.until_ms < until_ms)
		set_until(slots, slot, until_ms);
	return true;
}
