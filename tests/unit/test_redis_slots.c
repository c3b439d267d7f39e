/* SPDX-License-Identifier: ISC */
/* Hash slots, CLUSTER SLOTS as servers of several ages answer it, and redirections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "redis/redirect.h"
#include "redis/slots.h"

static struct slice
s(const char *text)
{
	return slice_str(text);
}

/* 31C3 for "123456789" is the specification's own check value; the slots of whole keys
 * are what CLUSTER KEYSLOT of Redis 7.0 says. */
static void
test_slot_of(void **state)
{
	static const struct {
		const char *key;
		unsigned slot;
	} cases[] = {
		{ "123456789", 0x31c3 }, { "", 0 }, { "foo", 12182 }, { "bar", 5061 },
		{ "hello", 866 }, { "{foo}", 12182 }, { "a{foo}b{bar}", 12182 },
		{ "{user1000}.following", 3443 },
		{ "foo{}{bar}", 8363 },    /* an empty tag is none */
		{ "foo{{bar}}zap", 4015 }, /* the tag is "{bar" */
		{ "{foo", 13308 },         /* never closed */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (slot_of(s(cases[i].key)) != cases[i].slot)
			fail_msg("%s: %u", cases[i].key, slot_of(s(cases[i].key)));
	assert_int_equal(
	    slot_of(s("{user1000}.following")), slot_of(s("ration:{user1000}:x")));
}

struct told {
	char text[1024];
};

static void
tell(void *arg, unsigned first, unsigned last, const struct address *master)
{
	struct told *told = arg;
	size_t len = strlen(told->text);

	snprintf(told->text + len, sizeof(told->text) - len, "%u-%u %s;", first, last,
	    master->text);
}

static bool
read_slots(const char *bytes, struct told *told)
{
	struct reply_reader *reader = reply_reader_new();
	const struct reply *reply;
	struct address asked;
	struct errinfo ei;
	bool ok;

	told->text[0] = '\0';
	assert_non_null(reader);
	assert_int_equal(address_parse("10.0.0.1:7000", &asked, &ei), 0);
	assert_int_equal(reply_reader_feed(reader, bytes, strlen(bytes)), 0);
	assert_int_equal(reply_reader_next(reader, &reply), 1);
	ok = slots_parse(reply, &asked, tell, told);
	reply_reader_free(reader);
	return ok;
}

#define ID "$2\r\nid\r\n"

static void
test_slots(void **state)
{
	static const struct {
		const char *bytes, *told;
	} cases[] = {
		{ "*0\r\n", "" },
		/* 6.2, with a replica. */
		{ "*2\r\n*4\r\n:0\r\n:5460\r\n"
		  "*3\r\n$8\r\n10.0.0.2\r\n:6379\r\n" ID
		  "*3\r\n$8\r\n10.0.0.3\r\n:6379\r\n" ID
		  "*3\r\n:5461\r\n:16383\r\n*3\r\n$8\r\n10.0.0.4\r\n:7001\r\n" ID,
		    "0-5460 10.0.0.2:6379;5461-16383 10.0.0.4:7001;" },
		/* 7.0: metadata, empty and not. */
		{ "*2\r\n*4\r\n:0\r\n:0\r\n"
		  "*4\r\n$8\r\n10.0.0.2\r\n:6379\r\n" ID "*0\r\n"
		  "*4\r\n$8\r\n10.0.0.3\r\n:6379\r\n" ID "*0\r\n"
		  "*3\r\n:1\r\n:2\r\n*4\r\n$6\r\nredis4\r\n:1\r\n" ID
		  "*2\r\n$2\r\nip\r\n$8\r\n10.0.0.4\r\n",
		    "0-0 10.0.0.2:6379;1-2 redis4:1;" },
		/* IPv6; hosts that are not known: nil, empty, "?". */
		{ "*1\r\n*3\r\n:0\r\n:9\r\n*3\r\n$3\r\n::5\r\n:1\r\n" ID,
		    "0-9 [::5]:1;" },
		{ "*1\r\n*3\r\n:0\r\n:9\r\n*3\r\n$-1\r\n:1\r\n" ID, "0-9 10.0.0.1:1;" },
		{ "*1\r\n*3\r\n:0\r\n:9\r\n*3\r\n$0\r\n\r\n:1\r\n" ID,
		    "0-9 10.0.0.1:1;" },
		{ "*1\r\n*3\r\n:0\r\n:9\r\n*4\r\n$1\r\n?\r\n:1\r\n" ID
		  "*4\r\n$1\r\nx\r\n$1\r\ny\r\n$2\r\nip\r\n$8\r\n10.0.0.6\r\n",
		    "0-9 10.0.0.6:1;" },
		{ "*1\r\n*3\r\n:0\r\n:9\r\n*3\r\n$1\r\n?\r\n:1\r\n" ID,
		    "0-9 10.0.0.1:1;" },
		/* A port that is none: the range is left out. */
		{ "*1\r\n*3\r\n:0\r\n:9\r\n*3\r\n$1\r\nh\r\n:0\r\n" ID, "" },
	};
	struct told told;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!read_slots(cases[i].bytes, &told))
			fail_msg("refused: %zu", i);
		assert_string_equal(told.text, cases[i].told);
	}
}

static void
test_no_slots(void **state)
{
	static const char *const cases[] = {
		"-ERR This instance has cluster support disabled\r\n",
		":1\r\n",
		"$-1\r\n",
		"*1\r\n:1\r\n",
		"*1\r\n*1\r\n:1\r\n",
		"*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\nh\r\n:1\r\n",
		"*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\nh\r\n:1\r\n",
		"*1\r\n*3\r\n:-1\r\n:4\r\n*2\r\n$1\r\nh\r\n:1\r\n",
		"*1\r\n*3\r\n$1\r\n0\r\n:4\r\n*2\r\n$1\r\nh\r\n:1\r\n",
	};
	struct told told;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (read_slots(cases[i], &told))
			fail_msg("taken for slots: %s", cases[i]);
}

static void
test_redirect(void **state)
{
	static const struct {
		const char *text;
		enum redirect_kind kind;
		int slot;
		const char *to;
	} cases[] = {
		{ "MOVED 3999 127.0.0.1:6381", REDIRECT_MOVED, 3999, "127.0.0.1:6381" },
		{ "ASK 0 redis-3.local:7001", REDIRECT_ASK, 0, "redis-3.local:7001" },
		{ "MOVED 16383 ::1:6381", REDIRECT_MOVED, 16383, "[::1]:6381" },
		{ "MOVED 1 :6381", REDIRECT_MOVED, 1, "10.0.0.1:6381" },
		{ "MOVED 1 ?:6381", REDIRECT_MOVED, 1, "" },
		{ "TRYAGAIN Multiple keys request during rehashing of slot",
		    REDIRECT_TRYAGAIN, -1, NULL },
	};
	static const char *const others[] = { "", "MOVED", "MOVED 1", "MOVED x h:1",
		"MOVED 16384 h:1", "MOVED -1 h:1", "MOVED 1 h", "MOVED 1 h:x",
		"MOVED 1 h:0", "MOVED 1 h:65536", "ASKING 1 h:1", "ERR MOVED 1 h:1",
		"CLUSTERDOWN Hash slot not served" };
	struct redirect r;
	struct address asked;
	struct errinfo ei;

	(void)state;
	assert_int_equal(address_parse("10.0.0.1:7000", &asked, &ei), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(redirect_parse(s(cases[i].text), &asked, &r));
		assert_int_equal(r.kind, cases[i].kind);
		assert_int_equal(r.slot, cases[i].slot);
		if (cases[i].to)
			assert_string_equal(r.to.text, cases[i].to);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (redirect_parse(s(others[i]), &asked, &r))
			fail_msg("taken for a redirection: %s", others[i]);
	assert_true(
	    redirect_is_astray(s("ERR Script attempted to access a non local key "
				 "in a cluster node script: 1, on @user_script:1.")));
	assert_false(redirect_is_astray(s("ERR something else")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_of),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_no_slots),
		cmocka_unit_test(test_redirect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
