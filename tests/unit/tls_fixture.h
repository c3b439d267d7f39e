/* SPDX-License-Identifier: ISC */
/* Certificates made for one run of a test, as files in a folder of its own. */
#ifndef TLS_FIXTURE_H
#define TLS_FIXTURE_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TLS_NAME "redis.test"

struct issued {
	X509 *cert;
	EVP_PKEY *key;
	char cert_file[64], key_file[64];
};

static char tls_dir[] = "/tmp/test-net-tls-XXXXXX";

static void
add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(extension);
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static void
write_issued(struct issued *made, const char *name)
{
	FILE *f;

	snprintf(made->cert_file, sizeof(made->cert_file), "%s/%s.crt", tls_dir, name);
	snprintf(made->key_file, sizeof(made->key_file), "%s/%s.key", tls_dir, name);
	f = fopen(made->cert_file, "w");
	assert_int_equal(PEM_write_X509(f, made->cert), 1);
	fclose(f);
	f = fopen(made->key_file, "w");
	assert_int_equal(
	    PEM_write_PrivateKey(f, made->key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
}

/* `by` NULL: a CA, signed by itself. `alt_names` as "DNS:a,IP:1.2.3.4", or NULL. */
static void
issue(struct issued *made, const struct issued *by, const char *name,
    const char *alt_names)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	made->cert = cert;
	made->key = EVP_EC_gen("P-256");
	assert_non_null(made->key);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), by ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(
	    subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert, by ? X509_get_subject_name(by->cert) : subject);
	X509_set_pubkey(cert, made->key);
	if (!by)
		add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
	if (alt_names)
		add_extension(cert, NID_subject_alt_name, alt_names);
	assert_true(X509_sign(cert, by ? by->key : made->key, EVP_sha256()) > 0);
	write_issued(made, name);
}

static void
issued_fini(struct issued *made)
{
	unlink(made->cert_file);
	unlink(made->key_file);
	X509_free(made->cert);
	EVP_PKEY_free(made->key);
}

#endif
