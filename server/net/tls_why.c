/* SPDX-License-Identifier: ISC */
/* Why TLS with the other side failed, in words that name the cause. Whatever comes out of
 * its certificate is a stranger's text. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/visible.h"
#include "net/tls_inner.h"

#define NAMES_SHOWN 4
#define NAME_SHOWN_MAX 64
#define DATE_MAX 32

/* --- certificates ------------------------------------------------------------------- */

static void
format_date(const ASN1_TIME *time, char out[DATE_MAX])
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1 ||
	    strftime(out, DATE_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		snprintf(out, DATE_MAX, "an unknown date");
}

static struct slice
slice_of(const ASN1_STRING *text)
{
	int len = ASN1_STRING_length(text);
	const unsigned char *data = ASN1_STRING_get0_data(text);

	return slice_make((const char *)data, len > 0 ? (size_t)len : 0);
}

/* The common name, or "". */
static void
format_common_name(const X509_NAME *name, char *out, size_t size)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);

	out[0] = '\0';
	if (at >= 0)
		visible_format(
		    slice_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))),
		    out, size);
}

/* One name of a certificate; "" when it is not a kind of name that a server has. */
static void
format_alt_name(const GENERAL_NAME *name, char *out, size_t size)
{
	int kind;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);

	out[0] = '\0';
	if (kind == GEN_DNS)
		visible_format(slice_of(value), out, size);
	else if (kind == GEN_IPADD && slice_of(value).len == 4)
		inet_ntop(AF_INET, slice_of(value).ptr, out, (socklen_t)size);
	else if (kind == GEN_IPADD && slice_of(value).len == 16)
		inet_ntop(AF_INET6, slice_of(value).ptr, out, (socklen_t)size);
}

/* Appends to a text, which is cut when it is full. */
static void PRINTF_LIKE(3, 4) append(char *out, size_t size, const char *fmt, ...)
{
	size_t len = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + len, size - len, fmt, ap);
	va_end(ap);
}

/* Whom the certificate is for: "a.example, 10.0.0.1 and 7 more". */
static void
format_names(X509 *cert, char *out, size_t size)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	char name[NAME_SHOWN_MAX];
	int n = 0;

	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		format_alt_name(sk_GENERAL_NAME_value(all, i), name, sizeof(name));
		if (name[0] && ++n <= NAMES_SHOWN)
			append(out, size, "%s%s", n > 1 ? ", " : "", name);
	}
	if (n > NAMES_SHOWN)
		append(out, size, " and %d more", n - NAMES_SHOWN);
	GENERAL_NAMES_free(all);
	if (n > 0)
		return;
	format_common_name(X509_get_subject_name(cert), name, sizeof(name));
	append(out, size, "%s", name[0] ? name : "nobody");
}

/* "the certificate of HOST", or "the CA certificate NAME behind ...". */
static void
format_which(
    const struct tls_session *session, X509_STORE_CTX *store, char *out, size_t size)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	char name[NAME_SHOWN_MAX] = "";

	out[0] = '\0';
	if (cert && X509_STORE_CTX_get_error_depth(store) > 0) {
		format_common_name(X509_get_subject_name(cert), name, sizeof(name));
		append(out, size, "the CA certificate %s behind ", name);
	}
	append(out, size, "the certificate of %s", session->place);
}

/* The last certificate of the chain may be the CA's own; then it is its own signer. */
static void
tell_untrusted(struct tls_session *session, X509_STORE_CTX *store, const char *which)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	const char *file = session->context->ca_file;
	char issuer[NAME_SHOWN_MAX] = "";

	(void)which;
	if (cert)
		format_common_name(X509_get_issuer_name(cert), issuer, sizeof(issuer));
	err_set(&session->why, ERR_UNTRUSTED,
	    "the certificate of %s is signed by %s, not by a CA %s%s", session->place,
	    issuer[0] ? issuer : "one without a name",
	    file ? "in " : "that this system trusts", file ? file : "");
}

static void
tell_expired(struct tls_session *session, X509_STORE_CTX *store, const char *which)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	char date[DATE_MAX];

	format_date(X509_get0_notAfter(cert), date);
	err_set(&session->why, ERR_UNTRUSTED, "%s expired on %s", which, date);
}

static void
tell_early(struct tls_session *session, X509_STORE_CTX *store, const char *which)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	char date[DATE_MAX];

	format_date(X509_get0_notBefore(cert), date);
	err_set(&session->why, ERR_UNTRUSTED,
	    "%s is valid only from %s; is the clock of this host right?", which, date);
}

static void
tell_other_name(struct tls_session *session, X509_STORE_CTX *store, const char *which)
{
	char names[NAMES_SHOWN * (NAME_SHOWN_MAX + 2) + 32];

	format_names(X509_STORE_CTX_get_current_cert(store), names, sizeof(names));
	err_set(&session->why, ERR_UNTRUSTED, "%s is for %s, not for %s", which, names,
	    session->name);
}

static const struct {
	int error;
	void (*tell)(
	    struct tls_session *session, X509_STORE_CTX *store, const char *which);
} verify_faults[] = {
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, tell_untrusted },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, tell_untrusted },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, tell_untrusted },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, tell_untrusted },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, tell_untrusted },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, tell_untrusted },
	{ X509_V_ERR_CERT_UNTRUSTED, tell_untrusted },
	{ X509_V_ERR_CERT_HAS_EXPIRED, tell_expired },
	{ X509_V_ERR_CERT_NOT_YET_VALID, tell_early },
	{ X509_V_ERR_HOSTNAME_MISMATCH, tell_other_name },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, tell_other_name },
};

int
tls_on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl =
	    X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_session *session = SSL_get_app_data(ssl);
	int error = X509_STORE_CTX_get_error(store);
	char which[ADDRESS_TEXT_MAX + NAME_SHOWN_MAX + 64];

	if (ok)
		return ok;
	format_which(session, store, which, sizeof(which));
	err_set(&session->why, ERR_UNTRUSTED, "%s is refused: %s", which,
	    X509_verify_cert_error_string(error));
	for (size_t i = 0; i < ARRAY_LEN(verify_faults); i++)
		if (verify_faults[i].error == error)
			verify_faults[i].tell(session, store, which);
	return ok;
}

/* --- what the other side says, and what it does not --------------------------------- */

/* What follows "HOST:PORT ". */
static const struct {
	int reason;
	const char *text;
} failures[] = {
	{ SSL_R_WRONG_VERSION_NUMBER,
	    "does not speak TLS; for a port without it use redis://" },
	{ SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED,
	    "wants a certificate of ours, and none was shown" },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
	    "refuses the handshake; it may want a certificate of ours, or other "
	    "ciphers" },
	{ SSL_R_TLSV1_ALERT_UNKNOWN_CA,
	    "does not know the CA that signed our certificate" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
	    "says that our certificate has expired" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED,
	    "says that our certificate is revoked" },
	{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "does not accept our certificate" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "does not accept our certificate" },
	{ SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
	    "does not accept our certificate; it may not be one for clients" },
	{ SSL_R_TLSV1_ALERT_ACCESS_DENIED, "does not let our certificate in" },
	{ SSL_R_TLSV1_UNRECOGNIZED_NAME,
	    "does not know the name that it was asked for" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "does not speak TLS 1.2 or newer" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "does not speak TLS 1.2 or newer" },
};

void
tls_explain_failure(struct tls_session *session)
{
	unsigned long error = ERR_peek_error();
	const char *reason = ERR_reason_error_string(error);

	/* The verify callback has said more about a certificate than this can. */
	if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
	    session->why.code != 0) {
		ERR_clear_error();
		return;
	}
	err_set(&session->why, ERR_IO, "TLS with %s failed: %s", session->place,
	    reason ? reason : "no reason is given");
	for (size_t i = 0; i < ARRAY_LEN(failures) && !session->heard; i++)
		if (failures[i].reason == ERR_GET_REASON(error))
			err_set(&session->why, ERR_UNTRUSTED, "%s %s", session->place,
			    failures[i].text);
	ERR_clear_error();
}

void
tls_explain_loss(struct tls_session *session)
{
	const char *how = session->error ? strerror(session->error) : "it was closed";

	ERR_clear_error();
	if (!session->begun)
		err_set(&session->why, ERR_IO,
		    "%s ended the connection in the TLS handshake (%s)", session->place,
		    how);
	else if (!session->heard)
		err_set(&session->why, ERR_IO,
		    "%s ended the connection after the TLS handshake (%s)%s",
		    session->place, how,
		    session->context->shows_cert
			? ""
			: "; it may want a certificate of ours");
	else
		session->why = (struct errinfo){ 0 };
}

void
tls_explain_silence(const struct tls_session *session, struct errinfo *why)
{
	if (BIO_number_read(SSL_get_rbio(session->ssl)) > 0)
		err_set(
		    why, ERR_IO, "%s does not end the TLS handshake", session->place);
	else
		err_set(why, ERR_IO,
		    "%s does not answer in TLS: it hangs, or it is a port without TLS "
		    "(then redis://)",
		    session->place);
}
