/* SPDX-License-Identifier: ISC */
/*
 * How results are shown: text for people, JSON for programs. A writer is a struct of
 * functions; writer.c exports nothing but the two.
 *
 * Ownership: a writer owns what it has gathered; writer_end() writes and frees it.
 */
#ifndef CLI_WRITER_H
#define CLI_WRITER_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json_text.h"
#include "ration/ration.h"

/* One policy file, and what was found in it. */
struct lint_result {
	const char *file;
	const char *failure; /* why it could not be read; then the rest is unset */
	size_t tools;
	size_t limits;
	const struct errlist *errors; /* empty: the file is good */
};

struct lint_total {
	size_t files; /* that were read */
	size_t errors;
	size_t unreadable; /* files that could not be read */
};

struct writer;

struct writer_ops {
	void (*answer)(struct writer *w, const struct ration_request *request,
	    const struct ration_answer *answer);
	void (*lint_begin)(struct writer *w);
	void (*lint_file)(struct writer *w, const struct lint_result *result);
	void (*lint_end)(struct writer *w, const struct lint_total *total);
};

struct writer {
	const struct writer_ops *ops;
	struct buf out;        /* for stdout */
	struct json_text json; /* writes into `out`; only for JSON */
};

void writer_init(struct writer *w, bool json);

/* Writes what is left. False, after saying so, when stdout did not take all of it. */
bool writer_end(struct writer *w) MUST_CHECK;

#endif
