/* SPDX-License-Identifier: ISC */
/* What the tests of policy/ share. */
#ifndef POLICY_FIXTURE_H
#define POLICY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "hash_fixture.h"
#include "policy/policy.h"

/* The bytes of a file below tests/, behind them a NUL; the caller frees the buf. */
static inline void
fixture_read(const char *path, struct buf *out)
{
	char full[1024];
	FILE *file;
	size_t n;

	snprintf(full, sizeof(full), "%s/%s", TEST_SOURCE_DIR, path);
	file = fopen(full, "rb");
	if (!file)
		fail_msg("cannot open %s", full);
	do {
		char *to = buf_reserve(out, 65536);

		assert_non_null(to);
		n = fread(to, 1, 65536, file);
		buf_commit(out, n);
	} while (n > 0);
	fclose(file);
	assert_non_null(buf_cstr(out));
}

static inline void
fixture_print(const struct errlist *errors)
{
	char line[2048];

	for (size_t i = 0; i < errors->n; i++) {
		err_format(&errors->items[i], line, sizeof(line));
		print_message("%s\n", line);
	}
}

/* The policy of a document that must be good; the caller frees it. The text may have
 * ' in the place of every ", to be read more easily. */
static inline struct policy *
fixture_policy(const char *name, const char *text)
{
	char *json = strdup(text);
	struct errlist errors;
	struct policy *policy;

	assert_non_null(json);
	for (char *at = json; (at = strchr(at, '\'')); at++)
		*at = '"';
	policy = policy_parse(name, "test.json", json, strlen(json), NULL, &errors);
	free(json);

	fixture_print(&errors);
	assert_int_equal(errors.n, 0);
	assert_non_null(policy);
	errlist_fini(&errors);
	return policy;
}

/* The faults of a document that must be broken; the caller calls errlist_fini. */
static inline void
fixture_faults(const char *text, size_t len, struct errlist *errors)
{
	struct policy *policy = policy_parse("p", "test.json", text, len, NULL, errors);

	assert_null(policy);
	assert_true(errors->n > 0);
}

#endif
