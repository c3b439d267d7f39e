/* SPDX-License-Identifier: ISC */
/* Letters between threads: each once, in their order, none lost, and what they carry is
 * given back when nobody reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "mailbox.h"

#define WRITERS 4
#define LETTERS 20000 /* of each */

static struct loop *loop;
static struct mailbox box;
static int reader;
static int last[WRITERS]; /* the number of the last letter of each */
static int n_read;
static int n_dropped;
static int read_max; /* then the loop stops */

static void
read_number(void *arg, const struct letter *letter)
{
	assert_ptr_equal(arg, &reader);
	assert_int_equal(letter->fd, last[letter->front] + 1);
	last[letter->front] = letter->fd;
	if (++n_read == read_max)
		loop_stop(loop);
}

static void
drop_number(const struct letter *letter)
{
	n_dropped += letter->fd;
}

static const struct letter_kind number_kind = { read_number, drop_number };

static struct letter
number(size_t writer, int n)
{
	return (struct letter){ .kind = &number_kind, .front = writer, .fd = n };
}

static int
setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < WRITERS; i++)
		last[i] = 0;
	n_read = n_dropped = read_max = 0;
	loop = loop_new();
	return mailbox_init(&box, loop, &reader);
}

static int
teardown(void **state)
{
	(void)state;
	mailbox_fini(&box);
	loop_free(loop);
	return 0;
}

static void *
write_many(void *arg)
{
	size_t writer = (size_t)(uintptr_t)arg;

	for (int n = 1; n <= LETTERS;) {
		struct letter letter = number(writer, n);

		n += mailbox_post(&box, &letter);
	}
	return NULL;
}

static void
test_none_is_lost(void **state)
{
	pthread_t threads[WRITERS];

	(void)state;
	read_max = WRITERS * LETTERS;
	for (size_t i = 0; i < WRITERS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, write_many, (void *)(uintptr_t)i),
		    0);
	assert_int_equal(loop_run(loop), 0);
	for (size_t i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(n_read, read_max);
}

static void
test_orders_fit_when_letters_do_not(void **state)
{
	struct letter letter;
	int n = 1;

	(void)state;
	for (;; n++) {
		letter = number(0, n);
		assert_int_equal(mailbox_is_full(&box), n > MAILBOX_MAX);
		if (!mailbox_post(&box, &letter))
			break;
	}
	assert_int_equal(n, MAILBOX_MAX + 1);
	for (; n <= MAILBOX_MAX + MAILBOX_ORDERS; n++) {
		letter = number(0, n);
		mailbox_order(&box, &letter);
		assert_true(mailbox_is_full(&box));
	}
	read_max = MAILBOX_MAX + MAILBOX_ORDERS;
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(last[0], read_max);
	assert_false(mailbox_is_full(&box));
	letter = number(0, n);
	assert_true(mailbox_post(&box, &letter));
}

/* What is posted while letters are read needs no other wake-up. */
static void
read_and_answer(void *arg, const struct letter *letter)
{
	struct letter next = *letter;

	(void)arg;
	next.fd--;
	if (letter->fd > 0)
		assert_true(mailbox_post(&box, &next));
	else
		loop_stop(loop);
}

static void
test_a_letter_of_its_reader(void **state)
{
	static const struct letter_kind kind = { read_and_answer, NULL };
	struct letter letter = { .kind = &kind, .fd = 100 };

	(void)state;
	assert_true(mailbox_post(&box, &letter));
	assert_int_equal(loop_run(loop), 0);
}

static void
test_the_unread_are_dropped(void **state)
{
	static const struct letter_kind empty = { read_number, NULL };
	struct letter letter = { .kind = &empty };

	(void)state;
	mailbox_order(&box, &letter);
	letter = number(0, 3);
	assert_true(mailbox_post(&box, &letter));
	letter = number(1, 4);
	assert_true(mailbox_post(&box, &letter));
	mailbox_fini(&box);
	assert_int_equal(n_dropped, 7);
	assert_int_equal(n_read, 0);
	mailbox_fini(&box); /* once more is fine */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_none_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_orders_fit_when_letters_do_not, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_a_letter_of_its_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    test_the_unread_are_dropped, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
