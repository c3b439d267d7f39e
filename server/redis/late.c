/* SPDX-License-Identifier: ISC */
#include "redis/late.h"

#include <stdlib.h>
#include <string.h>

#include "redis/form.h"
#include "redis/script.h"

/* What must be known of a charge after its take is gone. */
struct late_charge {
	size_t key_at; /* in late.keys */
	size_t key_len;
	int64_t cost;
	bool shadow;
	struct limit limit; /* without its zone, which is the policy's */
	int64_t cuts_ms[WINDOW_CUTS];
};

/* A take that left after it was sent. */
struct late {
	size_t n;
	char *keys;
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

struct late *
late_new(const struct take *take, int64_t around_us)
{
	size_t bytes = 0;
	struct late *late;

	for (size_t j = 0; j < take->n; j++)
		bytes += take->charges[j].key.len;
	late = malloc(sizeof(*late) + take->n * sizeof(late->charges[0]) + bytes);
	if (!late)
		return NULL;
	late->n = take->n;
	late->keys = (char *)&late->charges[take->n];
	bytes = 0;
	for (size_t j = 0; j < take->n; j++) {
		const struct charge *c = &take->charges[j];

		late_set(&late->charges[j], c, around_us);
		late->charges[j].key_at = bytes;
		memcpy(late->keys + bytes, c->key.ptr, c->key.len);
		bytes += c->key.len;
	}
	return late;
}

/* The window that was charged and the end of the next one, as the script chose it. */
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

/* How much was charged, and two numbers that say which charge it was. `used` is what
 * the script answered. */
static void
give_back_args(struct buf *out, const struct late_charge *c, int64_t held, int64_t used,
    int64_t now_us)
{
	const struct limit *l = &c->limit;
	int64_t bounds_ms[3];

	if (l->algorithm == ALGORITHM_TOKEN_BUCKET) {
		form_add_number(out, held * l->interval_us);
		form_add_number(out, now_us + used);
		form_add_number(out, 0);
	} else {
		charged_window(c, now_us, bounds_ms);
		form_add_number(out, held);
		form_add_number(out, bounds_ms[1]);
		form_add_number(out,
		    l->algorithm == ALGORITHM_SLIDING ? bounds_ms[2]
						      : bounds_ms[1] - bounds_ms[0]);
	}
	form_add_bulk(out, slice_str(form_of(l)->back));
}

bool
late_was_admitted(const struct late *late, const struct reply_value *v)
{
	for (size_t j = 0; j < late->n; j++) {
		const struct late_charge *c = &late->charges[j];

		if (v->kind != REPLY_INT || (v->number < 0 && !c->shadow))
			return false;
		v += form_numbers(&c->limit, c->shadow);
	}
	return true;
}

void
late_give_back(struct give_back *gb, const struct late *late,
    const struct reply_value *v, int64_t now_us)
{
	for (size_t j = 0; j < late->n; j++) {
		const struct late_charge *c = &late->charges[j];
		/* Of a shadow limit it says too whether there was room. */
		int64_t used = v->number < 0 ? -1 - v->number : v->number;
		int64_t held = c->cost;

		v += form_numbers(&c->limit, c->shadow);
		if (c->shadow)
			held = v[-1].number;
		if (held == 0)
			continue;
		form_add_bulk(
		    &gb->keys, slice_make(late->keys + c->key_at, c->key_len));
		give_back_args(&gb->args, c, held, used, now_us);
		gb->n++;
	}
}

void
give_back_format(struct give_back *gb, struct buf *out)
{
	if (gb->n > 0) {
		buf_printf(out, "*%zu\r\n", 3 + gb->n * 5);
		form_add_bulk(out, slice_str("EVAL"));
		form_add_bulk(out, slice_str(lua_give_back));
		form_add_number(out, (int64_t)gb->n);
		buf_add_slice(out, buf_slice(&gb->keys));
		buf_add_slice(out, buf_slice(&gb->args));
		if (gb->keys.failed || gb->args.failed)
			buf_clear(out);
	}
	buf_fini(&gb->keys);
	buf_fini(&gb->args);
}
