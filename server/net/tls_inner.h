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
	char *name;         /* to verify; NULL: the host that is connected to */
	bool shows_cert;
};

/* The TLS of one connection. */
struct tls_session {
	struct tls_context *context; /* a ref */
	SSL *ssl;
	char place[ADDRESS_TEXT_MAX]; /* the address as given, for messages */
	char name[256];               /* what the certificate must be for */
	struct buf outbox;            /* records that the socket has not taken yet */
	size_t
	    sealed;  /* bytes of the owner's in it that were not reported as sent yet */
	int error;   /* errno of the socket's last failure; 0: none */
	bool eof;    /* of the socket */
	bool begun;  /* the handshake is done */
	bool heard;  /* application data has come */
	bool failed; /* the session can neither read nor write any more */
	struct errinfo why; /* of the failure; code 0: errno says it all */
};

/* With more in the outbox, nothing is sealed until some of it has left. */
#define TLS_OUTBOX_FULL 65536
/* With more, the connection ends: the other side makes us answer (new keys), but reads
 * nothing. */
#define TLS_OUTBOX_MAX (4 * TLS_OUTBOX_FULL)

/* tls_bio.c */
BIO_METHOD *tls_bio_method_new(void) MUST_CHECK; /* NULL: out of memory */

/* tls_why.c: each fills session->why. */

/* OpenSSL's verify callback, called for each fault that it finds in a chain. Returns
 * `ok`. */
int tls_on_verify(int ok, X509_STORE_CTX *store);
/* An SSL function failed: reads OpenSSL's error queue, and empties it. */
void tls_explain_failure(struct tls_session *session);
/* The socket failed or ended, with session->error, during the handshake or before any
 * application data came. */
void tls_explain_loss(struct tls_session *session);
/* The handshake takes too long: fills in *why. */
void tls_explain_silence(const struct tls_session *session, struct errinfo *why);

#endif
