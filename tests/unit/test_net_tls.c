/* SPDX-License-Identifier: ISC */
/* Bytes over TLS, and how a conn ends there; whom to trust is test_net_tls_trust.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls_peer.h"

#include "net/conn_inner.h"

/* Only reads, until the client says that it is done. */
static void
swallow(SSL *ssl)
{
	static char data[20000];
	int n;

	while ((n = SSL_read(ssl, data, sizeof(data))) > 0)
		server.got += (size_t)n;
}

/* An echo with new keys every time, of both sides. */
static void
echo_with_new_keys(SSL *ssl)
{
	static char data[20000];
	int n;

	while ((n = SSL_read(ssl, data, sizeof(data))) > 0) {
		server.got += (size_t)n;
		if (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) != 1 ||
		    SSL_write(ssl, data, n) <= 0)
			break;
	}
}

static bool
is_connected(struct owner *o)
{
	return o->conn->state != CONN_CONNECTING;
}

static bool
is_alone(struct owner *o)
{
	return o->loop->n_conns == 0;
}

static void
test_bytes_pass_both_ways(void **state)
{
	struct owner *o = *state;

	begin(o, echo);
	run_until(o, is_open);
	add_much(o);
	run_until(o, has_much);
	end(o);
	assert_echoed(o, MUCH);
	assert_int_equal(server.got, MUCH);
	assert_string_equal(server.name, TLS_NAME);
	assert_true(server.said_end);
}

static void
test_bytes_pass_while_keys_change(void **state)
{
	struct owner *o = *state;

	begin(o, echo_with_new_keys);
	run_until(o, is_open);
	add_much(o);
	run_until(o, has_much);
	if (o->ended)
		fail_msg("%d %s", (int)o->end, o->why.text);
	end(o);
	assert_echoed(o, MUCH);
}

static void
test_what_was_appended_early_is_sent(void **state)
{
	struct owner *o = *state;

	begin(o, echo);
	buf_add(conn_out(o->conn), "\0\1\2", 3);
	run_until(o, has_some);
	assert_echoed(o, 3);
	end(o);
}

/* A pause of the reader stops nothing but what is shown. */
static void
test_a_pause_loses_nothing(void **state)
{
	struct owner *o = *state;

	begin(o, echo);
	run_until(o, is_open);
	buf_add(conn_out(o->conn), "\0\1\2", 3);
	conn_pause(o->conn);
	run_for(o, 20000);
	assert_int_equal(o->got.len, 0);
	conn_resume(o->conn);
	run_until(o, has_some);
	assert_echoed(o, 3);
	end(o);
}

static void
test_flushed_before_it_closes(void **state)
{
	struct owner *o = *state;

	begin(o, swallow);
	run_until(o, is_open);
	add_much(o);
	conn_close_after_write(o->conn);
	o->conn = NULL;
	run_until(o, is_alone);
	end(o);
	assert_int_equal(server.got, MUCH);
	assert_true(server.said_end);
}

static void
close_at_once(SSL *ssl)
{
	SSL_set_quiet_shutdown(ssl, 1);
}

static void
test_an_end_without_a_word(void **state)
{
	struct owner *o = *state;

	begin(o, close_at_once);
	run_until(o, is_over);
	end(o);
	assert_int_equal(o->end, CONN_END_PEER);
	assert_int_equal(o->why.code, ERR_IO);
	if (!strstr(o->why.text, "it may want a certificate of ours"))
		fail_msg("%s", o->why.text);
}

static void
say_one_thing(SSL *ssl)
{
	SSL_write(ssl, "\0\1\2", 3);
	SSL_shutdown(ssl);
}

static void
test_an_end_with_a_word(void **state)
{
	struct owner *o = *state;

	begin(o, say_one_thing);
	run_until(o, is_over);
	end(o);
	assert_int_equal(o->end, CONN_END_PEER);
	assert_int_equal(o->why.code, 0);
	assert_int_equal(o->got.len, 3);
}

static void
spoil(SSL *ssl)
{
	char byte;

	SSL_write(ssl, "\0\1\2", 3);
	assert_int_equal(
	    send(server.fd, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL), 19);
	SSL_read(ssl, &byte, 1);
}

static void
test_what_is_no_tls_in_between(void **state)
{
	struct owner *o = *state;

	begin(o, spoil);
	run_until(o, is_over);
	end(o);
	assert_int_equal(o->end, CONN_END_FAILED);
	assert_int_equal(o->why.code, ERR_IO);
	assert_int_equal(o->got.len, 3);
}

/* Nobody accepts: the kernel does, and then it is silent. */
static void
test_silence_is_told(void **state)
{
	struct conn_options options = { .in_max = 1000, .write_ms = 100 };
	struct owner *o = *state;
	struct errinfo ei;

	options.tls = source;
	o->conn = conn_connect(o->loop, &address, &options, &ops, o, &ei);
	assert_non_null(o->conn);
	run_until(o, is_over);
	assert_int_equal(o->end, CONN_END_FAILED);
	assert_non_null(strstr(o->why.text, "does not answer in TLS"));
	assert_int_equal(o->opened, 0);
}

static void
test_closed_in_the_handshake(void **state)
{
	struct conn_options options = { .in_max = 1000 };
	struct owner *o = *state;
	struct errinfo ei;
	bool after_write = false;

	options.tls = source;
	for (int i = 0; i < 2; i++, after_write = true) {
		o->conn = conn_connect(o->loop, &address, &options, &ops, o, &ei);
		assert_non_null(o->conn);
		run_until(o, is_connected);
		assert_int_equal(o->conn->state, CONN_HANDSHAKING);
		if (after_write)
			conn_close_after_write(o->conn);
		else
			conn_close(o->conn);
	}
	assert_int_equal(o->ended, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_bytes_pass_both_ways),
		WITH_SERVER(test_bytes_pass_while_keys_change),
		WITH_SERVER(test_what_was_appended_early_is_sent),
		WITH_SERVER(test_a_pause_loses_nothing),
		WITH_SERVER(test_flushed_before_it_closes),
		WITH_SERVER(test_an_end_without_a_word),
		WITH_SERVER(test_an_end_with_a_word),
		WITH_SERVER(test_what_is_no_tls_in_between),
		WITH_SERVER(test_silence_is_told),
		WITH_SERVER(test_closed_in_the_handshake),
	};

	return RUN_WITH_FILES(tests);
}
