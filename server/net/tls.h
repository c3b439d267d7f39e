/* SPDX-License-Identifier: ISC */
/*
 * What TLS connections are made with: whom to trust, and the certificate to show. The
 * other side is always verified: its chain, its dates and its name. TLS 1.2 or newer.
 * conn_connect() takes a source; net/conn deals with the bytes.
 *
 * Ownership: a context is immutable and shared by reference; connections keep theirs. A
 * source holds the current context, for connections that begin from then on.
 * Threads: all functions in any.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/attr.h"
#include "base/err.h"

struct tls_context;

struct tls_options {
	const char *ca_file;   /* PEM; NULL: the CAs that this system trusts */
	const char *cert_file; /* PEM, followed by its chain; NULL: none is shown */
	const char *key_file;  /* PEM, not encrypted; with cert_file, else NULL */
	const char
	    *name; /* what to ask for (SNI), and what the other side's certificate
			     must be for; NULL: the host that is connected to */
};

/* Reads the files; blocks. NULL: ERR_INVALID, ERR_IO or ERR_NOMEM; ei->file names the file
 * and the text says what is wrong with it. If our own certificate has expired, that is
 * only logged: it is the other side's to accept or refuse. */
struct tls_context *tls_context_load(
    const struct tls_options *options, struct errinfo *ei) MUST_CHECK;
struct tls_context *tls_context_ref(struct tls_context *context); /* NULL is fine */
void tls_context_unref(struct tls_context *context);              /* NULL is fine */

struct tls_source;

/* Empty. NULL: out of memory. */
struct tls_source *tls_source_new(void) MUST_CHECK;
/* Only once nobody uses it any more. NULL is fine. */
void tls_source_free(struct tls_source *source);
/* Refs `context`; unrefs the one before. */
void tls_source_set(struct tls_source *source, struct tls_context *context);
/* Returns owned: a ref to the context that was set last; NULL while none was. */
struct tls_context *tls_source_get(struct tls_source *source) MUST_CHECK;

#endif
