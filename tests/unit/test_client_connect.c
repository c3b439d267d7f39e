/* SPDX-License-Identifier: ISC */
/* libration: addresses, options, the token, connections that fail. */
#include "client_peer.h"

#include "ration/ration.h"

#define ANSWER "*8\r\n:1\r\n$0\r\n\r\n$0\r\n\r\n:29\r\n:41000\r\n:0\r\n$0\r\n\r\n:0\r\n"
#define CHECK_T_G "*3\r\n$5\r\nCHECK\r\n$1\r\nt\r\n$1\r\ng\r\n"
#define AUTH "*2\r\n$4\r\nAUTH\r\n$16\r\n0123456789abcdef\r\n"

/* As a later version of the header may have them. */
struct newer_options {
	struct ration_options o;
	long later;
};

static int
connect_to(const char *address, int64_t timeout_ms, const char *token,
    struct ration **out, char why[256])
{
	struct ration_options options = RATION_OPTIONS_INIT;

	options.timeout_ms = timeout_ms;
	options.token = token;
	return ration_connect(out, address, &options, why, 256);
}

static int
check_t_g(struct ration *r)
{
	struct ration_request request = RATION_REQUEST_INIT;
	struct ration_answer answer = RATION_ANSWER_INIT;

	request.tool = "t";
	request.grant = "g";
	return ration_check(r, &request, &answer);
}

static void
test_version(void **state)
{
	char text[32];

	(void)state;
	snprintf(text, sizeof(text), "%d.%d.%d", RATION_VERSION_MAJOR,
	    RATION_VERSION_MINOR, RATION_VERSION_PATCH);
	assert_string_equal(text, RATION_VERSION);
	assert_string_equal(ration_version(), RATION_VERSION);
}

static void
test_error_texts(void **state)
{
	(void)state;
	assert_string_equal(ration_error_text(0), "no error");
	for (int code = RATION_ERR_NOTFOUND; code < 0; code++)
		assert_string_not_equal(ration_error_text(code), "unknown error");
	assert_string_equal(
	    ration_error_text(RATION_ERR_NOTFOUND - 1), "unknown error");
	assert_string_equal(ration_error_text(1), "unknown error");
	assert_string_equal(ration_error_text(INT32_MIN), "unknown error");
}

static void
test_bad_addresses(void **state)
{
	char deep[200] = "unix:/";
	const char *bad[] = {
		"",
		"localhost",
		":7481",
		"[]:7481",
		"::1:7481",
		"host:",
		"host:0",
		"host:65536",
		"host:-1",
		"host:7481x",
		"host:000007481",
		"unix:",
		"unix:relative",
		"127.0.0.1",
		"[::1]",
		"host:\n1",
		deep,
	};
	struct ration *r;
	char why[256];

	(void)state;
	memset(deep + 6, 'd', sizeof(deep) - 7);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		r = (struct ration *)&r;
		assert_int_equal(
		    connect_to(bad[i], 100, NULL, &r, why), RATION_ERR_ARGUMENT);
		assert_null(r);
		assert_non_null(strstr(why, "address"));
	}
}

static void
test_bad_options(void **state)
{
	struct newer_options newer = { RATION_OPTIONS_INIT, 0 };
	struct ration_options options = RATION_OPTIONS_INIT;
	struct ration *r;

	(void)state;
	options.timeout_ms = RATION_TIMEOUT_MAX_MS + 1;
	assert_int_equal(
	    ration_connect(&r, NULL, &options, NULL, 0), RATION_ERR_ARGUMENT);
	options.timeout_ms = -1;
	assert_int_equal(
	    ration_connect(&r, NULL, &options, NULL, 0), RATION_ERR_ARGUMENT);
	options.timeout_ms = 1;
	options.size = 0;
	assert_int_equal(
	    ration_connect(&r, NULL, &options, NULL, 0), RATION_ERR_ARGUMENT);
	newer.o.size = sizeof(newer);
	newer.later = 1; /* a field that this library does not know, in use */
	assert_int_equal(
	    ration_connect(&r, NULL, &newer.o, NULL, 0), RATION_ERR_ARGUMENT);
	assert_null(r);
}

static void
test_newer_options_unused(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct newer_options newer = { RATION_OPTIONS_INIT, 0 };
	struct ration *r;
	struct peer p;

	(void)state;
	peer_start(&p, steps);
	newer.o.size = sizeof(newer);
	assert_int_equal(ration_connect(&r, p.address, &newer.o, NULL, 0), 0);
	assert_string_equal(ration_detail(r), "");
	ration_close(r);
	peer_end(&p);
	ration_close(NULL);
}

static void
test_nobody_listens(void **state)
{
	struct ration *r;
	char address[160];
	char label[100];
	char why[256];

	(void)state;
	close(peer_listen_tcp(address, sizeof(address)));
	assert_int_equal(connect_to(address, 1000, NULL, &r, why), RATION_ERR_CONNECT);
	assert_null(r);
	assert_non_null(strstr(why, address));
	assert_non_null(strstr(why, "refused"));
	assert_int_equal(
	    connect_to("unix:/nonexistent/s", 1000, NULL, &r, why), RATION_ERR_CONNECT);
	/* No name may be that long, so the resolver asks nobody. */
	memset(label, 'l', sizeof(label) - 3);
	snprintf(label + sizeof(label) - 3, 3, ":1");
	assert_int_equal(connect_to(label, 1000, NULL, &r, why), RATION_ERR_CONNECT);
	assert_int_equal(ration_connect(&r, address, NULL, why, 4), RATION_ERR_CONNECT);
	assert_int_equal(strlen(why), 3);
}

/* A Unix socket whose queue is full makes connect(2) say "later", for ever. */
static void
test_connect_times_out(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char address[160];
	char folder[64];
	int listener = peer_listen_unix(address, sizeof(address), folder, 0);
	int waiting[8];
	size_t n = 0;
	struct ration *r;
	char why[256];

	(void)state;
	memcpy(un.sun_path, address + 5, strlen(address + 5) + 1);
	do {
		assert_true(n < 8);
		waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} while (connect(waiting[n++], (struct sockaddr *)&un, sizeof(un)) == 0);
	assert_int_equal(connect_to(address, 40, NULL, &r, why), RATION_ERR_CONNECT);
	assert_non_null(strstr(why, "in time"));
	while (n > 0)
		close(waiting[--n]);
	close(listener);
	peer_remove(folder);
}

static void
test_ipv6(void **state)
{
	struct sockaddr_in6 in = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	char address[64];
	struct ration *r;

	(void)state;
	in.sin6_addr = in6addr_loopback;
	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) != 0)
		skip();
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	snprintf(address, sizeof(address), "[::1]:%d", ntohs(in.sin6_port));
	assert_int_equal(ration_connect(&r, address, NULL, NULL, 0), 0);
	ration_close(r);
	close(fd);
}

static void
test_token(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, AUTH, 0 },
		{ PEER_SEND, "+OK\r\n", 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, ANSWER, 0 },
		{ PEER_SHUT, NULL, 0 },
		{ PEER_TELL, NULL, 0 },
		/* The token goes with every connection. */
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_EXPECT, AUTH, 0 },
		{ PEER_SEND, "+OK\r\n", 0 },
		{ PEER_EXPECT, CHECK_T_G, 0 },
		{ PEER_SEND, ANSWER, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	char token[] = "0123456789abcdef";
	struct ration *r;
	struct peer p;
	char why[256];

	(void)state;
	peer_start(&p, steps);
	assert_int_equal(connect_to(p.address, 5000, token, &r, why), 0);
	memset(token, 'x', sizeof(token) - 1); /* it was copied */
	assert_int_equal(check_t_g(r), 0);
	peer_wait(&p);
	assert_int_equal(check_t_g(r), 0);
	ration_close(r);
	peer_end(&p);
}

static void
test_token_refused(void **state)
{
	static const struct {
		const char *reply;
		int code;
	} table[] = {
		{ "-WRONGPASS invalid token\r\n", RATION_ERR_AUTH },
		{ "-ERR this daemon has no token\r\n", RATION_ERR_REFUSED },
		{ "-LOADING later\r\n", RATION_ERR_UNAVAILABLE },
		{ ":1\r\n", RATION_ERR_CONNECT },
		{ ANSWER, RATION_ERR_CONNECT },
		{ "HTTP/1.1 400 Bad Request\r\n", RATION_ERR_CONNECT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct peer_step steps[] = {
			{ PEER_ACCEPT, NULL, 0 },
			{ PEER_EXPECT, AUTH, 0 },
			{ PEER_SEND, table[i].reply, 0 },
			{ PEER_SILENT, NULL, 0 },
			{ PEER_END, NULL, 0 },
		};
		struct ration *r;
		struct peer p;
		char why[256];

		peer_start(&p, steps);
		assert_int_equal(
		    connect_to(p.address, 5000, "0123456789abcdef", &r, why),
		    table[i].code);
		assert_null(r);
		assert_string_not_equal(why, "");
		peer_end(&p);
	}
}

static void
test_token_unanswered(void **state)
{
	static const struct peer_step steps[] = {
		{ PEER_ACCEPT, NULL, 0 },
		{ PEER_SILENT, NULL, 0 },
		{ PEER_END, NULL, 0 },
	};
	struct ration *r;
	struct peer p;
	char why[256];

	(void)state;
	peer_start(&p, steps);
	assert_int_equal(
	    connect_to(p.address, 40, "0123456789abcdef", &r, why), RATION_ERR_CONNECT);
	assert_non_null(strstr(why, "in time"));
	peer_end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_error_texts),
		cmocka_unit_test(test_bad_addresses),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_newer_options_unused),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_connect_times_out),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_token_refused),
		cmocka_unit_test(test_token_unanswered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
