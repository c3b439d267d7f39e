/* SPDX-License-Identifier: ISC */
/* Connections over TLS, against a server in a thread of its own. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/conn.h"
#include "net/conn_inner.h"
#include "net/tls.h"
#include "tls_fixture.h"

#define MUCH (4 << 20)

static struct issued ca, other_ca, server_cert, client_cert;

/* The server, and what its thread does with its one client. */
struct far {
	int listening;
	int fd;
	SSL_CTX *ctx;
	pthread_t thread;
	void (*serve)(struct far *far, SSL *ssl);
	/* Its thread's, until it has ended. */
	bool accepted;
	bool said_end; /* the client did */
	size_t got;
	char name[64]; /* the client asked for */
};

struct owner {
	struct loop *loop;
	struct loop_timer *watchdog;
	struct tls_source *source;
	struct far far;
	struct address address;
	struct conn *conn;
	bool (*until)(struct owner *o);
	bool timed_out;
	int opened, ended;
	enum conn_end end;
	struct errinfo why;
	size_t got;
	bool spoilt; /* a byte was not the one expected */
	const char *hello;
};

/* --- the far end -------------------------------------------------------------------- */

static void *
run_far(void *arg)
{
	struct far *far = arg;
	SSL *ssl;
	const char *name;

	far->fd = accept(far->listening, NULL, NULL);
	ssl = SSL_new(far->ctx);
	SSL_set_fd(ssl, far->fd);
	far->accepted = SSL_accept(ssl) == 1;
	name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	snprintf(far->name, sizeof(far->name), "%s", name ? name : "");
	if (far->accepted && far->serve)
		far->serve(far, ssl);
	far->said_end = SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN;
	SSL_free(ssl);
	ERR_clear_error();
	close(far->fd);
	return NULL;
}

static void
open_far(struct far *far)
{
	far->ctx = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(far->ctx, server_cert.cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(far->ctx, server_cert.key), 1);
	assert_int_equal(
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(far->ctx), ca.cert), 1);
}

/* Echoes until the client says that it is done. */
static void
echo(struct far *far, SSL *ssl)
{
	static char data[20000];
	int n;

	while ((n = SSL_read(ssl, data, sizeof(data))) > 0) {
		far->got += (size_t)n;
		if (SSL_write(ssl, data, n) <= 0)
			break;
	}
}

/* Only reads, until the client says that it is done. */
static void
swallow(struct far *far, SSL *ssl)
{
	static char data[20000];
	int n;

	while ((n = SSL_read(ssl, data, sizeof(data))) > 0)
		far->got += (size_t)n;
}

/* An echo with new keys every time, of both sides. */
static void
echo_with_new_keys(struct far *far, SSL *ssl)
{
	static char data[20000];
	int n;

	while ((n = SSL_read(ssl, data, sizeof(data))) > 0) {
		far->got += (size_t)n;
		if (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) != 1 ||
		    SSL_write(ssl, data, n) <= 0)
			break;
	}
}

/* --- the near end ------------------------------------------------------------------- */

static void
on_watchdog(void *arg)
{
	struct owner *o = arg;

	o->timed_out = true;
	loop_stop(o->loop);
}

static void
on_turn(void *arg)
{
	struct owner *o = arg;

	if (o->until && o->until(o))
		loop_stop(o->loop);
}

static void
on_open(void *arg)
{
	struct owner *o = arg;

	o->opened++;
	if (o->hello)
		buf_add_str(conn_out(o->conn), o->hello);
}

/* What comes must be 0, 1, 2 ... 250, 0, ... */
static size_t
on_data(void *arg, const char *data, size_t len)
{
	struct owner *o = arg;

	for (size_t i = 0; i < len && !o->hello; i++)
		o->spoilt |= (unsigned char)data[i] != (o->got + i) % 251;
	o->got += len;
	return len;
}

static void
on_end(void *arg, enum conn_end end, const struct errinfo *why)
{
	struct owner *o = arg;

	o->ended++;
	o->end = end;
	o->conn = NULL;
	if (why)
		o->why = *why;
}

static const struct conn_ops ops = { on_open, on_data, on_end };

static struct tls_context *
load(const char *ca_file, const struct issued *ours, const char *name)
{
	struct tls_options options = { ca_file, ours ? ours->cert_file : NULL,
		ours ? ours->key_file : NULL, name };
	struct errinfo ei;
	struct tls_context *context = tls_context_load(&options, &ei);

	assert_non_null(context);
	return context;
}

/* What the next connection goes by. */
static void
trust(struct owner *o, const struct issued *whom, const struct issued *ours,
    const char *name)
{
	struct tls_context *context = load(whom->cert_file, ours, name);

	tls_source_set(o->source, context);
	tls_context_unref(context);
}

static int
setup(void **state)
{
	struct owner *o = calloc(1, sizeof(*o));
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct sockaddr_in any = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char text[ADDRESS_TEXT_MAX];
	struct errinfo ei;

	o->loop = loop_new();
	o->watchdog = loop_timer_new(o->loop, on_watchdog, o);
	o->source = tls_source_new();
	loop_on_turn(o->loop, on_turn, o);
	o->far.listening = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(
	    bind(o->far.listening, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(o->far.listening, 5), 0);
	getsockname(o->far.listening, (struct sockaddr *)&ss, &len);
	address_of_sockaddr((struct sockaddr *)&ss, len, text);
	assert_int_equal(address_parse(text, &o->address, &ei), 0);
	open_far(&o->far);
	trust(o, &ca, NULL, TLS_NAME);
	*state = o;
	return 0;
}

static int
teardown(void **state)
{
	struct owner *o = *state;

	close(o->far.listening);
	SSL_CTX_free(o->far.ctx);
	tls_source_free(o->source);
	loop_free(o->loop);
	free(o);
	return 0;
}

static void
run_until(struct owner *o, bool (*until)(struct owner *o))
{
	o->until = until;
	loop_timer_set(o->watchdog, 20000000);
	assert_int_equal(loop_run(o->loop), 0);
	loop_timer_cancel(o->watchdog);
	assert_false(o->timed_out);
	o->until = NULL;
}

static bool
is_open(struct owner *o)
{
	return o->opened > 0;
}

static bool
is_over(struct owner *o)
{
	return o->ended > 0;
}

static bool
has_much(struct owner *o)
{
	return o->got >= MUCH || o->ended > 0;
}

static bool
has_some(struct owner *o)
{
	return o->got > 0;
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
begin(struct owner *o, void (*serve)(struct far *far, SSL *ssl))
{
	struct conn_options options = { .in_max = 1000,
		.out_high = SIZE_MAX,
		.write_ms = 15000,
		.tls = o->source };
	struct errinfo ei;

	o->far.serve = serve;
	assert_int_equal(pthread_create(&o->far.thread, NULL, run_far, &o->far), 0);
	o->conn = conn_connect(o->loop, &o->address, &options, &ops, o, &ei);
	assert_non_null(o->conn);
}

/* The near end closes, if it has not yet, and the far end is through. */
static void
end(struct owner *o)
{
	if (o->conn)
		conn_close(o->conn);
	o->conn = NULL;
	pthread_join(o->far.thread, NULL);
}

static void
assert_failed(struct owner *o, const char *why)
{
	run_until(o, is_over);
	end(o);
	assert_int_equal(o->end, CONN_END_FAILED);
	assert_int_equal(o->why.code, ERR_UNTRUSTED);
	if (!strstr(o->why.text, why))
		fail_msg("\"%s\" is not in: %s", why, o->why.text);
}

static void
add_much(struct owner *o)
{
	struct buf *out = conn_out(o->conn);

	for (size_t i = 0; i < MUCH; i++)
		buf_add_char(out, (char)(i % 251));
}

/* --- what goes well ----------------------------------------------------------------- */

static void
test_bytes_pass_both_ways(void **state)
{
	struct owner *o = *state;

	begin(o, echo);
	run_until(o, is_open);
	add_much(o);
	run_until(o, has_much);
	end(o);
	assert_int_equal(o->got, MUCH);
	assert_int_equal(o->far.got, MUCH);
	assert_false(o->spoilt);
	assert_string_equal(o->far.name, TLS_NAME);
	assert_true(o->far.said_end);
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
	assert_int_equal(o->got, MUCH);
	assert_false(o->spoilt);
}

static void
test_what_was_appended_early_is_sent(void **state)
{
	struct owner *o = *state;

	begin(o, echo);
	buf_add(conn_out(o->conn), "\0\1\2", 3);
	run_until(o, has_some);
	assert_false(o->spoilt);
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
	loop_timer_set(o->watchdog, 20000);
	assert_int_equal(loop_run(o->loop), 0);
	assert_int_equal(o->got, 0);
	o->timed_out = false;
	conn_resume(o->conn);
	run_until(o, has_some);
	assert_false(o->spoilt);
	end(o);
}

static void
test_a_certificate_of_ours_is_shown(void **state)
{
	struct owner *o = *state;

	SSL_CTX_set_verify(
	    o->far.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	trust(o, &ca, &client_cert, TLS_NAME);
	o->hello = "hello";
	begin(o, echo);
	run_until(o, has_some);
	end(o);
}

/* The one that began goes by what was in force, also when that is long gone. */
static void
test_a_change_is_for_those_that_come(void **state)
{
	struct owner *o = *state;

	begin(o, echo);
	trust(o, &other_ca, NULL, "elsewhere.test");
	run_until(o, is_open);
	add_much(o);
	run_until(o, has_much);
	assert_false(o->spoilt);
	end(o);
	begin(o, echo);
	assert_failed(o, "is signed by ca, not by a CA in ");
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
	assert_int_equal(o->far.got, MUCH);
	assert_true(o->far.said_end);
}

/* --- what does not ------------------------------------------------------------------ */

static void
test_another_name_is_refused(void **state)
{
	struct owner *o = *state;

	trust(o, &ca, NULL, "elsewhere.test");
	begin(o, echo);
	assert_failed(o, "is for redis.test, 10.1.2.3, not for elsewhere.test");
	assert_int_equal(o->opened, 0);
	assert_false(o->far.accepted);
}

static void
test_another_address_is_refused(void **state)
{
	struct owner *o = *state;

	trust(o, &ca, NULL, NULL);
	begin(o, echo);
	assert_failed(o, "is for redis.test, 10.1.2.3, not for 127.0.0.1");
	assert_string_equal(o->far.name, "");
}

static void
test_an_address_can_be_verified(void **state)
{
	struct owner *o = *state;

	trust(o, &ca, NULL, "10.1.2.3");
	begin(o, echo);
	run_until(o, is_open);
	end(o);
}

/* In TLS 1.3 the other side says so when we believe to be through. */
static void
test_a_missing_certificate_is_told(void **state)
{
	struct owner *o = *state;

	SSL_CTX_set_verify(
	    o->far.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	for (int i = 0; i < 20; i++) {
		o->ended = 0;
		o->hello = "hello";
		begin(o, echo);
		assert_failed(o, "wants a certificate of ours");
	}
}

static void
close_at_once(struct far *far, SSL *ssl)
{
	(void)far;
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
say_one_thing(struct far *far, SSL *ssl)
{
	(void)far;
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
	assert_int_equal(o->got, 3);
}

static void
spoil(struct far *far, SSL *ssl)
{
	char byte;

	SSL_write(ssl, "\0\1\2", 3);
	assert_int_equal(
	    send(far->fd, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL), 19);
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
	assert_int_equal(o->got, 3);
}

/* Nobody accepts: the kernel does, and then it is silent. */
static void
test_silence_is_told(void **state)
{
	struct conn_options options = { .in_max = 1000, .write_ms = 100 };
	struct owner *o = *state;
	struct errinfo ei;

	options.tls = o->source;
	o->conn = conn_connect(o->loop, &o->address, &options, &ops, o, &ei);
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

	options.tls = o->source;
	for (int i = 0; i < 2; i++, after_write = true) {
		o->conn = conn_connect(o->loop, &o->address, &options, &ops, o, &ei);
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

static void
test_a_source_without_a_context(void **state)
{
	struct owner *o = *state;
	struct conn_options options = { .in_max = 1000 };
	struct errinfo ei;

	options.tls = tls_source_new();
	assert_null(conn_connect(o->loop, &o->address, &options, &ops, o, &ei));
	assert_int_equal(ei.code, ERR_INVALID);
	tls_source_free(options.tls);
}

/* --- files -------------------------------------------------------------------------- */

static void
test_files_that_cannot_be_used(void **state)
{
	const struct {
		struct tls_options options;
		const char *file, *text;
	} cases[] = {
		{ { "/nonexistent", NULL, NULL, NULL }, "/nonexistent",
		    "No such file" },
		{ { "/", NULL, NULL, NULL }, "/", "not a regular file" },
		{ { ca.key_file, NULL, NULL, NULL }, ca.key_file, "no CA certificate" },
		{ { NULL, client_cert.key_file, client_cert.key_file, NULL },
		    client_cert.key_file, "no certificate" },
		{ { NULL, client_cert.cert_file, client_cert.cert_file, NULL },
		    client_cert.cert_file, "no private key" },
		{ { NULL, client_cert.cert_file, server_cert.key_file, NULL },
		    server_cert.key_file, "is not the key of the certificate in" },
	};
	struct errinfo ei;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_null(tls_context_load(&cases[i].options, &ei));
		assert_string_equal(ei.file, cases[i].file);
		assert_non_null(strstr(ei.text, cases[i].text));
	}
}

static int
make_files(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(tls_dir));
	issue(&ca, NULL, "ca", NULL);
	issue(&other_ca, NULL, "other", NULL);
	issue(&server_cert, &ca, "server", "DNS:" TLS_NAME ",IP:10.1.2.3");
	issue(&client_cert, &ca, "client", NULL);
	return 0;
}

static int
remove_files(void **state)
{
	(void)state;
	issued_fini(&ca);
	issued_fini(&other_ca);
	issued_fini(&server_cert);
	issued_fini(&client_cert);
	return rmdir(tls_dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		CASE(test_bytes_pass_both_ways),
		CASE(test_bytes_pass_while_keys_change),
		CASE(test_what_was_appended_early_is_sent),
		CASE(test_a_pause_loses_nothing),
		CASE(test_a_certificate_of_ours_is_shown),
		CASE(test_a_change_is_for_those_that_come),
		CASE(test_flushed_before_it_closes),
		CASE(test_another_name_is_refused),
		CASE(test_another_address_is_refused),
		CASE(test_an_address_can_be_verified),
		CASE(test_a_missing_certificate_is_told),
		CASE(test_an_end_without_a_word),
		CASE(test_an_end_with_a_word),
		CASE(test_what_is_no_tls_in_between),
		CASE(test_silence_is_told),
		CASE(test_closed_in_the_handshake),
		CASE(test_a_source_without_a_context),
		cmocka_unit_test(test_files_that_cannot_be_used),
	};

	/* The far end's library writes to sockets that may be gone. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, make_files, remove_files);
}
