/* SPDX-License-Identifier: ISC */
/* What server_load() refuses before any socket is bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server.h"

#define POLICY \
	"--policy=" TEST_SOURCE_DIR "/../examples/policies/create_connect_token.json"

static struct config config;
static struct errlist errors;
static struct server server;
static char token_path[64];

static int
done(void **state)
{
	(void)state;
	server_close(&server);
	config_fini(&config);
	errlist_fini(&errors);
	if (token_path[0])
		unlink(token_path);
	token_path[0] = '\0';
	return 0;
}

static int
load(const char **flags, size_t n)
{
	const char *argv[16] = { "rationd" };

	memcpy(argv + 1, flags, n * sizeof(*flags));
	assert_int_equal(config_load(&config, (int)n + 1,
			     (char *const *)(uintptr_t)argv, NULL, &errors),
	    EXIT_CODE_OK);
	return server_load(&server, &config, &errors);
}

#define LOAD(...)                             \
	load((const char *[]){ __VA_ARGS__ }, \
	    ARRAY_LEN(((const char *[]){ __VA_ARGS__ })))

static const char *
write_tokens(const char *text)
{
	static char flag[96];
	int fd;

	snprintf(token_path, sizeof(token_path), "/tmp/ration-token-XXXXXX");
	fd = mkstemp(token_path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	snprintf(flag, sizeof(flag), "--token-file=%s", token_path);
	return flag;
}

static void
test_example_loads(void **state)
{
	struct buf text = { 0 };

	(void)state;
	assert_int_equal(LOAD(POLICY, "--store=redis://u:sesame@127.0.0.1:1/2"), 0);
	server_summary(&server, &text);
	assert_non_null(strstr(
	    buf_cstr(&text), "policy create_connect_token: 1 tool, 1 limit, sha256 "));
	assert_non_null(strstr(buf_cstr(&text), "store: redis://"));
	assert_null(strstr(buf_cstr(&text), "sesame"));
	assert_non_null(strstr(buf_cstr(&text), "http: 127.0.0.1:7480\n"));
	buf_fini(&text);
}

static void
test_no_policy(void **state)
{
	(void)state;
	assert_int_equal(LOAD("--store=memory"), EXIT_CODE_CONFIG);
	assert_int_equal(errors.n, 1);
	assert_non_null(strstr(errors.items[0].text, "--policy "));
}

/* Every listener that others can reach is told, and what to do about it. */
static void
test_exposed_without_token(void **state)
{
	(void)state;
	assert_int_equal(LOAD(POLICY, "--listen-http=0.0.0.0:0", "--listen-http=:0",
			     "--listen-http=127.0.0.1:0", "--listen-resp=[::]:0"),
	    EXIT_CODE_CONFIG);
	assert_int_equal(errors.n, 3);
	for (size_t i = 0; i < errors.n; i++) {
		assert_non_null(strstr(errors.items[i].text, "--token-file"));
		assert_non_null(strstr(errors.items[i].text, "--insecure"));
	}
	assert_string_equal(errors.items[2].file, "--listen-resp");
}

static void
test_exposed_insecure(void **state)
{
	(void)state;
	assert_int_equal(LOAD(POLICY, "--listen-http=0.0.0.0:0", "--insecure"), 0);
	assert_null(server.documents.tokens);
}

static void
test_exposed_with_token(void **state)
{
	(void)state;
	assert_int_equal(LOAD(POLICY, "--listen-http=0.0.0.0:0",
			     write_tokens("# one\n0123456789abcdef\n")),
	    0);
	assert_non_null(server.documents.tokens);
	assert_true(
	    token_set_has(server.documents.tokens, slice_str("0123456789abcdef")));
}

static void
test_bad_token_file(void **state)
{
	(void)state;
	assert_int_equal(LOAD(POLICY, write_tokens("short\n")), EXIT_CODE_CONFIG);
	assert_int_equal(errors.n, 1);
	assert_string_equal(errors.items[0].file, token_path);
	assert_int_equal(errors.items[0].line, 1);
	assert_int_equal(errors.items[0].column, 0);
	assert_string_equal(
	    errors.items[0].text, "a token must have 16 to 1024 bytes, not 5");
	done(NULL);
	assert_int_equal(LOAD(POLICY, "--token-file=/nonexistent"), EXIT_CODE_CONFIG);
	assert_int_equal(errors.n, 1);
	assert_string_equal(
	    errors.items[0].text, "cannot open: No such file or directory");
}

static void
assert_fd_refused(int fd, const char *what)
{
	char flag[40];

	snprintf(flag, sizeof(flag), "--listen-http=fd:%d", fd);
	assert_int_equal(LOAD(POLICY, flag), EXIT_CODE_CONFIG);
	assert_int_equal(errors.n, 1);
	assert_non_null(strstr(errors.items[0].text, what));
	done(NULL);
}

/* Told before anything is bound, so by --check-config too. */
static void
test_inherited_sockets(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);
	char flag[40];
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(bind(tcp, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_fd_refused(999, "no descriptor of that number was inherited");
	assert_fd_refused(pipes[0], "it is not a socket");
	assert_fd_refused(udp, "it is not a stream socket");
	assert_fd_refused(tcp, "it is not a listening socket");
	assert_int_equal(listen(tcp, 1), 0);
	snprintf(flag, sizeof(flag), "--listen-http=fd:%d", tcp);
	assert_int_equal(LOAD(POLICY, flag), 0);
	close(pipes[0]);
	close(pipes[1]);
	close(udp);
	close(tcp);
}

static void
test_everything_at_once(void **state)
{
	(void)state;
	assert_int_equal(LOAD("--policy=/nonexistent.json", "--token-file=/nonexistent",
			     "--listen-http=:0"),
	    EXIT_CODE_CONFIG);
	/* With a token file named, exposure is not the fault. */
	assert_int_equal(errors.n, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_example_loads, done),
		cmocka_unit_test_teardown(test_no_policy, done),
		cmocka_unit_test_teardown(test_exposed_without_token, done),
		cmocka_unit_test_teardown(test_exposed_insecure, done),
		cmocka_unit_test_teardown(test_exposed_with_token, done),
		cmocka_unit_test_teardown(test_bad_token_file, done),
		cmocka_unit_test_teardown(test_inherited_sockets, done),
		cmocka_unit_test_teardown(test_everything_at_once, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
