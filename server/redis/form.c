/* SPDX-License-Identifier: ISC */
#include "redis/form.h"

#include <string.h>

#include "base/num.h"

void
form_add_bulk(struct buf *out, struct slice value)
{
	char *to = buf_reserve(out, value.len + NUM_TEXT_MAX + 5);
	char *p = to;

	if (!to)
		return;
	*p++ = '$';
	p += num_format((int64_t)value.len, p);
	*p++ = '\r';
	*p++ = '\n';
	if (value.len > 0)
		memcpy(p, value.ptr, value.len);
	p += value.len;
	*p++ = '\r';
	*p++ = '\n';
	buf_commit(out, (size_t)(p - to));
}

void
form_add_start(struct buf *out, size_t len)
{
	buf_add_char(out, '$');
	buf_add_int(out, (int64_t)len);
	buf_add(out, "\r\n", 2);
}

void
form_add_number(struct buf *out, int64_t value)
{
	char text[NUM_TEXT_MAX];

	form_add_bulk(out, slice_make(text, num_format(value, text)));
}

static void
add_span(struct buf *out, const struct limit *l, int64_t around_us)
{
	(void)around_us;
	form_add_number(out, l->window.len_ms);
	form_add_number(out, l->window.offset_ms);
}

static void
add_interval(struct buf *out, const struct limit *l, int64_t around_us)
{
	(void)around_us;
	form_add_number(out, l->interval_us);
}

static void
add_dates(struct buf *out, const struct limit *l, int64_t around_us)
{
	int64_t cuts_ms[WINDOW_CUTS];

	window_cuts(&l->window, around_us, cuts_ms);
	for (size_t i = 0; i < WINDOW_CUTS; i++)
		form_add_number(out, cuts_ms[i]);
}

const struct form *
form_of(const struct limit *l)
{
	static const struct form forms[][2] = {
		[ALGORITHM_FIXED] = { { NULL, add_span, 4, 1 },
		    { "fixed dates", add_dates, 3 + WINDOW_CUTS, 1 } },
		[ALGORITHM_SLIDING] = { { "sliding", add_span, 5, 2 },
		    { "sliding dates", add_dates, 3 + WINDOW_CUTS, 2 } },
		[ALGORITHM_TOKEN_BUCKET] = { { "bucket", add_interval, 4, 2 } },
		[ALGORITHM_CONCURRENCY] = { { "slots", NULL, 3, 2 } },
	};

	return &forms[l->algorithm][window_is_calendar(&l->window)];
}

void
form_add_limit(struct buf *out, const struct charge *c, int64_t around_us)
{
	const struct limit *l = c->limit;
	const struct form *form = form_of(l);
	int64_t max = limit_capacity(l);

	form_add_number(out, c->shadow ? -1 - max : max);
	form_add_number(out, c->cost);
	if (form->word)
		form_add_bulk(out, slice_str(form->word));
	if (form->add)
		form->add(out, l, around_us);
}
