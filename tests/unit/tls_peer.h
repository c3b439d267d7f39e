/* SPDX-License-Identifier: ISC */
/* A server of TLS in a thread of its own, that serves one client as a test wants, and the
 * owner of the conn that is this client. Whom to trust is the test's, too. */
#ifndef TLS_PEER_H
#define TLS_PEER_H

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "conn_fixture.h"
#include "loopback.h"
#include "net/tls.h"
#include "tls_fixture.h"

#define MUCH (4 << 20)

static struct issued ca, other_ca, server_cert, client_cert;

/* The far end, and what its thread does with its one client. */
struct server {
	int listening;
	int fd;
	SSL_CTX *ctx;
	pthread_t thread;
	void (*serve)(SSL *ssl);
	/* Its thread's, until it has ended. */
	bool accepted;
	bool said_end; /* the client did */
	size_t got;
	char name[64]; /* the client asked for */
};

static struct server server;
static struct address address;
static struct tls_source *source;
static const char *hello; /* what the near end says first */

/* --- the far end -------------------------------------------------------------------- */

static void *
run_server(void *arg)
{
	SSL *ssl;
	const char *name;

	(void)arg;
	server.fd = accept(server.listening, NULL, NULL);
	ssl = SSL_new(server.ctx);
	SSL_set_fd(ssl, server.fd);
	server.accepted = SSL_accept(ssl) == 1;
	name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	snprintf(server.name, sizeof(server.name), "%s", name ? name : "");
	if (server.accepted && server.serve)
		server.serve(ssl);
	server.said_end = SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN;
	SSL_free(ssl);
	ERR_clear_error();
	close(server.fd);
	return NULL;
}

static inline void
open_server(void)
{
	server.ctx = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(server.ctx, server_cert.cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(server.ctx, server_cert.key), 1);
	assert_int_equal(
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(server.ctx), ca.cert), 1);
}

/* Echoes until the client says that it is done. */
static inline void
echo(SSL *ssl)
{
	static char data[20000];
	int n;

	while ((n = SSL_read(ssl, data, sizeof(data))) > 0) {
		server.got += (size_t)n;
		if (SSL_write(ssl, data, n) <= 0)
			break;
	}
}

/* --- the near end ------------------------------------------------------------------- */

static inline void
on_open(void *arg)
{
	struct owner *o = arg;

	owner_on_open(o);
	if (hello)
		buf_add_str(conn_out(o->conn), hello);
}

static inline size_t
on_data(void *arg, const char *data, size_t len)
{
	struct owner *o = arg;

	buf_add(&o->got, data, len);
	return len;
}

static const struct conn_ops ops = { on_open, on_data, owner_on_end };

static inline struct tls_context *
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
static inline void
trust(const struct issued *whom, const struct issued *ours, const char *name)
{
	struct tls_context *context = load(whom->cert_file, ours, name);

	tls_source_set(source, context);
	tls_context_unref(context);
}

static inline int
setup(void **state)
{
	char text[ADDRESS_TEXT_MAX];
	struct errinfo ei;
	int port;

	server = (struct server){ 0 };
	source = tls_source_new();
	hello = NULL;
	server.listening = loopback_listen(0, &port);
	snprintf(text, sizeof(text), "127.0.0.1:%d", port);
	assert_int_equal(address_parse(text, &address, &ei), 0);
	open_server();
	trust(&ca, NULL, TLS_NAME);
	return owner_open(state);
}

static inline int
teardown(void **state)
{
	close(server.listening);
	SSL_CTX_free(server.ctx);
	tls_source_free(source);
	return owner_close(state);
}

static inline void
begin(struct owner *o, void (*serve)(SSL *ssl))
{
	struct conn_options options = {
		.in_max = 1000, .out_high = SIZE_MAX, .write_ms = 15000, .tls = source
	};
	struct errinfo ei;

	server.serve = serve;
	assert_int_equal(pthread_create(&server.thread, NULL, run_server, NULL), 0);
	o->conn = conn_connect(o->loop, &address, &options, &ops, o, &ei);
	assert_non_null(o->conn);
}

/* The near end closes, if it has not yet, and the far end is through. */
static inline void
end(struct owner *o)
{
	if (o->conn && !o->ended)
		conn_close(o->conn);
	o->conn = NULL;
	pthread_join(server.thread, NULL);
}

static inline void
assert_failed(struct owner *o, const char *why)
{
	run_until(o, is_over);
	end(o);
	assert_int_equal(o->end, CONN_END_FAILED);
	assert_int_equal(o->why.code, ERR_UNTRUSTED);
	if (!strstr(o->why.text, why))
		fail_msg("\"%s\" is not in: %s", why, o->why.text);
}

static inline int
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

static inline int
remove_files(void **state)
{
	(void)state;
	issued_fini(&ca);
	issued_fini(&other_ca);
	issued_fini(&server_cert);
	issued_fini(&client_cert);
	return rmdir(tls_dir);
}

static inline bool
has_some(struct owner *o)
{
	return o->got.len > 0;
}

/* What add_much() says, or the beginning of it, came back. */
static inline void
assert_echoed(struct owner *o, size_t len)
{
	assert_int_equal(o->got.len, len);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)o->got.data[i] != i % 251)
			fail_msg("byte %zu is spoilt", i);
}

static inline void
add_much(struct owner *o)
{
	struct buf *out = conn_out(o->conn);

	for (size_t i = 0; i < MUCH; i++)
		buf_add_char(out, (char)(i % 251));
}

static inline bool
has_much(struct owner *o)
{
	return o->got.len >= MUCH || o->ended > 0;
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* In place of cmocka_run_group_tests(): the far end's library writes to sockets that may
 * be gone. */
#define RUN_WITH_FILES(tests)      \
	(signal(SIGPIPE, SIG_IGN), \
	    cmocka_run_group_tests(tests, make_files, remove_files))

#endif
