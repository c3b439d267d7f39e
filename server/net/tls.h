/* SPDX-License-Identifier: ISC */
/*
 * What TLS connections are made with: whom to trust, and the certificate to show. The
 * other side is verified, always: its chain, its dates and its name; TLS 1.2 at least.
 * conn_connect() takes a source; bytes are net/conn's matter.
 *
 * Ownership: a context is immutable and shared by reference; connections keep theirs. A
 * source is where the context of the moment is found: another one is for connections
 * that begin later.
 * Threads: all functions in any.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/attr.h"
#include "base/err.h"

struct tls_context;

struct tls_options {
	const char *ca_file;   /* PEM; NULL: the CAs that this system trusts */
	const char *cert_file; /* PEM, the chain behind it; NULL: none is shown */
	const char *key_file;  /* PEM, not encrypted; with cert_file, else NULL */
	const char *name; /* asked for (SNI), and what the other side's certificate must
			     be for; NULL: the host that is connected to */
};

/* Reads the files; blocks. NULL: ei->file names the file and the text says what is wrong
 * with it, ERR_INVALID, ERR_IO or ERR_NOMEM. A certificate of ours that has expired is
 * taken and logged: whether that matters is for the other side to say. */
struct tls_context *tls_context_load(
    const struct tls_options *options, struct errinfo *ei) MUST_CHECK;
struct tls_context *tls_context_ref(struct tls_context *context); /* NULL is fine */
void tls_context_unref(struct tls_context *context);              /* NULL is fine */

struct tls_source;

/* Empty. NULL: out of memory. */
struct tls_source *tls_source_new(void) MUST_CHECK;
/* Once nobody uses it any more. NULL is fine. */
void tls_source_free(struct tls_source *source);
/* Refs `context`; lets go of the one before. */
void tls_source_set(struct tls_source *source, struct tls_context *context);
/* Returns owned, a ref of the last that was set; NULL before. */
struct tls_context *tls_source_get(struct tls_source *source) MUST_CHECK;

#endif
