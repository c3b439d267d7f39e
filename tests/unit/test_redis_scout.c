/* SPDX-License-Identifier: ISC */
/* How often a Cluster is asked for its slots. */
#include "redis_peer.h"

#include "redis/scout.h"

static unsigned n_answers;

static const struct address *
on_address(void *arg, unsigned turn)
{
	(void)arg;
	(void)turn;
	return &peer.url.hosts[0];
}

static bool
on_answer(void *arg, const struct reply *reply, const struct address *asked)
{
	(void)arg;
	(void)reply;
	(void)asked;
	n_answers++;
	return false;
}

static void
on_trouble(void *arg, enum store_fault fault, const char *why)
{
	(void)arg;
	(void)fault;
	(void)why;
}

static const struct scout_ops events = { on_address, on_answer, on_trouble };

/* The only node there is knows nothing of use: it is asked again after pauses that grow
 * from a tenth of a second to one. */
static void
test_answers_of_no_use(void **state)
{
	struct scout *scout;
	int64_t end_us;
	char bytes[4096];
	int fd;

	(void)state;
	n_answers = 0;
	scout = scout_new(&peer.shared, &events, NULL);
	assert_non_null(scout);
	fd = peer_accept();
	peer_hear(fd, "INFO");
	peer_say(fd, PEER_INFO);
	end_us = clock_mono_us() + SECOND_US;
	while (clock_mono_us() < end_us) {
		if (recv(fd, bytes, sizeof(bytes), 0) > 0)
			peer_say(fd, "-ERR no\r\n");
		peer_turn();
	}
	assert_in_range(n_answers, 2, 8);
	scout_free(scout);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_answers_of_no_use, peer_open, peer_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
