/* SPDX-License-Identifier: ISC */
/*
 * Who may wait, against a server of so many checks a second that is asked for more: a
 * simulation, step by step, of what redis/node does with it. What is under way late is
 * given back, which is work for the server, too.
 */
#include "redis/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define DEADLINE_US 50000
#define STEP_US 100
#define BATCHES 4096
#define BATCH_MAX 512

/* What answers, and how. */
struct server {
	const char *name;
	int64_t take_ns;         /* of work for a take */
	int64_t call_us;         /* and for a call */
	int64_t trip_us;         /* there and back */
	size_t calls;            /* under way at most */
	int64_t run_us, stop_us; /* works so long, then stops so long; 0: never */
};

struct batch {
	struct admission_note note;
	int64_t born_us[BATCH_MAX]; /* of each take */
	size_t first, n;            /* those before first left */
	int64_t done_us;            /* when its answer comes */
};

struct sim {
	const struct server *server;
	struct admission admission;
	struct batch batches[BATCHES]; /* a ring */
	size_t head, sent, end; /* [head, sent) are under way, [sent, end) wait */
	int64_t now_us;
	int64_t idle_us; /* when the server has done what it has */
	int64_t arrived; /* in takes * 1000000 / s, what is left of a take */
	int64_t offered, good, refused, timed_out, late;
	int64_t longest_us; /* that an admitted one took which was in time */
};

static struct sim sim;

static struct batch *
at(size_t i)
{
	return &sim.batches[i % BATCHES];
}

static void
arrive(void)
{
	struct admission *a = &sim.admission;
	struct batch *b = sim.end > sim.sent ? at(sim.end - 1) : NULL;

	sim.offered++;
	if (!admission_allows(a, DEADLINE_US, sim.now_us)) {
		sim.refused++;
		return;
	}
	if (!b || b->n == BATCH_MAX ||
	    b->note.own >= (int64_t)admission_flight_max(a)) {
		assert_true(sim.end - sim.head < BATCHES);
		b = at(sim.end++);
		b->first = b->n = 0;
	}
	if (b->first == b->n)
		admission_begin(&b->note, DEADLINE_US, sim.now_us);
	admission_join(a, &b->note);
	b->born_us[b->n++] = sim.now_us;
}

/* As long as it takes the server, which stops now and then. */
static int64_t
after_work(int64_t from_us, int64_t work_us)
{
	const struct server *s = sim.server;
	int64_t period_us = s->run_us + s->stop_us;

	while (period_us > 0) {
		int64_t phase_us = from_us % period_us;

		if (phase_us >= s->run_us) {
			from_us += period_us - phase_us;
			continue;
		}
		if (phase_us + work_us <= s->run_us)
			break;
		work_us -= s->run_us - phase_us;
		from_us += period_us - phase_us;
	}
	return from_us + work_us;
}

static void
work(size_t takes, int64_t *done_us)
{
	const struct server *s = sim.server;
	int64_t begin_us = sim.now_us + s->trip_us / 2;

	if (begin_us < sim.idle_us)
		begin_us = sim.idle_us;
	sim.idle_us =
	    after_work(begin_us, s->call_us + (int64_t)takes * s->take_ns / 1000);
	*done_us = sim.idle_us + s->trip_us / 2;
}

static void
send_all(void)
{
	while (sim.sent < sim.end && sim.sent - sim.head < sim.server->calls) {
		struct batch *b = at(sim.sent);

		if (b->first == b->n && sim.sent + 1 == sim.end) {
			sim.end--;
			return;
		}
		if (b->first ==
		    b->n) { /* nobody waits for it any more: it is not sent */
			b->done_us = sim.now_us;
			sim.sent++;
			continue;
		}
		if (!admission_may_send(&sim.admission, &b->note))
			return;
		admission_on_send(&sim.admission, &b->note, sim.now_us);
		work(b->n - b->first, &b->done_us);
		sim.sent++;
	}
}

/* How many of a batch that was not sent leave, whose deadline is until then. */
static int64_t
leave(struct batch *b, int64_t until_us)
{
	size_t before = b->first;

	while (b->first < b->n && b->born_us[b->first] + DEADLINE_US <= until_us)
		b->first++;
	admission_leave(&sim.admission, &b->note, b->first - before);
	return (int64_t)(b->first - before);
}

static void
refuse_hopeless(void)
{
	size_t ahead = (size_t)sim.admission.under_way;

	sim.admission.tightened = false;
	for (size_t i = sim.sent; i < sim.end; i++) {
		struct batch *b = at(i);
		int64_t needs_us =
		    admission_needs_us(&sim.admission, ahead, b->n - b->first);

		if (needs_us > 0)
			sim.refused += leave(b, sim.now_us + needs_us);
		ahead += b->n - b->first;
	}
}

static void
expire(void)
{
	for (size_t i = sim.sent; i < sim.end; i++)
		sim.timed_out += leave(at(i), sim.now_us);
	if (sim.head < sim.end)
		admission_on_wait(&sim.admission, &at(sim.head)->note, sim.now_us);
}

static void
answer_all(void)
{
	while (sim.head < sim.sent && at(sim.head)->done_us <= sim.now_us) {
		struct batch *b = at(sim.head++);
		size_t late = 0;
		int64_t ignored;

		if (b->first == b->n)
			continue;
		admission_on_answer(&sim.admission, &b->note, sim.now_us);
		for (size_t i = b->first; i < b->n; i++) {
			int64_t took_us = sim.now_us - b->born_us[i];

			if (took_us > DEADLINE_US) {
				late++;
				continue;
			}
			sim.good++;
			if (took_us > sim.longest_us)
				sim.longest_us = took_us;
		}
		sim.late += (int64_t)late;
		if (late > 0)
			work(late, &ignored);
	}
}

static void
run(int64_t rate, int64_t us)
{
	int64_t end_us = sim.now_us + us;

	sim.offered = sim.good = sim.refused = sim.timed_out = sim.late = 0;
	sim.longest_us = 0;
	for (; sim.now_us < end_us; sim.now_us += STEP_US) {
		sim.arrived += rate * STEP_US;
		for (; sim.arrived >= 1000000; sim.arrived -= 1000000)
			arrive();
		answer_all();
		expire();
		if (sim.admission.tightened)
			refuse_hopeless();
		send_all();
	}
}

static const struct server servers[] = {
	/* name, take_ns, call_us, trip_us, calls, run_us, stop_us */
	{ "slow link", 500000, 0, 2000, 2, 0, 0 },
	{ "slow Redis", 200000, 200, 200, 2, 0, 0 },
	{ "small share", 10000, 40, 100, 2, 500, 9500 },
	{ "distant", 20000, 40, 10000, 1000, 0, 0 },
	{ "quick", 2000, 40, 100, 2, 0, 0 },
};

/* What it does of takes a second at its best. */
static int64_t
capacity(const struct server *s)
{
	int64_t ns = s->take_ns + s->call_us * 1000 / BATCH_MAX;
	int64_t period_us = s->run_us + s->stop_us;

	return 1000000000 / ns * (period_us ? s->run_us : 1) /
	    (period_us ? period_us : 1);
}

static void
run_and_tell(const char *when, int64_t rate, int64_t us)
{
	run(rate, us);
	print_message(
	    "%-12s %-9s offered %8lld good %7lld refused %8lld timed out %6lld "
	    "late %5lld longest %lld us\n",
	    sim.server->name, when, (long long)sim.offered, (long long)sim.good,
	    (long long)sim.refused, (long long)sim.timed_out, (long long)sim.late,
	    (long long)sim.longest_us);
}

/* Everyone else is told at once, and next to nobody waits in vain. */
static void
assert_at_its_best(int64_t can, int64_t seconds)
{
	assert_true(sim.good * 10 >= can * seconds * 7);
	assert_true((sim.timed_out + sim.late) * 100 <= sim.good);
	assert_true(sim.refused * 10 >= sim.offered * 8);
}

static void
test_ten_times_as_much(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(servers) / sizeof(*servers); i++) {
		int64_t can = capacity(&servers[i]);

		memset(&sim, 0, sizeof(sim));
		sim.server = &servers[i];
		run_and_tell("cold", can / 2, 500000);
		run_and_tell("before", can / 2, 1000000);
		assert_int_equal(sim.refused + sim.timed_out + sim.late, 0);
		run_and_tell("at first", can * 10, 1000000);
		assert_true(sim.good * 10 >= can * 7);
		assert_true((sim.timed_out + sim.late) * 100 <= sim.good);
		run_and_tell("overload", can * 10, 4000000);
		assert_at_its_best(can, 4);
		run_and_tell("after", can / 2, 1000000);
		assert_true(sim.refused * 20 <= sim.offered);
		run_and_tell("later", can / 2, 1000000);
		assert_int_equal(sim.refused + sim.timed_out + sim.late, 0);
	}
}

/* Many at once are no overload where they can all be answered in time; not even after
 * ages in which only one came at a time, each of which took as long as all of them do. */
static void
test_a_burst_is_let_in(void **state)
{
	static const struct server distant = { "burst", 10000, 40, 5000, 2, 0, 0 };

	(void)state;
	memset(&sim, 0, sizeof(sim));
	sim.server = &distant;
	run(100, 2000000);
	assert_int_equal(sim.refused, 0);
	run(500000, 1000); /* 500 takes: 5 ms of work, ten times that by the above */
	assert_int_equal(sim.refused, 0);
	run(0, 100000);
	assert_int_equal(sim.late + sim.timed_out + sim.refused, 0);
	assert_int_equal(sim.admission.waiting, 0);
}

/* However long nothing came: one is let in, and by it the others. */
static void
test_never_closed_for_good(void **state)
{
	static const struct server dead = { "dead", 1000, 40, 10000000, 2, 0, 0 };

	(void)state;
	memset(&sim, 0, sizeof(sim));
	sim.server = &dead;
	run(1000, 11000000);
	assert_true(sim.admission.limited);
	sim.server = &servers[4];
	run(1000, 11000000); /* what is under way comes late */
	run(1000, 1000000);
	assert_int_equal(sim.refused + sim.timed_out + sim.late, 0);
}

/* It stopped while little was asked of it, and was idle since: a burst is let in. */
static void
test_a_short_stop_is_forgotten(void **state)
{
	static const struct server quick = { "quick", 10000, 40, 200, 2, 0, 0 };
	struct server stopped = quick;

	(void)state;
	memset(&sim, 0, sizeof(sim));
	sim.server = &quick;
	run(100, 1000000);
	stopped.trip_us = 300000;
	sim.server = &stopped;
	run(100, 500000);
	assert_true(sim.admission.limited);
	sim.server = &quick;
	run(10, 1000000); /* so little that it teaches nothing */
	sim.refused = 0;
	run(20000, 1000);
	run(0, 100000);
	assert_int_equal(sim.refused + sim.timed_out + sim.late, 0);
	assert_false(sim.admission.limited);
}

/* Whose deadline is nearer is refused earlier. */
static void
test_by_deadline(void **state)
{
	struct admission a = { .waiting = 10,
		.limited = true,
		.done = 1,
		.busy_us = 1000,
		.stretch = ADMISSION_EVEN };

	(void)state;
	assert_true(admission_allows(&a, 10000 * 4 / ADMISSION_QUARTERS + 1, 1));
	assert_false(admission_allows(&a, 9999, 1));
	assert_false(admission_allows(&a, -5, 1));
	a.waiting = 0;
	assert_true(admission_allows(&a, 1, 1));
	a = (struct admission){ .waiting = 1000000 };
	assert_true(admission_allows(&a, 1, 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_times_as_much),
		cmocka_unit_test(test_a_burst_is_let_in),
		cmocka_unit_test(test_never_closed_for_good),
		cmocka_unit_test(test_a_short_stop_is_forgotten),
		cmocka_unit_test(test_by_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
