/* SPDX-License-Identifier: ISC */
/*
 * TLS on a connection that this side begins. OpenSSL reads no more of the socket than the
 * record it is at, and a read takes a whole record: so what is left lies in the kernel,
 * which tells of it, and no bytes wait inside.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_inner.h"

_Static_assert(
    LOOP_READ_MAX >= SSL3_RT_MAX_PLAIN_LENGTH, "a read takes a record whole");

static bool
is_numeric(const char *name)
{
	unsigned char address[16];

	return inet_pton(AF_INET, name, address) == 1 ||
	    inet_pton(AF_INET6, name, address) == 1;
}

/* Whose certificate it must be. SNI is for names only (RFC 6066). */
static bool
expect_name(struct tls_session *session)
{
	SSL *ssl = session->ssl;

	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_numeric(session->name))
		return X509_VERIFY_PARAM_set1_ip_asc(
			   SSL_get0_param(ssl), session->name) == 1;
	return SSL_set1_host(ssl, session->name) == 1 &&
	    SSL_set_tlsext_host_name(ssl, session->name) == 1;
}

/* Gives the SSL a way to the socket that the conn will have. */
static bool
open_ssl(struct conn *conn, struct tls_session *session)
{
	BIO *bio;

	session->ssl = SSL_new(session->context->ctx);
	bio = session->ssl ? BIO_new(session->context->socket) : NULL;
	if (!bio)
		return false;
	BIO_set_data(bio, conn);
	BIO_set_init(bio, 1);
	SSL_set_bio(session->ssl, bio, bio);
	SSL_set_app_data(session->ssl, session);
	SSL_set_connect_state(session->ssl);
	return expect_name(session);
}

int
conn_tls_open(struct conn *conn, const struct address *to, struct tls_source *source,
    struct errinfo *ei)
{
	struct tls_session *session = calloc(1, sizeof(*session));
	const char *name;

	if (!session)
		return err_set(ei, ERR_NOMEM, "out of memory");
	conn->tls = session;
	conn->transport = &transport_tls;
	session->context = tls_source_get(source);
	if (!session->context)
		return err_set(ei, ERR_INVALID, "there is no TLS to connect with");
	name = session->context->name;
	if (!name)
		name = to->host[0] ? to->host : "localhost";
	snprintf(session->place, sizeof(session->place), "%s", to->text);
	snprintf(session->name, sizeof(session->name), "%s", name);
	ERR_clear_error();
	if (open_ssl(conn, session))
		return 0;
	ERR_clear_error();
	return err_set(ei, ERR_NOMEM, "out of memory, or %s is no name for TLS", name);
}

void
conn_tls_free(struct conn *conn)
{
	if (!conn->tls)
		return;
	SSL_free(conn->tls->ssl);
	tls_context_unref(conn->tls->context);
	free(conn->tls);
	conn->tls = NULL;
}

/* After a call of OpenSSL's that did not go through: as recv(2) and send(2) would.
 * `*wants_other`: set when the socket must let the other direction through first, of
 * which `other` is OpenSSL's word. */
static ssize_t
outcome(struct tls_session *session, int rc, int other, bool *wants_other)
{
	int error = SSL_get_error(session->ssl, rc);

	if (session->failed) {
		errno = session->error ? session->error : EPROTO;
		return -1;
	}
	*wants_other = error == other;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		errno = EAGAIN;
		return -1;
	}
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	session->failed = true;
	if (error == SSL_ERROR_SYSCALL || session->eof) {
		tls_explain_loss(session);
		errno = session->error ? session->error : ECONNRESET;
		/* What it sent was whole: RESP and HTTP say where they end. */
		return session->eof && session->heard ? 0 : -1;
	}
	tls_explain_failure(session);
	errno = EPROTO;
	return -1;
}

static ssize_t
tls_recv(struct conn *conn, void *data, size_t len)
{
	struct tls_session *session = conn->tls;
	size_t n = 0;
	int rc;

	ERR_clear_error();
	rc = SSL_read_ex(session->ssl, data, len, &n);
	conn->recv_wants_write = false;
	if (rc <= 0)
		return outcome(
		    session, rc, SSL_ERROR_WANT_WRITE, &conn->recv_wants_write);
	session->heard = true;
	return (ssize_t)n;
}

/* The socket takes nothing more. What the other side said before it closed its end (that
 * it wants a certificate of ours, in TLS 1.3) is the cause, if there is such a word. */
static void
hear_last_word(struct tls_session *session)
{
	char byte;
	size_t n;

	ERR_clear_error();
	if (SSL_read_ex(session->ssl, &byte, 1, &n) <= 0 &&
	    SSL_get_error(session->ssl, 0) == SSL_ERROR_SSL && !session->eof)
		tls_explain_failure(session);
	ERR_clear_error();
}

static ssize_t
tls_send(struct conn *conn, const void *data, size_t len)
{
	struct tls_session *session = conn->tls;
	const char *at = data;
	size_t sent = 0;
	size_t n = 0;
	int rc = 1;

	conn->send_wants_read = false;
	/* A call takes one record at most. */
	while (sent < len && rc > 0) {
		ERR_clear_error();
		rc = SSL_write_ex(session->ssl, at + sent, len - sent, &n);
		if (rc > 0)
			sent += n;
	}
	if (rc > 0)
		return (ssize_t)sent;
	rc = (int)outcome(session, rc, SSL_ERROR_WANT_READ, &conn->send_wants_read);
	if (session->failed && session->error) {
		int error = session->error;

		hear_last_word(session);
		errno = session->why.code == ERR_UNTRUSTED ? EPROTO : error;
	}
	/* A failure shows again at the next call. */
	return sent > 0 ? (ssize_t)sent : rc;
}

static void
tls_say_end(struct conn *conn)
{
	struct tls_session *session = conn->tls;

	if (session->failed || !SSL_is_init_finished(session->ssl))
		return;
	ERR_clear_error();
	(void)SSL_shutdown(session->ssl);
	ERR_clear_error();
}

static void
tls_explain(const struct conn *conn, int error, struct errinfo *why)
{
	if (conn->tls->why.code != 0)
		*why = conn->tls->why;
	else
		err_set(why, ERR_IO, "%s", strerror(error));
}

const struct transport transport_tls = { tls_recv, tls_send, tls_say_end, tls_explain };

int
conn_tls_handshake(struct conn *conn, struct errinfo *why)
{
	struct tls_session *session = conn->tls;
	bool wants_write = false;
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(session->ssl);
	conn->blocked = false;
	if (rc == 1)
		return 0;
	if (outcome(session, rc, SSL_ERROR_WANT_WRITE, &wants_write) == 0)
		tls_explain_loss(session);
	else if (errno == EAGAIN) {
		conn->blocked = wants_write;
		return ERR_AGAIN;
	}
	tls_explain(conn, errno, why);
	return why->code;
}

void
conn_tls_tell_wait(const struct conn *conn, struct errinfo *why)
{
	tls_explain_silence(conn->tls, why);
}
