/* SPDX-License-Identifier: ISC */
/* What the files of net/ share about TLS. Nobody else includes this. */
#ifndef NET_TLS_INNER_H
#define NET_TLS_INNER_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "net/conn_inner.h"
#include "net/tls.h"

struct tls_context {
	_Atomic size_t refs;
	SSL_CTX *ctx;
	BIO_METHOD *socket; /* reads and writes a conn's descriptor */
	char *ca_file;      /* for messages; NULL: the system's */
	char *name;         /* to be verified; NULL: the host */
	bool shows_cert;
};

/* The TLS of one connection. */
struct tls_session {
	struct tls_context *context; /* a ref */
	SSL *ssl;
	char place[ADDRESS_TEXT_MAX]; /* the address as given, for messages */
	char name[256];               /* that the certificate must be for */
	struct buf outbox;            /* records that the socket did not take yet */
	size_t
	    sealed;  /* bytes of the owner's that are in it, and not said to be sent */
	int error;   /* errno of the socket's last failure; 0: none */
	bool eof;    /* the socket's */
	bool begun;  /* the handshake is through */
	bool heard;  /* bytes of the other side's owner came */
	bool failed; /* nothing more can be said */
	struct errinfo why; /* of a failure; code 0: errno says it all */
};

/* Above, nothing more is sealed until some of it has left. */
#define TLS_OUTBOX_FULL 65536
/* What the other side has us answer (new keys) while it reads nothing ends there. */
#define TLS_OUTBOX_MAX (4 * TLS_OUTBOX_FULL)

/* tls_bio.c */
BIO_METHOD *tls_bio_method_new(void) MUST_CHECK; /* NULL: out of memory */

/* tls_why.c: each fills session->why. */

/* OpenSSL's, for each fault that it finds in a chain. Returns `ok`. */
int tls_on_verify(int ok, X509_STORE_CTX *store);
/* An SSL function failed; OpenSSL's queue of errors says why, and is emptied. */
void tls_explain_failure(struct tls_session *session);
/* The socket failed or ended, with session->error, while TLS was still being begun, or
 * before anything came over it. */
void tls_explain_loss(struct tls_session *session);
/* The handshake takes too long. */
void tls_explain_silence(const struct tls_session *session, struct errinfo *why);

#endif
