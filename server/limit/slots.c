/* SPDX-License-Identifier: ISC */
#include "limit/slots.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 2

/* Leases end at whole ms. */
static bool
is_held(const struct slot *slot, int64_t now_us)
{
	return slot->until_ms > now_us / 1000;
}

static struct slot *
find(struct slots *slots, struct slice holder, int64_t now_us)
{
	for (size_t i = 0; slots && i < slots->n; i++) {
		struct slot *slot = &slots->items[i];

		if (is_held(slot, now_us) &&
		    slice_eq(slice_make(slot->holder, SLOT_HOLDER_LEN), holder))
			return slot;
	}
	return NULL;
}

struct limit_count
slots_count(const struct slots *slots, int64_t now_us)
{
	struct limit_count count = { 0 };

	for (size_t i = 0; slots && i < slots->n; i++) {
		int64_t left_ms = slots->items[i].until_ms - now_us / 1000;

		if (!is_held(&slots->items[i], now_us))
			continue;
		if (count.used == 0 || left_ms < count.before)
			count.before = left_ms;
		count.used++;
	}
	return count;
}

int64_t
slots_end_ms(const struct slots *slots, int64_t now_us)
{
	int64_t end_ms = 0;

	for (size_t i = 0; slots && i < slots->n; i++)
		if (is_held(&slots->items[i], now_us) &&
		    slots->items[i].until_ms > end_ms)
			end_ms = slots->items[i].until_ms;
	return end_ms;
}

static void
drop_ended(struct slots *slots, int64_t now_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < slots->n; i++)
		if (is_held(&slots->items[i], now_us))
			slots->items[kept++] = slots->items[i];
	slots->n = kept;
}

/* Room for one more. */
static struct slots *
grow(struct slots *slots)
{
	size_t n = slots ? slots->n : 0;
	size_t cap = slots ? slots->cap * 2 : SLOTS_FIRST;

	if (slots && n < slots->cap)
		return slots;
	slots = realloc(slots, sizeof(*slots) + cap * sizeof(slots->items[0]));
	if (slots) {
		slots->n = n;
		slots->cap = cap;
	}
	return slots;
}

struct slots *
slots_take(struct slots *slots, struct slice holder, int64_t until_ms, int64_t now_us)
{
	struct slot *slot = find(slots, holder, now_us);

	if (!slot) {
		if (slots)
			drop_ended(slots, now_us);
		slots = grow(slots);
		if (!slots)
			return NULL;
		slot = &slots->items[slots->n++];
		memcpy(slot->holder, holder.ptr, SLOT_HOLDER_LEN);
	}
	slot->until_ms = until_ms;
	return slots;
}

bool
slots_free(struct slots *slots, struct slice holder, int64_t now_us)
{
	struct slot *slot = find(slots, holder, now_us);

	if (!slot)
		return false;
	*slot = slots->items[--slots->n];
	return true;
}

bool
slots_renew(struct slots *slots, struct slice holder, int64_t until_ms, int64_t now_us)
{
	struct slot *slot = find(slots, holder, now_us);

	if (slot && slot->until_ms < until_ms)
		slot->until_ms = until_ms;
	return slot != NULL;
}
