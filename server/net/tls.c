/* SPDX-License-Identifier: ISC */
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "net/tls_inner.h"

/* --- reading ------------------------------------------------------------------------ */

/* Sets a fault of one file. Returns false. */
static bool PRINTF_LIKE(4, 5)
    fault(struct errinfo *ei, int code, const char *file, const char *fmt, ...)
{
	char text[sizeof(ei->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(ei, code, "%s", text);
	if (ei)
		snprintf(ei->file, sizeof(ei->file), "%s", file);
	ERR_clear_error();
	return false;
}

/* OpenSSL's own text about the first fault that it met. */
static const char *
reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_error());

	return text ? text : "no reason is given";
}

static bool
no_memory(struct errinfo *ei)
{
	ERR_clear_error();
	return err_set(ei, ERR_NOMEM, "out of memory") == 0;
}

/* Checks first that the file can be opened: OpenSSL's text would not be the system's, and a
 * pipe would hold up the caller. */
static bool
is_readable(const char *file, struct errinfo *ei)
{
	struct stat st;
	FILE *f;

	if (stat(file, &st) < 0)
		return fault(ei, ERR_IO, file, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fault(ei, ERR_INVALID, file, "is not a regular file");
	f = fopen(file, "re");
	if (!f)
		return fault(ei, ERR_IO, file, "%s", strerror(errno));
	fclose(f);
	return true;
}

/* OpenSSL caches a certificate's extensions in it at its first use. That had better happen
 * here, while no other thread has it. */
static void
read_extensions(X509_STORE *store)
{
	const STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);

	for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
		X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));

		if (cert)
			(void)X509_check_purpose(cert, -1, 0);
	}
	ERR_clear_error();
}

static bool
load_ca(struct tls_context *context, const char *file, struct errinfo *ei)
{
	if (!file) {
		if (SSL_CTX_set_default_verify_paths(context->ctx) == 1)
			return true;
		return no_memory(ei);
	}
	if (!is_readable(file, ei))
		return false;
	if (SSL_CTX_load_verify_file(context->ctx, file) != 1)
		return fault(ei, ERR_INVALID, file,
		    "holds no CA certificate in PEM that can be read: %s", reason());
	read_extensions(SSL_CTX_get_cert_store(context->ctx));
	return true;
}

static void
warn_of_expiry(const struct tls_context *context, const char *file)
{
	const ASN1_TIME *end =
	    X509_get0_notAfter(SSL_CTX_get0_certificate(context->ctx));

	if (X509_cmp_current_time(end) < 0)
		log_warn("tls", "%s: this certificate has expired", file);
}

/* Called for the password of an encrypted key; without it OpenSSL asks on the terminal. */
static int
no_password(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	*(bool *)arg = true;
	return -1;
}

static bool
load_key(struct tls_context *context, const struct tls_options *o, struct errinfo *ei)
{
	bool asked = false;
	int why;

	SSL_CTX_set_default_passwd_cb(context->ctx, no_password);
	SSL_CTX_set_default_passwd_cb_userdata(context->ctx, &asked);
	if (SSL_CTX_use_PrivateKey_file(context->ctx, o->key_file, SSL_FILETYPE_PEM) ==
	    1)
		return true;
	why = ERR_GET_REASON(ERR_peek_error());
	if (asked)
		return fault(ei, ERR_INVALID, o->key_file,
		    "is encrypted; there is nobody to ask for its password");
	if (why == X509_R_KEY_VALUES_MISMATCH || why == X509_R_KEY_TYPE_MISMATCH)
		return fault(ei, ERR_INVALID, o->key_file,
		    "is not the key of the certificate in %s", o->cert_file);
	return fault(ei, ERR_INVALID, o->key_file,
	    "holds no private key in PEM that can be used: %s", reason());
}

static bool
load_cert(struct tls_context *context, const struct tls_options *o, struct errinfo *ei)
{
	if (!o->cert_file)
		return true;
	if (!is_readable(o->cert_file, ei) || !is_readable(o->key_file, ei))
		return false;
	if (SSL_CTX_use_certificate_chain_file(context->ctx, o->cert_file) != 1)
		return fault(ei, ERR_INVALID, o->cert_file,
		    "holds no certificate in PEM that can be used: %s", reason());
	if (!load_key(context, o, ei))
		return false;
	context->shows_cert = true;
	warn_of_expiry(context, o->cert_file);
	return true;
}

/* False: out of memory. */
static bool
open_ctx(struct tls_context *context, const struct tls_options *o)
{
	if (o->name && !(context->name = strdup(o->name)))
		return false;
	if (o->ca_file && !(context->ca_file = strdup(o->ca_file)))
		return false;
	context->socket = tls_bio_method_new();
	context->ctx = SSL_CTX_new(TLS_client_method());
	if (!context->socket || !context->ctx ||
	    SSL_CTX_set_min_proto_version(context->ctx, TLS1_2_VERSION) != 1)
		return false;
	/* A write may take a part, and the rest may be elsewhere when it is sent again; an
	 * idle session holds no buffers. */
	SSL_CTX_set_mode(context->ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
		SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(context->ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, tls_on_verify);
	return true;
}

struct tls_context *
tls_context_load(const struct tls_options *options, struct errinfo *ei)
{
	struct tls_context *context = calloc(1, sizeof(*context));

	if (!context) {
		(void)no_memory(ei);
		return NULL;
	}
	context->refs = 1;
	if (!open_ctx(context, options))
		(void)no_memory(ei);
	else if (load_ca(context, options->ca_file, ei) &&
	    load_cert(context, options, ei))
		return context;
	tls_context_unref(context);
	return NULL;
}

struct tls_context *
tls_context_ref(struct tls_context *context)
{
	if (context)
		atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
	return context;
}

void
tls_context_unref(struct tls_context *context)
{
	if (!context ||
	    atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) > 1)
		return;
	SSL_CTX_free(context->ctx);
	BIO_meth_free(context->socket);
	free(context->ca_file);
	free(context->name);
	free(context);
}

/* --- the current context ------------------------------------------------------------ */

struct tls_source {
	pthread_mutex_t lock;
	struct tls_context *now;
};

struct tls_source *
tls_source_new(void)
{
	struct tls_source *source = calloc(1, sizeof(*source));

	if (source)
		pthread_mutex_init(&source->lock, NULL);
	return source;
}

void
tls_source_free(struct tls_source *source)
{
	if (!source)
		return;
	tls_context_unref(source->now);
	pthread_mutex_destroy(&source->lock);
	free(source);
}

void
tls_source_set(struct tls_source *source, struct tls_context *context)
{
	struct tls_context *old;

	tls_context_ref(context);
	pthread_mutex_lock(&source->lock);
	old = source->now;
	source->now = context;
	pthread_mutex_unlock(&source->lock);
	tls_context_unref(old);
}

struct tls_context *
tls_source_get(struct tls_source *source)
{
	struct tls_context *now;

	pthread_mutex_lock(&source->lock);
	now = tls_context_ref(source->now);
	pthread_mutex_unlock(&source->lock);
	return now;
}
