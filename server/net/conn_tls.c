/* SPDX-License-Identifier: ISC */
/*
 * TLS on a connection that this side begins. OpenSSL reads no more from the socket than the
 * current record, and each read takes a whole record: so unread bytes wait in the kernel,
 * which reports them, and never inside. What is sent waits in an outbox instead.
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

/* Sets whose certificate it must be. SNI is for names only (RFC 6066). */
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
	loop_buf_return(conn->loop, &conn->tls->outbox);
	tls_context_unref(conn->tls->context);
	free(conn->tls);
	conn->tls = NULL;
}

/* Sends what waits in the outbox. 0, or -1 and errno. */
static int
empty_outbox(struct conn *conn)
{
	struct tls_session *session = conn->tls;
	struct buf *outbox = &session->outbox;
	ssize_t n = 0;

	while (outbox->len > 0 && n >= 0) {
		n = send(conn->fd, outbox->data, outbox->len, MSG_NOSIGNAL);
		if (n > 0)
			buf_drop(outbox, (size_t)n);
	}
	conn->holds = outbox->len > 0;
	if (!conn->holds) {
		loop_buf_return(conn->loop, outbox);
		return 0;
	}
	if (!conn_must_wait(errno)) {
		session->error = errno;
		session->failed = true;
	}
	return -1;
}

/* After an OpenSSL call that did not succeed: returns as recv(2) and send(2) would. */
static ssize_t
outcome(struct tls_session *session, int rc)
{
	int error = SSL_get_error(session->ssl, rc);

	if (session->failed) {
		errno = session->error ? session->error : EPROTO;
		return -1;
	}
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
		/* Truncation would be noticed: RESP and HTTP say where messages end. */
		return session->eof && session->heard ? 0 : -1;
	}
	tls_explain_failure(session);
	errno = EPROTO;
	return -1;
}

/* Has sent soon what reading made us answer (new keys, an alert). */
static void
send_answers(struct conn *conn)
{
	if (conn->tls->outbox.len == 0)
		return;
	conn->holds = true;
	conn_mark_dirty(conn);
}

static ssize_t
tls_recv(struct conn *conn, void *data, size_t len)
{
	struct tls_session *session = conn->tls;
	size_t n = 0;
	int rc;

	ERR_clear_error();
	rc = SSL_read_ex(session->ssl, data, len, &n);
	send_answers(conn);
	if (rc <= 0)
		return outcome(session, rc);
	session->heard = true;
	return (ssize_t)n;
}

/* The socket takes nothing more. If the other side sent an alert before it closed its end
 * (in TLS 1.3: that it wants a certificate), that is the cause. */
static void
hear_last_word(struct tls_session *session)
{
	char byte;
	size_t n;
	int error = session->error;

	tls_explain_loss(session);
	if (SSL_read_ex(session->ssl, &byte, 1, &n) <= 0 &&
	    SSL_get_error(session->ssl, 0) == SSL_ERROR_SSL && !session->eof)
		tls_explain_failure(session);
	ERR_clear_error();
	errno = session->why.code == ERR_UNTRUSTED ? EPROTO : error;
}

/* Seals what follows the sealed part of `data` into the outbox, until that is full. -1:
 * there is more, but not now. */
static int
seal(struct conn *conn, const char *data, size_t len)
{
	struct tls_session *session = conn->tls;

	while (session->sealed < len && session->outbox.len < TLS_OUTBOX_FULL) {
		size_t n = 0;
		int rc;

		ERR_clear_error();
		/* One record at most. */
		rc = SSL_write_ex(
		    session->ssl, data + session->sealed, len - session->sealed, &n);
		if (rc <= 0) {
			(void)outcome(session, rc);
			conn->send_wants_read = errno == EAGAIN;
			return -1;
		}
		session->sealed += n;
	}
	return 0;
}

static ssize_t
tls_send(struct conn *conn, const void *data, size_t len)
{
	struct tls_session *session = conn->tls;
	size_t sent = 0;
	int sealing;

	conn->send_wants_read = false;
	do {
		sealing = seal(conn, (const char *)data + sent, len - sent);
		if (empty_outbox(conn) < 0)
			break;
		sent += session->sealed;
		session->sealed = 0;
	} while (sent < len && sealing == 0);
	if (session->failed) {
		errno = EPROTO;
		if (session->error)
			hear_last_word(session);
		return -1;
	}
	if (conn->holds)
		conn->send_wants_read = false;
	if (sent == 0 && (len > 0 || conn->holds)) {
		errno = EAGAIN;
		return -1;
	}
	return (ssize_t)sent;
}

static void
tls_say_end(struct conn *conn)
{
	struct tls_session *session = conn->tls;

	if (!session->failed && session->begun) {
		ERR_clear_error();
		(void)SSL_shutdown(session->ssl);
		ERR_clear_error();
	}
	(void)empty_outbox(conn); /* there may be an alert in it */
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

/* Whether OpenSSL only waits for the socket. */
static bool
is_shaking(struct conn *conn)
{
	struct tls_session *session = conn->tls;
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(session->ssl);
	session->begun = rc == 1;
	if (session->begun || outcome(session, rc) == 0 || errno != EAGAIN)
		return false;
	if (empty_outbox(conn) < 0 && session->failed)
		return false;
	conn->blocked = conn->holds;
	return true;
}

int
conn_tls_handshake(struct conn *conn, struct errinfo *why)
{
	struct tls_session *session = conn->tls;

	conn->blocked = false;
	if (is_shaking(conn))
		return ERR_AGAIN;
	(void)empty_outbox(conn); /* the last message of our side, or an alert */
	if (session->begun)
		return 0;
	if (session->why.code == 0)
		tls_explain_loss(session);
	*why = session->why;
	return why->code;
}

void
conn_tls_tell_wait(const struct conn *conn, struct errinfo *why)
{
	tls_explain_silence(conn->tls, why);
}
