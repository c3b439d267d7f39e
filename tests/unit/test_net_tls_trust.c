/* SPDX-License-Identifier: ISC */
/* Who is on the other side of TLS, by names and certificates, and who we are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls_peer.h"

static void
test_another_name_is_refused(void **state)
{
	struct owner *o = *state;

	trust(&ca, NULL, "elsewhere.test");
	begin(o, echo);
	assert_failed(o, "is for redis.test, 10.1.2.3, not for elsewhere.test");
	assert_int_equal(o->opened, 0);
	assert_false(server.accepted);
}

static void
test_another_address_is_refused(void **state)
{
	struct owner *o = *state;

	trust(&ca, NULL, NULL);
	begin(o, echo);
	assert_failed(o, "is for redis.test, 10.1.2.3, not for 127.0.0.1");
	assert_string_equal(server.name, "");
}

static void
test_an_address_can_be_verified(void **state)
{
	struct owner *o = *state;

	trust(&ca, NULL, "10.1.2.3");
	begin(o, echo);
	run_until(o, is_open);
	end(o);
}

static void
test_a_certificate_of_ours_is_shown(void **state)
{
	struct owner *o = *state;

	SSL_CTX_set_verify(
	    server.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	trust(&ca, &client_cert, TLS_NAME);
	hello = "hello";
	begin(o, echo);
	run_until(o, has_some);
	end(o);
}

/* In TLS 1.3 the other side says so when we believe to be through. */
static void
test_a_missing_certificate_is_told(void **state)
{
	struct owner *o = *state;

	SSL_CTX_set_verify(
	    server.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	for (int i = 0; i < 20; i++) {
		o->ended = 0;
		hello = "hello";
		begin(o, echo);
		assert_failed(o, "wants a certificate of ours");
	}
}

/* The one that began goes by what was in force, also when that is long gone. */
static void
test_a_change_is_for_those_that_come(void **state)
{
	struct owner *o = *state;

	begin(o, echo);
	trust(&other_ca, NULL, "elsewhere.test");
	run_until(o, is_open);
	add_much(o);
	run_until(o, has_much);
	assert_echoed(o, MUCH);
	end(o);
	begin(o, echo);
	assert_failed(o, "is signed by ca, not by a CA in ");
}

static void
test_a_source_without_a_context(void **state)
{
	struct owner *o = *state;
	struct conn_options options = { .in_max = 1000 };
	struct errinfo ei;

	options.tls = tls_source_new();
	assert_null(conn_connect(o->loop, &address, &options, &ops, o, &ei));
	assert_int_equal(ei.code, ERR_INVALID);
	tls_source_free(options.tls);
}

static void
test_files_that_cannot_be_used(void **state)
{
	const struct {
		struct tls_options options;
		const char *file, *text;
	} cases[] = {
		{ { "/nonexistent", NULL, NULL, NULL }, "/nonexistent",
		    "No such file" },
		{ { "/", NULL, NULL, NULL }, "/", "not a regular file" },
		{ { ca.key_file, NULL, NULL, NULL }, ca.key_file, "no CA certificate" },
		{ { NULL, client_cert.key_file, client_cert.key_file, NULL },
		    client_cert.key_file, "no certificate" },
		{ { NULL, client_cert.cert_file, client_cert.cert_file, NULL },
		    client_cert.cert_file, "no private key" },
		{ { NULL, client_cert.cert_file, server_cert.key_file, NULL },
		    server_cert.key_file, "is not the key of the certificate in" },
	};
	struct errinfo ei;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_null(tls_context_load(&cases[i].options, &ei));
		assert_string_equal(ei.file, cases[i].file);
		assert_non_null(strstr(ei.text, cases[i].text));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_another_name_is_refused),
		WITH_SERVER(test_another_address_is_refused),
		WITH_SERVER(test_an_address_can_be_verified),
		WITH_SERVER(test_a_certificate_of_ours_is_shown),
		WITH_SERVER(test_a_missing_certificate_is_told),
		WITH_SERVER(test_a_change_is_for_those_that_come),
		WITH_SERVER(test_a_source_without_a_context),
		cmocka_unit_test(test_files_that_cannot_be_used),
	};

	return RUN_WITH_FILES(tests);
}
