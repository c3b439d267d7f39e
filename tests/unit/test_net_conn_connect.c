/* SPDX-License-Identifier: ISC */
/* A conn that connects: names are looked up, and who refuses is told of. */
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "conn_fixture.h"
#include "net/listener.h"

static void
on_accept(void *arg, int fd)
{
	struct owner *o = arg;

	o->far = fd;
}

/* `a` becomes where it listens. */
static struct listener *
listen_anywhere(struct owner *o, struct address *a)
{
	struct errinfo ei;
	struct listener *l;

	assert_int_equal(address_parse("127.0.0.1:0", a, &ei), 0);
	l = listener_open(o->loop, a, on_accept, o, &ei);
	assert_non_null(l);
	assert_int_equal(address_parse(listener_address(l), a, &ei), 0);
	return l;
}

static bool
is_open_and_accepted(struct owner *o)
{
	return o->opened > 0 && o->far >= 0;
}

static void
test_connects(void **state)
{
	struct owner *o = *state;
	struct address a;
	struct errinfo ei;
	struct listener *l = listen_anywhere(o, &a);

	o->conn = conn_connect(o->loop, &a, &owner_options, &owner_ops, o, &ei);
	assert_non_null(o->conn);
	assert_int_equal(o->opened, 0);
	buf_add_str(conn_out(o->conn), "early\n");
	run_until(o, is_open_and_accepted);
	assert_string_equal(hear(o), "early\n");
	assert_string_equal(conn_peer(o->conn), a.text);
	assert_int_equal(send(o->far, "1\n2\n3\n", 6, 0), 6);
	run_until(o, has_three);
	assert_got(o, "1|2|3");
	close_far(o);
	conn_set_busy(
	    o->conn, true); /* does not hold back the end of a connected one */
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_PEER);
	listener_close(l);
}

static void
test_a_refused_connect_is_told(void **state)
{
	struct owner *o = *state;
	struct address a;
	struct errinfo ei;
	struct listener *l = listen_anywhere(o, &a);

	listener_close(l);
	o->conn = conn_connect(o->loop, &a, &owner_options, &owner_ops, o, &ei);
	if (o->conn) {
		run_until(o, is_over);
		assert_int_equal(o->end, CONN_END_FAILED);
		ei = o->why;
	}
	assert_int_equal(ei.code, ERR_IO);
	assert_non_null(strstr(ei.text, a.text));
	assert_int_equal(address_parse("unix:/nonexistent/sock", &a, &ei), 0);
	assert_null(conn_connect(o->loop, &a, &owner_options, &owner_ops, o, &ei));
	assert_non_null(strstr(ei.text, "/nonexistent/sock"));
}

/* A name server that answers when the test lets it: linked in place of getaddrinfo.
 * Addresses that are written as such are not its matter. */
static pthread_mutex_t name_server = PTHREAD_MUTEX_INITIALIZER;

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
    struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
    struct addrinfo **out);

int
__wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
    struct addrinfo **out)
{
	if (hints && (hints->ai_flags & AI_NUMERICHOST))
		return __real_getaddrinfo(host, port, hints, out);
	pthread_mutex_lock(&name_server);
	pthread_mutex_unlock(&name_server);
	if (strcmp(host, "nowhere.invalid") == 0)
		return EAI_NONAME;
	return __real_getaddrinfo("127.0.0.1", port, hints, out);
}

static void
begin_lookup(struct owner *o, const char *host, const char *port)
{
	char text[64];
	struct address a;
	struct errinfo ei;

	snprintf(text, sizeof(text), "%s:%s", host, port);
	assert_int_equal(address_parse(text, &a, &ei), 0);
	o->conn = conn_connect(o->loop, &a, &owner_options, &owner_ops, o, &ei);
	assert_non_null(o->conn);
}

/* While a name is looked up the loop serves others. */
static void
test_a_slow_name_server_stops_nobody(void **state)
{
	struct owner *o = *state;
	struct address a;
	struct listener *l = listen_anywhere(o, &a);
	const char *port = strrchr(listener_address(l), ':') + 1;

	pthread_mutex_lock(&name_server);
	begin_lookup(o, "somewhere.invalid", port);
	buf_add_str(conn_out(o->conn), "early\n");
	run_for(o, 5000); /* nothing is stuck */
	assert_int_equal(o->opened + o->ended, 0);
	pthread_mutex_unlock(&name_server);
	run_until(o, is_open);
	listener_close(l);
}

static void
test_a_name_that_is_not_there_is_told(void **state)
{
	struct owner *o = *state;

	begin_lookup(o, "nowhere.invalid", "1");
	assert_int_equal(o->ended, 0);
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_FAILED);
	assert_non_null(strstr(o->why.text, "cannot look up nowhere.invalid:1"));
}

/* Closed while the thread still asks: it ends alone, and tells nobody. */
static void
test_a_lookup_may_be_given_up(void **state)
{
	struct owner *o = *state;

	pthread_mutex_lock(&name_server);
	begin_lookup(o, "somewhere.invalid", "1");
	conn_close(o->conn);
	o->conn = NULL;
	run_for(o, 2000);
	pthread_mutex_unlock(&name_server);
	run_for(o, 2000);
	assert_int_equal(o->opened + o->ended, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_OWNER(test_connects),
		WITH_OWNER(test_a_refused_connect_is_told),
		WITH_OWNER(test_a_slow_name_server_stops_nobody),
		WITH_OWNER(test_a_name_that_is_not_there_is_told),
		WITH_OWNER(test_a_lookup_may_be_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
