/* SPDX-License-Identifier: ISC */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/listener.h"

struct house {
	struct loop *loop;
	struct listener *listener;
	struct loop_timer *watchdog;
	int accepted;
	int wanted; /* stop the loop after so many */
	bool timed_out;
	int fds[16];
	char dir[64];
	char path[96];
};

static void
on_watchdog(void *arg)
{
	struct house *h = arg;

	h->timed_out = true;
	loop_stop(h->loop);
}

static int
setup(void **state)
{
	struct house *h = calloc(1, sizeof(*h));

	h->loop = loop_new();
	h->watchdog = loop_timer_new(h->loop, on_watchdog, h);
	strcpy(h->dir, "/tmp/ration-net-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	snprintf(h->path, sizeof(h->path), "%s/sock", h->dir);
	*state = h;
	return 0;
}

static int
teardown(void **state)
{
	struct house *h = *state;

	listener_close(h->listener);
	loop_free(h->loop);
	for (int i = 0; i < h->accepted; i++)
		close(h->fds[i]);
	unlink(h->path);
	rmdir(h->dir);
	free(h);
	return 0;
}

static void
on_accept(void *arg, int fd)
{
	struct house *h = arg;

	h->fds[h->accepted++] = fd;
	if (h->accepted == h->wanted)
		loop_stop(h->loop);
}

static struct listener *
open_at(struct house *h, const char *text, struct errinfo *ei)
{
	struct address a;

	assert_int_equal(address_parse(text, &a, ei), 0);
	return listener_open(h->loop, &a, on_accept, h, ei);
}

static void
run_until_accepted(struct house *h, int n)
{
	h->wanted = n;
	loop_timer_set(h->watchdog, 5000000);
	assert_int_equal(loop_run(h->loop), 0);
	assert_false(h->timed_out);
	assert_int_equal(h->accepted, n);
}

static int
connect_to(const char *text)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	bool is_unix = strncmp(text, "unix:", 5) == 0;
	int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
	int rc;

	if (is_unix) {
		strcpy(un.sun_path, text + 5);
		rc = connect(fd, (struct sockaddr *)&un, sizeof(un));
	} else {
		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in.sin_port = htons((uint16_t)atoi(strrchr(text, ':') + 1));
		rc = connect(fd, (struct sockaddr *)&in, sizeof(in));
	}
	assert_int_equal(rc, 0);
	return fd;
}

static void
test_accepts_tcp(void **state)
{
	struct house *h = *state;
	struct errinfo ei;
	int fd;

	h->listener = open_at(h, "127.0.0.1:0", &ei);
	assert_non_null(h->listener);
	assert_true(listener_is_local(h->listener));
	assert_non_null(strstr(listener_address(h->listener), "127.0.0.1:"));
	assert_string_not_equal(listener_address(h->listener), "127.0.0.1:0");
	fd = connect_to(listener_address(h->listener));
	run_until_accepted(h, 1);
	close(fd);
}

static void
test_all_addresses_take_ipv4(void **state)
{
	struct house *h = *state;
	struct errinfo ei;
	int fd;

	h->listener = open_at(h, ":0", &ei);
	assert_non_null(h->listener);
	assert_false(listener_is_local(h->listener));
	fd = connect_to(listener_address(h->listener));
	run_until_accepted(h, 1);
	close(fd);
}

static void
test_a_taken_port_is_said(void **state)
{
	struct house *h = *state;
	struct errinfo ei;

	h->listener = open_at(h, "127.0.0.1:0", &ei);
	assert_null(open_at(h, listener_address(h->listener), &ei));
	assert_int_equal(ei.code, ERR_INUSE);
	assert_non_null(strstr(ei.text, listener_address(h->listener)));
}

static void
test_a_port_taken_with_reuseport_is_taken(void **state)
{
	struct house *h = *state;
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	char text[ADDRESS_TEXT_MAX];
	struct errinfo ei;
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	address_of_fd(fd, false, text);
	assert_null(open_at(h, text, &ei));
	assert_int_equal(ei.code, ERR_INUSE);
	close(fd);
}

static void
test_a_foreign_address_is_an_error(void **state)
{
	struct house *h = *state;
	struct errinfo ei;

	assert_null(open_at(h, "198.51.100.1:0", &ei));
	assert_int_equal(ei.code, ERR_IO);
	assert_non_null(strstr(ei.text, "198.51.100.1:0"));
}

static void
test_unix_socket_comes_and_goes(void **state)
{
	struct house *h = *state;
	char text[128];
	struct errinfo ei;
	struct stat st;
	int fd;

	snprintf(text, sizeof(text), "unix:%s", h->path);
	h->listener = open_at(h, text, &ei);
	assert_non_null(h->listener);
	assert_string_equal(listener_address(h->listener), text);
	assert_true(listener_is_local(h->listener));
	assert_int_equal(stat(h->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	fd = connect_to(text);
	run_until_accepted(h, 1);
	close(fd);
	assert_null(open_at(h, text, &ei));
	assert_int_equal(ei.code, ERR_INUSE);
	assert_int_equal(stat(h->path, &st), 0); /* the live one was left alone */
	listener_close(h->listener);
	h->listener = NULL;
	assert_int_equal(stat(h->path, &st), -1);
}

static void
test_a_stale_unix_socket_is_replaced(void **state)
{
	struct house *h = *state;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char text[128];
	struct errinfo ei;
	int dead = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(un.sun_path, h->path);
	assert_int_equal(bind(dead, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(dead, 1), 0);
	close(dead);
	snprintf(text, sizeof(text), "unix:%s", h->path);
	h->listener = open_at(h, text, &ei);
	assert_non_null(h->listener);
	close(connect_to(text));
	run_until_accepted(h, 1);
}

static void
test_a_file_in_the_way_is_kept(void **state)
{
	struct house *h = *state;
	char text[128];
	struct errinfo ei;
	FILE *file = fopen(h->path, "w");

	fclose(file);
	snprintf(text, sizeof(text), "unix:%s", h->path);
	assert_null(open_at(h, text, &ei));
	assert_int_equal(ei.code, ERR_IO);
	assert_int_equal(access(h->path, F_OK), 0);
}

static void
test_anothers_file_is_not_removed(void **state)
{
	struct house *h = *state;
	char text[128];
	struct errinfo ei;
	FILE *file;

	snprintf(text, sizeof(text), "unix:%s", h->path);
	h->listener = open_at(h, text, &ei);
	file = fopen("/dev/null", "r"); /* so that the inode is not used again */
	assert_int_equal(unlink(h->path), 0);
	fclose(file);
	file = fopen(h->path, "w");
	fclose(file);
	listener_close(h->listener);
	h->listener = NULL;
	assert_int_equal(access(h->path, F_OK), 0);
}

static void
test_an_inherited_socket(void **state)
{
	struct house *h = *state;
	struct sockaddr_in in = { .sin_family = AF_INET };
	char text[32];
	struct address a;
	struct errinfo ei;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	snprintf(text, sizeof(text), "fd:%d", fd);
	assert_int_equal(address_parse(text, &a, &ei), 0);
	assert_true(address_is_local(&a));
	assert_null(open_at(h, text, &ei)); /* it does not listen yet */
	assert_int_equal(ei.code, ERR_IO);
	assert_int_equal(listen(fd, 1), 0);
	h->listener = open_at(h, text, &ei);
	assert_non_null(h->listener);
	close(connect_to(listener_address(h->listener)));
	run_until_accepted(h, 1);
	assert_null(open_at(h, "fd:1000", &ei));
	assert_int_equal(ei.code, ERR_IO);
	assert_null(open_at(h, "fd:0", &ei)); /* not a socket */
}

static void
test_a_shortage_of_descriptors_passes(void **state)
{
	struct house *h = *state;
	struct rlimit old, tight;
	struct errinfo ei;
	int clients[2];
	int next;

	h->listener = open_at(h, "127.0.0.1:0", &ei);
	clients[0] = connect_to(listener_address(h->listener));
	clients[1] = connect_to(listener_address(h->listener));
	next = dup(clients[0]);
	close(next);
	getrlimit(RLIMIT_NOFILE, &old);
	tight = old;
	tight.rlim_cur = (rlim_t)next + 1; /* room for one of them */
	setrlimit(RLIMIT_NOFILE, &tight);
	run_until_accepted(h, 1);
	h->wanted = 2;
	loop_timer_set(h->watchdog, 250000);
	assert_int_equal(loop_run(h->loop), 0);
	assert_true(h->timed_out);
	assert_int_equal(h->accepted, 1);
	h->timed_out = false;
	setrlimit(RLIMIT_NOFILE, &old);
	run_until_accepted(h, 2);
	close(clients[0]);
	close(clients[1]);
}

/* Whether it is live cannot be found out without a descriptor; then it is left. */
static void
test_a_live_unix_socket_survives_a_shortage(void **state)
{
	struct house *h = *state;
	struct rlimit old, tight;
	char text[128];
	struct errinfo ei;
	int fd;

	snprintf(text, sizeof(text), "unix:%s", h->path);
	h->listener = open_at(h, text, &ei);
	assert_non_null(h->listener);
	fd = dup(0);
	close(fd);
	getrlimit(RLIMIT_NOFILE, &old);
	tight = old;
	tight.rlim_cur = (rlim_t)fd;
	setrlimit(RLIMIT_NOFILE, &tight);
	assert_null(open_at(h, text, &ei));
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(ei.code, ERR_IO);
	close(connect_to(text));
}

static void
test_those_who_wait_are_accepted_at_once(void **state)
{
	struct house *h = *state;
	struct errinfo ei;
	int fds[5];

	h->listener = open_at(h, "127.0.0.1:0", &ei);
	for (int i = 0; i < 5; i++)
		fds[i] = connect_to(listener_address(h->listener));
	listener_accept_waiting(h->listener);
	assert_int_equal(h->accepted, 5);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
}

static void
on_accept_then_close(void *arg, int fd)
{
	struct house *h = arg;

	close(fd);
	listener_close(h->listener);
	h->listener = NULL;
	loop_stop(h->loop);
}

static void
test_closing_inside_on_accept(void **state)
{
	struct house *h = *state;
	struct address a;
	struct errinfo ei;
	int one, two;

	assert_int_equal(address_parse("127.0.0.1:0", &a, &ei), 0);
	h->listener = listener_open(h->loop, &a, on_accept_then_close, h, &ei);
	one = connect_to(listener_address(h->listener));
	two = connect_to(listener_address(h->listener));
	assert_int_equal(loop_run(h->loop), 0);
	assert_null(h->listener);
	close(one);
	close(two);
}

#define WITH_HOUSE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_HOUSE(test_accepts_tcp),
		WITH_HOUSE(test_all_addresses_take_ipv4),
		WITH_HOUSE(test_a_taken_port_is_said),
		WITH_HOUSE(test_a_port_taken_with_reuseport_is_taken),
		WITH_HOUSE(test_a_foreign_address_is_an_error),
		WITH_HOUSE(test_unix_socket_comes_and_goes),
		WITH_HOUSE(test_a_stale_unix_socket_is_replaced),
		WITH_HOUSE(test_a_file_in_the_way_is_kept),
		WITH_HOUSE(test_anothers_file_is_not_removed),
		WITH_HOUSE(test_an_inherited_socket),
		WITH_HOUSE(test_a_shortage_of_descriptors_passes),
		WITH_HOUSE(test_closing_inside_on_accept),
		WITH_HOUSE(test_a_live_unix_socket_survives_a_shortage),
		WITH_HOUSE(test_those_who_wait_are_accepted_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
