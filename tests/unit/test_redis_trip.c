/* SPDX-License-Identifier: ISC */
/* Settlements and resets over the Redis store, against a server that says what the test
 * wants. What a real Redis makes of the scripts is tested by tests/system. */
#include "redis_peer.h"

#include "redis/redis_store.h"

#define HOLDER "0123456789abcdef0123456789abcdef"
#define RECORD "h k1 5 1 fixed 1767225660000 60000 k2 1 0 slots 0 0"
#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* The store, and the other end of its connection. */
static struct {
	int fd;
	struct store *store;
	struct buf in;
} here;

/* Lets the store work for a moment. */
static void
turn(void)
{
	store_flush(here.store);
	peer_turn();
}

static void
say(const char *text)
{
	assert_int_equal(write(here.fd, text, strlen(text)), strlen(text));
	turn();
	turn();
}

static void
say_bulk(const char *value)
{
	char text[256];

	snprintf(text, sizeof(text), "$%zu\r\n%s\r\n", strlen(value), value);
	say(text);
}

/* The words of the next command, joined by spaces; a word longer than 80 bytes is
 * "...". "" when none has come. */
static const char *
next_command(void)
{
	static char text[4096];
	size_t len = 0;
	const char *p;
	char *end;
	long words;

	for (int i = 0; i < 10; i++) {
		char bytes[65536];
		ssize_t n;

		turn();
		n = recv(here.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n > 0)
			buf_add(&here.in, bytes, (size_t)n);
		else if (here.in.len > 0)
			break;
	}
	text[0] = '\0';
	p = buf_cstr(&here.in);
	if (!p || *p != '*')
		return text;
	words = strtol(p + 1, &end, 10);
	p = end + 2;
	for (; words > 0; words--) {
		long n = strtol(p + 1, &end, 10);

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s",
		    len > 0 ? " " : "", n > 80 ? 3 : (int)n, n > 80 ? "..." : end + 2);
		p = end + 2 + n + 2;
	}
	buf_drop(&here.in, (size_t)(p - here.in.data));
	return text;
}

static void
introduce(void)
{
	here.fd = peer_accept();
	for (int i = 0; i < 3; i++) {
		assert_non_null(strstr(next_command(), "INFO"));
		say_bulk("redis_version:7.0.0\r\nrole:master\r\n");
	}
	assert_string_equal(next_command(), "SCRIPT LOAD ...");
	say("$40\r\n" SHA_A "\r\n");
	assert_string_equal(next_command(), "SCRIPT LOAD ...");
	assert_false(store_ready(here.store, NULL));
	say("$40\r\n" SHA_B "\r\n");
	assert_true(store_ready(here.store, NULL));
}

static int
start(void **state)
{
	struct redis_store_options options = { .waiting_max = 2 };

	memset(&here, 0, sizeof(here));
	peer_open(state);
	options.url = peer.url;
	here.store = redis_store_new(peer.loop, &options, &peer.cells);
	assert_non_null(here.store);
	introduce();
	return 0;
}

static int
stop(void **state)
{
	if (here.store)
		store_close(here.store);
	close(here.fd);
	buf_fini(&here.in);
	return peer_close(state);
}

static int n_done;

static void
on_settled(struct settle *settle)
{
	(void)settle;
	n_done++;
}

static void
on_reset(struct reset *reset)
{
	(void)reset;
	n_done++;
}

/* Far away unless a test says otherwise. */
static void
begin(struct settle *settle, enum settle_action action, int64_t within_us)
{
	*settle = (struct settle){
		.action = action,
		.key = slice_str("r"),
		.holder = slice_str(HOLDER),
		.cost = action == SETTLE_COMMIT ? 7 : -1,
		.ttl_ms = 5000,
		.keep_ms = 600000,
		.deadline_us = clock_mono_us() + within_us,
		.done = on_settled,
		.detail = "?",
	};
	n_done = 0;
	store_settle(here.store, settle);
}

static void
test_a_commit(void **state)
{
	struct settle s;

	(void)state;
	begin(&s, SETTLE_COMMIT, 60 * SECOND_US);
	assert_string_equal(next_command(), "GET r");
	say_bulk(RECORD);
	assert_string_equal(next_command(),
	    "EVALSHA " SHA_A " 3 r k1 k2 commit " RECORD " " HOLDER " 7 5000 600000");
	assert_int_equal(n_done, 0);
	say(":1\r\n");
	assert_int_equal(n_done, 1);
	assert_int_equal(s.status, SETTLE_DONE);
	assert_int_equal(s.fault, FAULT_NONE);
	assert_string_equal(s.detail, "");
}

static void
test_without_charges(void **state)
{
	struct settle s;

	(void)state;
	begin(&s, SETTLE_ROLLBACK, 60 * SECOND_US);
	assert_string_equal(next_command(), "GET r");
	say_bulk("h");
	assert_string_equal(next_command(),
	    "EVALSHA " SHA_A " 1 r rollback h " HOLDER " -1 5000 600000");
	say(":1\r\n");
	assert_int_equal(s.status, SETTLE_DONE);
}

static void
test_what_the_record_says(void **state)
{
	static const struct {
		const char *record;
		enum settle_status status;
		enum store_fault fault;
	} cases[] = {
		{ "$-1\r\n", SETTLE_UNKNOWN, FAULT_NONE },
		{ "$1\r\ns\r\n", SETTLE_ALREADY, FAULT_NONE },
		{ "$0\r\n\r\n", SETTLE_FAILED, FAULT_WRONGTYPE },
		{ "$3\r\nh k\r\n", SETTLE_FAILED, FAULT_WRONGTYPE },
		{ "$5\r\nhello\r\n", SETTLE_FAILED, FAULT_WRONGTYPE },
		{ "$20\r\nh k1 5 1  1767225660\r\n", SETTLE_FAILED, FAULT_WRONGTYPE },
		{ "-WRONGTYPE Operation against\r\n", SETTLE_FAILED, FAULT_WRONGTYPE },
		{ "-NOPERM no\r\n", SETTLE_FAILED, FAULT_CONFIG },
		{ "-LOADING no\r\n", SETTLE_FAILED, FAULT_LOADING },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settle s;

		begin(&s, SETTLE_RENEW, 60 * SECOND_US);
		assert_string_equal(next_command(), "GET r");
		say(cases[i].record);
		assert_int_equal(n_done, 1);
		assert_int_equal(s.status, cases[i].status);
		if (s.status == SETTLE_FAILED)
			assert_int_equal(s.fault, cases[i].fault);
		assert_string_equal(next_command(), "");
	}
}

static void
test_what_the_script_says(void **state)
{
	static const struct {
		const char *answer;
		enum settle_status status;
		enum store_fault fault;
	} cases[] = {
		{ ":-1\r\n", SETTLE_UNKNOWN, FAULT_NONE },
		{ "-OOM no room\r\n", SETTLE_FAILED, FAULT_MEMORY },
		{ "+OK\r\n", SETTLE_FAILED, FAULT_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settle s;

		begin(&s, SETTLE_RENEW, 60 * SECOND_US);
		assert_string_equal(next_command(), "GET r");
		say_bulk(RECORD);
		assert_non_null(strstr(next_command(), " renew "));
		say(cases[i].answer);
		assert_int_equal(n_done, 1);
		assert_int_equal(s.status, cases[i].status);
		if (s.status == SETTLE_FAILED)
			assert_int_equal(s.fault, cases[i].fault);
	}
}

/* Somebody else settled it between the two commands, or renewed it. */
static void
test_read_again(void **state)
{
	struct settle s;

	(void)state;
	begin(&s, SETTLE_COMMIT, 60 * SECOND_US);
	assert_string_equal(next_command(), "GET r");
	say_bulk(RECORD);
	assert_non_null(strstr(next_command(), "EVALSHA"));
	say(":0\r\n");
	assert_string_equal(next_command(), "GET r");
	say_bulk("s");
	assert_int_equal(n_done, 1);
	assert_int_equal(s.status, SETTLE_ALREADY);
}

static void
test_a_record_that_keeps_changing(void **state)
{
	struct settle s;
	int n = 0;

	(void)state;
	begin(&s, SETTLE_COMMIT, 60 * SECOND_US);
	while (n_done == 0 && n++ < 100) {
		assert_string_equal(next_command(), "GET r");
		say_bulk(RECORD);
		assert_non_null(strstr(next_command(), "EVALSHA"));
		say(":0\r\n");
	}
	assert_int_equal(n, 4);
	assert_int_equal(s.status, SETTLE_FAILED);
	assert_int_equal(s.fault, FAULT_OTHER);
}

static void
test_noscript(void **state)
{
	struct settle s;

	(void)state;
	begin(&s, SETTLE_COMMIT, 60 * SECOND_US);
	assert_string_equal(next_command(), "GET r");
	say_bulk(RECORD);
	assert_non_null(strstr(next_command(), "EVALSHA " SHA_A " 3 r k1 k2 commit"));
	say("-NOSCRIPT No matching script.\r\n");
	assert_string_equal(next_command(),
	    "EVAL ... 3 r k1 k2 commit " RECORD " " HOLDER " 7 5000 600000");
	say(":1\r\n");
	assert_int_equal(n_done, 1);
	assert_int_equal(s.status, SETTLE_DONE);
}

/* Runs until it is done, or for so long. */
static void
wait_done(int64_t us)
{
	int64_t end_us = clock_mono_us() + us;

	while (n_done == 0 && clock_mono_us() < end_us)
		turn();
}

/* Its owner is told, and may free it; the replies still find their way. */
static void
test_a_deadline(void **state)
{
	static const char *const late[] = { "$-1\r\n", "$1\r\ns\r\n",
		"-WRONGTYPE no\r\n", "$3\r\nh k\r\n", "$17\r\nh k 1 1 fixed 1 1\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		struct settle *s = malloc(sizeof(*s));
		struct settle other;

		begin(s, SETTLE_COMMIT, 2000);
		wait_done(60 * SECOND_US);
		assert_int_equal(n_done, 1);
		assert_int_equal(s->status, SETTLE_FAILED);
		assert_int_equal(s->fault, FAULT_TIMEOUT);
		free(s);
		assert_string_equal(next_command(), "GET r");
		begin(&other, SETTLE_COMMIT, 60 * SECOND_US);
		say(late[i]);
		assert_int_equal(n_done, 0);
		assert_string_equal(next_command(), "GET r");
		say("$1\r\ns\r\n");
		assert_int_equal(n_done, 1);
		assert_int_equal(other.status, SETTLE_ALREADY);
		assert_string_equal(next_command(), "");
	}
}

static void
test_a_deadline_in_the_script(void **state)
{
	static const char *const late[] = { ":1\r\n", ":0\r\n", ":-1\r\n",
		"-NOSCRIPT no\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		struct settle *s = malloc(sizeof(*s));

		begin(s, SETTLE_COMMIT, 60 * SECOND_US);
		assert_string_equal(next_command(), "GET r");
		s->deadline_us = clock_mono_us() + 2000;
		say_bulk(RECORD);
		wait_done(60 * SECOND_US);
		assert_int_equal(n_done, 1);
		assert_int_equal(s->fault, FAULT_TIMEOUT);
		free(s);
		assert_non_null(strstr(next_command(), "EVALSHA"));
		say(late[i]);
		assert_int_equal(n_done, 1);
		assert_string_equal(next_command(), "");
	}
}

static void
test_the_link_is_lost(void **state)
{
	struct settle s, second;
	struct reset r = { .keys = (struct slice[]){ slice_str("k") },
		.n = 1,
		.deadline_us = INT64_MAX,
		.done = on_reset };

	(void)state;
	begin(&s, SETTLE_COMMIT, 60 * SECOND_US);
	store_reset(here.store, &r);
	assert_string_equal(next_command(), "GET r");
	shutdown(here.fd, SHUT_RDWR);
	wait_done(60 * SECOND_US);
	assert_int_equal(n_done, 2);
	assert_int_equal(s.status, SETTLE_FAILED);
	assert_int_equal(s.fault, FAULT_DISCONNECTED);
	assert_int_equal(r.fault, FAULT_DISCONNECTED);
	begin(&second, SETTLE_COMMIT, 60 * SECOND_US);
	assert_int_equal(n_done, 1);
	assert_int_equal(second.fault, FAULT_DISCONNECTED);
	close(here.fd);
	buf_clear(&here.in);
	introduce();
	begin(&s, SETTLE_COMMIT, 60 * SECOND_US);
	assert_string_equal(next_command(), "GET r");
	say("$-1\r\n");
	assert_int_equal(s.status, SETTLE_UNKNOWN);
}

static void
test_too_many(void **state)
{
	struct settle s[3];

	(void)state;
	begin(&s[0], SETTLE_COMMIT, 60 * SECOND_US);
	begin(&s[1], SETTLE_COMMIT, 60 * SECOND_US);
	begin(&s[2], SETTLE_COMMIT, 60 * SECOND_US);
	assert_int_equal(n_done, 1);
	assert_int_equal(s[2].fault, FAULT_OVERLOAD);
	say("$-1\r\n$-1\r\n");
	assert_int_equal(n_done, 3);
}

static void
test_a_reset(void **state)
{
	struct slice keys[] = { slice_str("k1"), slice_str("k2"), slice_str("k3") };
	struct reset r = { .keys = keys, .n = 3, .done = on_reset, .detail = "?" };

	(void)state;
	n_done = 0;
	r.deadline_us = clock_mono_us() + 60 * SECOND_US;
	store_reset(here.store, &r);
	assert_string_equal(next_command(), "UNLINK k1 k2 k3");
	say(":2\r\n");
	assert_int_equal(n_done, 1);
	assert_int_equal(r.held, 2);
	assert_int_equal(r.fault, FAULT_NONE);
	assert_string_equal(r.detail, "");
	store_reset(here.store, &r);
	say("-NOPERM no\r\n");
	assert_int_equal(r.fault, FAULT_CONFIG);
	assert_string_equal(r.detail, "NOPERM no");
	store_reset(here.store, &r);
	say("+OK\r\n");
	assert_int_equal(r.fault, FAULT_OTHER);
	n_done = 0;
	r.deadline_us = clock_mono_us() + 2000;
	store_reset(here.store, &r);
	wait_done(60 * SECOND_US);
	assert_int_equal(r.fault, FAULT_TIMEOUT);
	say(":3\r\n");
	assert_int_equal(n_done, 1);
}

static void
test_the_store_closes(void **state)
{
	struct settle s;

	(void)state;
	begin(&s, SETTLE_COMMIT, 60 * SECOND_US);
	store_close(here.store);
	here.store = NULL;
	assert_int_equal(n_done, 1);
	assert_int_equal(s.fault, FAULT_DISCONNECTED);
	assert_string_equal(s.detail, "shutting down");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_commit),
		TEST(test_without_charges),
		TEST(test_what_the_record_says),
		TEST(test_what_the_script_says),
		TEST(test_read_again),
		TEST(test_a_record_that_keeps_changing),
		TEST(test_noscript),
		TEST(test_a_deadline),
		TEST(test_a_deadline_in_the_script),
		TEST(test_the_link_is_lost),
		TEST(test_too_many),
		TEST(test_a_reset),
		TEST(test_the_store_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
