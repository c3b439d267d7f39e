/* SPDX-License-Identifier: ISC */
#include "redis/batch_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "redis/fault.h"
#include "redis/form.h"
#include "redis/late.h"
#include "redis/ledger.h"
#include "redis/twins.h"

struct batch *
batch_new(struct twins *twins)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	if (batch)
		batch->twins = twins;
	return batch;
}

void
batch_clear(struct batch *batch)
{
	for (size_t i = 0; batch->sent && i < batch->n; i++)
		late_unref(batch->entries[i].late);
	batch->sent = false;
	batch->n = batch->live = batch->keys = batch->n_runs = 0;
}

void
batch_free(struct batch *batch)
{
	if (!batch)
		return;
	batch_clear(batch);
	free(batch->entries);
	free(batch->runs);
	free(batch);
}

size_t
batch_live(const struct batch *batch)
{
	return batch->live;
}

bool
batch_is_sent(const struct batch *batch)
{
	return batch->sent;
}

size_t
batch_asked(const struct batch *batch)
{
	return batch->asked;
}

size_t
batch_keys(const struct batch *batch)
{
	return batch->keys;
}

struct pace_call *
batch_call(struct batch *batch)
{
	return &batch->call;
}

struct admission_note *
batch_note(struct batch *batch)
{
	return &batch->note;
}

struct deny_moment *
batch_moment(struct batch *batch)
{
	return &batch->moment;
}

static size_t
count_keys(const struct take *take)
{
	return take->n + (take->ledger ? ledger_count(take->ledger) : 0);
}

bool
batch_has_room(const struct batch *batch, const struct take *take)
{
	return batch->n < BATCH_CHECKS_MAX &&
	    (batch->n == 0 || batch->keys + count_keys(take) <= BATCH_KEYS_MAX);
}

/* --- gathering ---------------------------------------------------------------- */

/* Large policies have the same limit for many counters; to the script it is one. All bytes
 * are compared, so that no field can be forgotten; different padding, or leftovers behind
 * the end of a name, only make one more run. */
static bool
same_limit(const struct limit *a, const struct limit *b)
{
	return a == b || memcmp(a, b, sizeof(*a)) == 0;
}

static bool
same_shape(const struct take *a, const struct take *b)
{
	if (a->n != b->n || a->look != b->look)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_limit(a->charges[i].limit, b->charges[i].limit) ||
		    a->charges[i].cost != b->charges[i].cost ||
		    a->charges[i].shadow != b->charges[i].shadow)
			return false;
	return (!a->ledger && !b->ledger) || ledger_alike(a, b);
}

/* Makes room for one more item by doubling *cap; false when out of memory. */
static bool
grow(void **items, size_t *cap, size_t first, size_t size)
{
	size_t more = *cap ? *cap * 2 : first;
	void *grown = realloc(*items, more * size);

	if (!grown)
		return false;
	*items = grown;
	*cap = more;
	return true;
}

/* The run that the take belongs to, or a new, empty one; NULL when there are too many. */
static struct run *
find_run(struct batch *batch, const struct take *take)
{
	for (size_t i = batch->n_runs; i > 0; i--)
		if (batch->runs[i - 1].single.n > 0 &&
		    same_shape(batch->runs[i - 1].single.first, take))
			return &batch->runs[i - 1];
	if (batch->n_runs == SHAPES_MAX ||
	    (batch->n_runs == batch->runs_cap &&
		!grow(
		    (void **)&batch->runs, &batch->runs_cap, 1, sizeof(*batch->runs))))
		return NULL;
	batch->runs[batch->n_runs] = (struct run){ 0 };
	return &batch->runs[batch->n_runs++];
}

static void
list_append(struct list *list, struct take *take)
{
	take->next = NULL;
	take->prev = list->last;
	if (list->last)
		list->last->next = take;
	else
		list->first = take;
	list->last = take;
	list->n++;
}

static void
list_remove(struct list *list, struct take *take)
{
	*(take->prev ? &take->prev->next : &list->first) = take->next;
	*(take->next ? &take->next->prev : &list->last) = take->prev;
	take->prev = take->next = NULL;
	list->n--;
}

int
batch_add(struct batch *batch, struct take *take)
{
	struct run *run;

	if (batch->n == batch->entries_cap &&
	    !grow((void **)&batch->entries, &batch->entries_cap, 4,
		sizeof(*batch->entries)))
		return ERR_NOMEM;
	run = find_run(batch, take);
	if (!run && batch->n_runs == 0)
		return ERR_NOMEM;
	if (!run) {
		/* The last run mixes shapes; batch_format() cuts it where they change. */
		run = &batch->runs[batch->n_runs - 1];
		run->mixed = true;
	}
	list_append(&run->single, take);
	take->run = (unsigned)(run - batch->runs);
	take->n_twins = 0;
	take->twins = NULL;
	batch->n++;
	batch->live++;
	batch->keys += count_keys(take);
	return 0;
}

static void
unlink_take(struct batch *batch, struct take *take)
{
	struct run *run = &batch->runs[take->run];

	list_remove(&run->single, take);
	batch->n--;
	batch->live--;
	batch->keys -= count_keys(take);
}

/* --- the call ----------------------------------------------------------------- */

/* Puts the run's twins behind their leaders. */
static void
join_twins(struct batch *batch, struct run *run)
{
	struct take *next;

	for (struct take *t = run->single.first; t; t = next) {
		struct take *leader = t->leader;

		next = t->next;
		if (!leader)
			continue;
		if (leader->n_twins == 0) {
			list_remove(&run->single, leader);
			list_append(&run->leaders, leader);
		}
		list_remove(&run->single, t);
		batch->n--;
		batch->keys -= count_keys(t);
		twins_join(leader, t);
	}
}

/* Makes the twins of a run one entry if there are enough of them: the script needs a part
 * of its own for such entries. */
static void
find_twins(struct batch *batch, struct run *run)
{
	size_t led = 0;

	if (run->mixed || run->single.n <= TWINS_MIN || !twins_allow(run->single.first))
		return;
	twins_start(batch->twins, run->single.n);
	for (struct take *t = run->single.first; t; t = t->next) {
		t->leader = twins_find(batch->twins, t);
		led += t->leader != NULL;
	}
	if (led >= TWINS_MIN && led >= run->single.n / TWINS_SHARE)
		join_twins(batch, run);
}

/* How many takes in a row, beginning with `take`, have its shape. */
static size_t
run_length(const struct take *take)
{
	const struct take *at = take->next;
	size_t n = 1;

	for (; at && same_shape(take, at); at = at->next)
		n++;
	return n;
}

static void
add_run_args(
    const struct batch *batch, struct buf *out, const struct take *first, size_t n)
{
	if (first->ledger)
		ledger_add_front(out, first);
	if (first->n_twins > 0)
		form_add_bulk(out, slice_str("times"));
	/* Negative: a run that only looks. */
	form_add_number(out, first->look ? -(int64_t)n : (int64_t)n);
	form_add_number(out, (int64_t)first->n);
	for (size_t j = 0; j < first->n; j++) {
		const struct charge *c = &first->charges[j];

		form_add_limit(out, c, batch->around_us);
	}
	for (; n > 0 && first->ledger; n--, first = first->next)
		ledger_add_back(out, first->ledger);
	for (; n > 0 && first->n_twins > 0; n--, first = first->next)
		form_add_number(out, 1 + (int64_t)first->n_twins);
}

static size_t
count_run_args(const struct take *take, size_t checks)
{
	size_t n = 2;

	for (size_t j = 0; j < take->n; j++)
		n += form_of(take->charges[j].limit)->n_args;
	if (take->ledger)
		n += LEDGER_ARGS + checks * ledger_count(take->ledger);
	if (take->n_twins > 0)
		n += 1 + checks;
	return n;
}

static size_t
count_elements(const struct take *take)
{
	size_t n = take->ledger || take->n_twins > 0 ? 1 : 0;

	for (size_t j = 0; j < take->n; j++)
		n += form_numbers(take->charges[j].limit, take->charges[j].shadow);
	return n;
}

typedef void stretch_fn(
    const struct batch *batch, struct buf *out, const struct take *first, size_t n);

static size_t
each_of_list(const struct batch *batch, struct buf *out, const struct list *list,
    bool mixed, stretch_fn *fn)
{
	const struct take *at = list->first;
	size_t args = 0;

	while (at) {
		size_t n = mixed ? run_length(at) : list->n;

		if (fn)
			fn(batch, out, at, n);
		args += count_run_args(at, n);
		if (!mixed)
			break;
		for (; n > 0; n--)
			at = at->next;
	}
	return args;
}

/* Walks all stretches of one shape, in the order of the call. */
static size_t
each_stretch(const struct batch *batch, struct buf *out, stretch_fn *fn)
{
	size_t args = 0;

	for (size_t i = 0; i < batch->n_runs; i++) {
		const struct run *run = &batch->runs[i];

		args += each_of_list(batch, out, &run->single, run->mixed, fn);
		args += each_of_list(batch, out, &run->leaders, false, fn);
	}
	return args;
}

static void
add_keys(const struct batch *batch, struct buf *out, const struct take *take, size_t n)
{
	(void)batch;
	for (; n > 0; n--, take = take->next) {
		if (take->ledger)
			ledger_add_keys(out, take->ledger);
		for (size_t j = 0; j < take->n; j++)
			form_add_bulk(out, take->charges[j].key);
	}
}

/* The takes, in the order of the call, become the entries that its reply answers. */
static size_t
fill_from(const struct batch *batch, const struct list *list, size_t n)
{
	struct take *next;

	for (struct take *t = list->first; t; t = next) {
		next = t->next;
		batch->entries[n++] = (struct entry){
			.take = t, .n = count_elements(t), .many = t->n_twins > 0
		};
		t->next = t->twins;
	}
	return n;
}

static void
fill_entries(struct batch *batch)
{
	size_t n = 0;

	for (size_t i = 0; i < batch->n_runs; i++) {
		n = fill_from(batch, &batch->runs[i].single, n);
		n = fill_from(batch, &batch->runs[i].leaders, n);
	}
}

/* A call that was refused before it ran has charged nothing: takes that left are
 * forgotten, the others gather again. */
void
batch_regather(struct batch *batch)
{
	size_t n = batch->n;
	struct take *next;

	for (size_t i = 0; i < n; i++)
		late_unref(batch->entries[i].late);
	batch->sent = false;
	batch->n = batch->live = batch->keys = batch->n_runs = 0;
	for (size_t i = 0; i < n; i++)
		for (struct take *t = batch->entries[i].take; t; t = next) {
			next = t->next;
			/* Cannot fail: the memory is there already. The entries are only
			 * written later, in fill_entries(). */
			if (batch_add(batch, t) < 0)
				return;
		}
}

struct take *
batch_take_back(struct batch *batch)
{
	struct take *first = NULL;
	struct take **at = &first;

	for (size_t i = 0; i < batch->n; i++) {
		*at = batch->entries[i].take;
		while (*at)
			at = &(*at)->next;
	}
	batch_clear(batch);
	return first;
}

bool
batch_format(struct batch *batch, struct slice sha, int64_t around_us, struct buf *out)
{
	size_t args;

	batch->around_us = around_us;
	if (batch->n == 0)
		return false;
	for (size_t i = 0; i < batch->n_runs; i++)
		find_twins(batch, &batch->runs[i]);
	args = each_stretch(batch, NULL, NULL);
	buf_add_char(out, '*');
	buf_add_int(out, (int64_t)(3 + batch->keys + args));
	buf_add(out, "\r\n", 2);
	form_add_bulk(out, slice_str("EVALSHA"));
	form_add_bulk(out, sha);
	form_add_number(out, (int64_t)batch->keys);
	each_stretch(batch, out, add_keys);
	each_stretch(batch, out, add_run_args);
	fill_entries(batch);
	batch->sent = true;
	batch->asked = batch->live;
	return true;
}

/* --- leaving ------------------------------------------------------------------ */

static int64_t
expire_entry(struct batch *batch, struct entry *e, int64_t now_us,
    void (*fn)(void *arg, struct take *take), void *arg)
{
	struct take **at = &e->take;
	int64_t earliest = INT64_MAX;

	while (*at) {
		struct take *take = *at;

		if (take->deadline_us > now_us) {
			if (take->deadline_us < earliest)
				earliest = take->deadline_us;
			at = &take->next;
			continue;
		}
		*at = take->next;
		/* Out of memory, what it took stays taken, which admits less, not more. A
		 * look takes nothing. */
		if (!take->look && !e->late)
			e->late = late_new(take, batch->around_us);
		e->n_late += e->late != NULL;
		take->late = late_ref(e->late);
		batch->live--;
		fn(arg, take);
	}
	return earliest;
}

static int64_t
expire_sent(struct batch *batch, int64_t now_us,
    void (*fn)(void *arg, struct take *take), void *arg)
{
	int64_t earliest = INT64_MAX;

	for (size_t i = 0; i < batch->n; i++) {
		int64_t next = expire_entry(batch, &batch->entries[i], now_us, fn, arg);

		if (next < earliest)
			earliest = next;
	}
	return earliest;
}

static int64_t
expire_gathered(struct batch *batch, int64_t now_us,
    void (*fn)(void *arg, struct take *take), void *arg)
{
	int64_t earliest = INT64_MAX;

	for (size_t i = 0; i < batch->n_runs; i++) {
		struct take *next;

		for (struct take *t = batch->runs[i].single.first; t; t = next) {
			next = t->next;
			if (t->deadline_us <= now_us) {
				unlink_take(batch, t);
				fn(arg, t);
			} else if (t->deadline_us < earliest) {
				earliest = t->deadline_us;
			}
		}
	}
	return earliest;
}

int64_t
batch_expire(struct batch *batch, int64_t now_us,
    void (*fn)(void *arg, struct take *take), void *arg)
{
	return batch->sent ? expire_sent(batch, now_us, fn, arg)
			   : expire_gathered(batch, now_us, fn, arg);
}

void
batch_fail(struct batch *batch, struct store *store, enum store_fault fault,
    const char *detail)
{
	struct take *next;

	if (!batch->sent && batch->entries)
		fill_entries(batch);
	batch->sent = true;
	for (size_t i = 0; batch->entries && i < batch->n; i++)
		for (struct take *t = batch->entries[i].take; t; t = next) {
			next = t->next;
			store_fail(store, t, fault, detail);
		}
	batch_clear(batch);
}
