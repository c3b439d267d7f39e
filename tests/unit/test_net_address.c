/* SPDX-License-Identifier: ISC */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/address.h"

static void
test_reads_every_form(void **state)
{
	static const struct {
		const char *text, *host, *port, *path;
		enum address_kind kind;
		int fd;
		bool local;
	} rows[] = {
		{ "127.0.0.1:7480", "127.0.0.1", "7480", "", ADDRESS_TCP, -1, true },
		{ "127.9.9.9:0", "127.9.9.9", "0", "", ADDRESS_TCP, -1, true },
		{ "[::1]:7480", "::1", "7480", "", ADDRESS_TCP, -1, true },
		{ "[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", "1", "", ADDRESS_TCP, -1,
		    true },
		{ "localhost:65535", "localhost", "65535", "", ADDRESS_TCP, -1, true },
		{ ":7480", "", "7480", "", ADDRESS_TCP, -1, false },
		{ "0.0.0.0:7480", "0.0.0.0", "7480", "", ADDRESS_TCP, -1, false },
		{ "[::]:80", "::", "80", "", ADDRESS_TCP, -1, false },
		{ "10.0.0.1:80", "10.0.0.1", "80", "", ADDRESS_TCP, -1, false },
		{ "redis.internal:6379", "redis.internal", "6379", "", ADDRESS_TCP, -1,
		    false },
		{ "unix:/run/x.sock", "", "", "/run/x.sock", ADDRESS_UNIX, -1, true },
		{ "fd:999", "", "", "", ADDRESS_FD, 999, false },
	};
	struct address a;
	struct errinfo ei;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(address_parse(rows[i].text, &a, &ei), 0);
		assert_string_equal(a.text, rows[i].text);
		assert_int_equal(a.kind, rows[i].kind);
		assert_string_equal(a.host, rows[i].host);
		assert_string_equal(a.port, rows[i].port);
		assert_string_equal(a.path, rows[i].path);
		assert_int_equal(a.fd, rows[i].fd);
		assert_int_equal(address_is_local(&a), rows[i].local);
	}
}

static void
test_refuses_the_rest(void **state)
{
	static const char *const rows[] = { "", "7480", "localhost",
		"host:", "host:65536", "host:-1", "host:http", "host:80 ", "::1:80",
		"[::1]", "[::1]80", "[host]:80", "ho st:80", "unix:", "unix:relative",
		"fd:", "fd:x", "fd:-1", "fd:1e3", "http://host:80" };
	char longest[400];
	struct address a;
	struct errinfo ei;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(address_parse(rows[i], &a, &ei), ERR_INVALID);
		assert_non_null(strstr(ei.text, rows[i]));
	}
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "unix:/", 6);
	longest[5 + sizeof(a.path)] = '\0';
	assert_int_equal(address_parse(longest, &a, &ei), ERR_INVALID);
	assert_non_null(strstr(ei.text, "at most 107 bytes"));
	longest[5 + sizeof(a.path) - 1] = '\0';
	assert_int_equal(address_parse(longest, &a, &ei), 0);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(address_parse(longest, &a, &ei), ERR_INVALID);
}

static void
test_formats_sockets(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(81) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(82) };
	char text[ADDRESS_TEXT_MAX];
	int pair[2];

	(void)state;
	in.sin_addr.s_addr = htonl(0x0a000001);
	address_of_sockaddr((struct sockaddr *)&in, sizeof(in), text);
	assert_string_equal(text, "10.0.0.1:81");
	in6.sin6_addr.s6_addr[15] = 1;
	address_of_sockaddr((struct sockaddr *)&in6, sizeof(in6), text);
	assert_string_equal(text, "[::1]:82");
	memcpy(in6.sin6_addr.s6_addr + 10, "\xff\xff\x0a\x00\x00\x02", 6);
	address_of_sockaddr((struct sockaddr *)&in6, sizeof(in6), text);
	assert_string_equal(text, "10.0.0.2:82");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	address_of_fd(pair[0], true, text);
	assert_string_equal(text, "unix:");
	close(pair[0]);
	close(pair[1]);
	address_of_fd(-1, true, text);
	assert_string_equal(text, "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_every_form),
		cmocka_unit_test(test_refuses_the_rest),
		cmocka_unit_test(test_formats_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
