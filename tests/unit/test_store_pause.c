/* SPDX-License-Identifier: ISC */
/*
 * The longest that one call on the embedded store takes, while counters come, live and
 * die: 300,000 of them, ten million with RATION_FULL=1. Time is the thread's processor
 * time, so that others on the machine do not count; the kernel's work for this thread
 * does. What the machine itself takes away still shows, now and then: the judgement is on
 * how many calls were long, and on the longest only by what no machine should need.
 */
#include "memory_fixture.h"

#include <time.h>

#define LONG_NS 1000000
#define LONGEST_NS 100000000

struct pauses {
	int64_t calls;
	int64_t long_ones;
	int64_t longest_ns;
	int64_t sum_ns;
};

static int many;

static int64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void
note(struct pauses *p, int64_t since_ns)
{
	int64_t took = cpu_ns() - since_ns;

	p->calls++;
	p->sum_ns += took;
	p->long_ones += took > LONG_NS;
	if (took > p->longest_ns)
		p->longest_ns = took;
}

static void
judge(const struct pauses *p, const char *what)
{
	print_message("%-20s %9lld calls, mean %6.1f us, longest %8.1f us, "
		      "%lld over 1 ms\n",
	    what, (long long)p->calls, (double)p->sum_ns / 1e3 / (double)p->calls,
	    (double)p->longest_ns / 1e3, (long long)p->long_ones);
	/* A table that is built anew at once, in each shard: 250 and more. */
	assert_true(p->long_ones <= 20 + p->calls / 200000);
	assert_true(p->longest_ns < LONGEST_NS);
}

static void
on_done(struct take *take)
{
	assert_int_equal(take->status, TAKE_ADMITTED);
}

static void
take_one(struct fixture *f, const char *head, int i, struct pauses *p)
{
	char key[80];
	struct charge c;
	struct take take = { .charges = &c, .n = 1, .done = on_done };
	int64_t begun;

	snprintf(
	    key, sizeof(key), "ration:default:{grant=%s-%010d}:calls:minute", head, i);
	c = charge_of(&f->minute, key, 1);
	begun = cpu_ns();
	store_take(f->store, &take);
	note(p, begun);
}

static bool
tend(struct fixture *f, struct pauses *p)
{
	int64_t begun = cpu_ns();
	bool more = memory_tend(f->memory);

	note(p, begun);
	return more;
}

static void
test_no_pause(void **state)
{
	struct fixture f;
	struct pauses coming = { 0 }, living = { 0 }, dying = { 0 }, tending = { 0 };
	unsigned seed = 1;

	(void)state;
	fixture_open(&f, 2 * (int64_t)many);
	f.minute.max = INT32_MAX;
	for (int i = 0; i < many; i++)
		take_one(&f, "agent", i, &coming);
	judge(&coming, "new counters");
	for (int i = 0; i < many / 5; i++)
		take_one(&f, "agent", rand_r(&seed) % many, &living);
	judge(&living, "counters there are");
	f.now_us += MINUTE_US;
	for (int i = 0; i < many / 20; i++)
		take_one(&f, "other", i, &dying);
	judge(&dying, "others, as they die");
	f.now_us += MINUTE_US;
	/* The hand goes round as long as it finds some, and the last of them it meets in
	 * less than two rounds of what the tables were. */
	for (int i = 0; i < 40000 && (tend(&f, &tending) || memory_count(f.memory));)
		i++;
	judge(&tending, "tending");
	assert_int_equal(memory_count(f.memory), 0);
	fixture_close(&f);
}

static int
start(void **state)
{
	many = getenv("RATION_FULL") ? 10000000 : 300000;
	return start_hash(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_pause) };

	return cmocka_run_group_tests(tests, start, NULL);
}
